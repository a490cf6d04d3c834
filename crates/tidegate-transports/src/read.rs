//! `GET` as JSON: a snapshot, one value, the newest events, or a page of history.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::Request;
use http::header::LINK;
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_core::frame::Cursors;
use tidegate_core::{Address, Cursor, ErrorCode, Frame, Kind, Offset, Problem, Record, Target, View, json as text};
use tidegate_hub::{Channel, PAGE_BYTES_MAX, Plan, ROWS_MAX, Start, changes};

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::options::Options;
use crate::route::single;

/// The newest events, where no limit is given.
const NEWEST: usize = 100;
/// What reading a page and writing it out takes at the most.
pub(crate) const ANSWER_BYTES: usize = 2 * PAGE_BYTES_MAX;
/// Events on a page of history, where no limit is given.
pub(crate) const HISTORY: usize = 1_000;

/// Answers with JSON of one of the two shapes, `rows` or `frames`, or with a bare value.
pub(crate) async fn read(
    gateway: &Gateway,
    target: Target,
    options: Options,
    request: &Request<Incoming>,
) -> Result<Answer, Problem> {
    let plan = plan(gateway, target, &options).await?;
    let channel = plan.channel.clone();
    if channel.loading() {
        return Err(Problem::new(
            ErrorCode::Loading,
            format!("the channel `{}` is still loading", channel.config.name),
        ));
    }
    if plan.view.kind == Kind::History {
        if options.page.is_some() {
            return Err(Problem::new(ErrorCode::Invalid, "`page` belongs to pages of rows")
                .hint("follow the Link header as it is"));
        }
        return match options.from {
            None if options.snapshot.is_none() => newest(gateway, &plan, &options, request).await,
            _ => history(gateway, plan, &options).await,
        };
    }
    match (single(&plan.view.scope.target).cloned(), plan.view.scope.key.clone()) {
        (Some(address), Some(key)) => {
            if let Some((name, _)) = options.given.iter().find(|(name, _)| matches!(name.as_str(), "page" | "limit")) {
                let detail = format!("`{name}` makes no sense for one key, which has one value");
                return Err(Problem::new(ErrorCode::Invalid, detail).hint(format!("leave `{name}` out")));
            }
            value(gateway, &plan, &address, &key, request).await
        }
        _ => rows(gateway, &plan, &options, request).await,
    }
}

/// The hub's plan; `from=TIME` reads the disk, so it runs where blocking is allowed.
pub(crate) async fn plan(gateway: &Gateway, target: Target, options: &Options) -> Result<Plan, Problem> {
    let (hub, request) = (gateway.hub.clone(), options.request(target));
    if !matches!(request.from, Some(tidegate_hub::From::Time(_))) {
        return hub.plan(&request);
    }
    tokio::task::spawn_blocking(move || hub.plan(&request))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

async fn value(
    gateway: &Gateway,
    plan: &Plan,
    address: &Address,
    key: &str,
    request: &Request<Incoming>,
) -> Result<Answer, Problem> {
    let value = gateway.hub.value(&plan.channel, address, key).await?;
    let cursor = plan.channel.cursor(&plan.view, value.at);
    let Some(row) = value.row else {
        let problem = Problem::new(ErrorCode::KeyNotFound, format!("`{key}` has no value at `{}`", address.as_str()));
        let mut answer = answer::problem(&problem);
        answer::header(&mut answer, TIDEGATE_CURSOR, &cursor.to_string());
        return Ok(answer);
    };
    let etag = format!("\"{}\"", cursor.at(row.offset));
    Ok(conditional(request, &cursor, &etag, || answer::json(row.data)))
}

async fn rows(
    gateway: &Gateway,
    plan: &Plan,
    options: &Options,
    request: &Request<Incoming>,
) -> Result<Answer, Problem> {
    let Plan { channel, view, .. } = plan;
    let page = options.page.as_deref().map(|token| Page::parse(token, channel)).transpose()?;
    let began = page.as_ref().map(|page| page.at);
    // The tag is read before the rows: a change between the two makes it too old, never too new.
    let touched = match single(&view.scope.target) {
        Some(address) if view.scope.key.is_none() => Some(gateway.hub.touched(channel, address).await?.unwrap_or(0)),
        _ => None,
    };
    let limit = options.limit.unwrap_or(ROWS_MAX);
    let share = gateway.budget.take(ANSWER_BYTES).await?;
    let rows = gateway.hub.rows(channel, &view.scope, page.map(|page| page.after), limit).await?;
    let cursor = channel.cursor(view, began.unwrap_or(rows.at));
    let whole = rows.next.is_none() && began.is_none();
    let etag = match touched {
        Some(offset) if whole => format!("\"{}\"", cursor.at(offset)),
        _ => format!("W/\"{}-{}\"", cursor, rows.rows.len()),
    };
    let next = rows.next.map(|after| Page { at: cursor.offset, after }.link(channel, &view.scope.target, options));
    let mut answer = conditional(request, &cursor, &etag, || {
        let mut body = b"{\"rows\":[".to_vec();
        for (index, row) in rows.rows.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"address\":");
            text::write_string(row.address.as_str(), &mut body);
            body.extend_from_slice(b",\"key\":");
            text::write_string(&row.key, &mut body);
            body.extend_from_slice(format!(",\"time\":\"{}\",\"data\":", row.time).as_bytes());
            body.extend_from_slice(&row.data);
            body.push(b'}');
        }
        body.extend_from_slice(format!("],\"cursor\":\"{cursor}\"}}").as_bytes());
        drop(rows.rows);
        answer::json(share.hold(body))
    });
    if let Some(link) = next {
        answer::header(&mut answer, LINK, &link);
    }
    Ok(answer)
}

async fn newest(
    gateway: &Gateway,
    plan: &Plan,
    options: &Options,
    request: &Request<Incoming>,
) -> Result<Answer, Problem> {
    let Plan { channel, view, .. } = plan;
    let share = gateway.budget.take(ANSWER_BYTES).await?;
    let newest = gateway.hub.newest(channel, &view.scope, options.limit.unwrap_or(NEWEST)).await?;
    let cursor = channel.cursor(view, newest.upto);
    let etag = match single(&view.scope.target) {
        Some(_) => format!("\"{}\"", cursor.at(newest.last)),
        None => format!("W/\"{}-{}\"", cursor, newest.records.len()),
    };
    Ok(conditional(request, &cursor, &etag, || {
        answer::json(share.hold(frames(channel, view, &newest.records, options.chain, None, Some(cursor))))
    }))
}

async fn history(gateway: &Gateway, plan: Plan, options: &Options) -> Result<Answer, Problem> {
    let Plan { channel, view, start, .. } = &plan;
    let Start::At(mut after) = *start else { unreachable!("history without a cursor begins at a position") };
    let share = gateway.budget.take(ANSWER_BYTES).await?;
    let limit = options.limit.unwrap_or(HISTORY);
    let page = loop {
        match gateway.hub.page(channel, view, after, limit).await? {
            // Trimmed since the plan was made: what is held begins later now.
            None => after = channel.log.start(),
            Some(page) if page.records.is_empty() && page.more => after = page.upto,
            Some(page) => break page,
        }
    };
    let cursor = channel.cursor(view, page.upto);
    let body = frames(channel, view, &page.records, options.chain, Some(after), Some(cursor));
    let mut answer = answer::json(share.hold(body));
    answer::header(&mut answer, TIDEGATE_CURSOR, &cursor.to_string());
    if page.more {
        answer::header(&mut answer, LINK, &next(&plan, options, &cursor));
    }
    Ok(answer)
}

/// The link to the page after this one: the same options, from the cursor on.
pub(crate) fn next(plan: &Plan, options: &Options, cursor: &Cursor) -> String {
    let kept = options.given.iter().filter(|(name, _)| matches!(name.as_str(), "key" | "limit" | "chain" | "as"));
    let mut query: Vec<(String, String)> = kept.cloned().collect();
    query.push(("after".to_owned(), cursor.to_string()));
    if plan.channel.keyed() && plan.view.kind == Kind::History {
        query.push(("snapshot".to_owned(), "false".to_owned()));
    }
    link(&plan.view.scope.target, &query)
}

/// Names the address in its one encoding, whatever the client wrote.
fn link(target: &Target, query: &[(String, String)]) -> String {
    format!("</v1/{}?{}>; rel=\"next\"", target.as_str(), encode(query))
}

fn encode(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn conditional(request: &Request<Incoming>, cursor: &Cursor, etag: &str, full: impl FnOnce() -> Answer) -> Answer {
    let answer = if answer::none_match(request.headers(), etag) { answer::empty(304) } else { full() };
    answer::tagged(answer, &cursor.to_string(), etag)
}

/// `{"frames":[…],"cursor":…}`; `prev` is the cursor that the client holds.
pub(crate) fn frames(
    channel: &Channel,
    view: &View,
    records: &[Arc<Record>],
    chain: bool,
    prev: Option<Offset>,
    cursor: Option<Cursor>,
) -> Vec<u8> {
    let mut frames = Vec::new();
    for record in records {
        changes(record, view.kind, &view.scope, true, |frame| frames.push(frame));
    }
    body(channel, view, &frames, chain, prev, cursor)
}

/// The same for frames that are made already.
pub(crate) fn body(
    channel: &Channel,
    view: &View,
    frames: &[Frame],
    chain: bool,
    prev: Option<Offset>,
    cursor: Option<Cursor>,
) -> Vec<u8> {
    let mut cursors = Cursors::new(channel.cursor(view, 0).prefix(), chain, prev);
    let mut body = b"{\"frames\":[".to_vec();
    for (index, frame) in frames.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        frame.write_json(&mut cursors, &mut body);
    }
    match cursor {
        Some(cursor) => body.extend_from_slice(format!("],\"cursor\":\"{cursor}\"}}").as_bytes()),
        None => body.extend_from_slice(b"],\"cursor\":null}"),
    }
    body
}

/// Where a page of rows begins: opaque to clients.
struct Page {
    /// Where the scan began; the cursor of all its pages.
    at: Offset,
    /// The row before the page.
    after: (Address, tidegate_core::Key),
}

impl Page {
    fn parse(token: &str, channel: &Channel) -> Result<Page, Problem> {
        let broken = || {
            Problem::new(ErrorCode::Invalid, "`page` is no page of this address")
                .hint("follow the Link header as it is")
        };
        let decoded = BASE64.decode(token).map_err(|_| broken())?;
        let (epoch, at, address, key): (u64, Offset, String, String) =
            serde_json::from_slice(&decoded).map_err(|_| broken())?;
        if epoch != channel.log.epoch().to_bits() || at > channel.log.head() {
            return Err(broken());
        }
        let address = Address::from_canonical(&address);
        Ok(Page { at, after: (address, key.into_boxed_str()) })
    }

    fn link(&self, channel: &Channel, target: &Target, options: &Options) -> String {
        let token = serde_json::json!([channel.log.epoch().to_bits(), self.at, self.after.0.as_str(), &*self.after.1]);
        let kept = options.given.iter().filter(|(name, _)| name != "page");
        let mut query: Vec<(String, String)> = kept.cloned().collect();
        query.push(("page".to_owned(), BASE64.encode(token.to_string())));
        link(target, &query)
    }
}
