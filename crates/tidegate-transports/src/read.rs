//! `GET` as JSON: a snapshot, one value, the newest events, or a page of history. All but the last,
//! and all but the first page of rows, is kept for who asks the same.

mod answers;
mod made;
mod pages;
mod past;
mod since;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, LINK};
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use tidegate_core::frame::{Cursors, Row};
use tidegate_core::{
    Address, Cursor, ErrorCode, Fingerprint, Frame, Kind, Offset, Problem, Record, Target, json as text,
};
use tidegate_hub::{Channel, PAGE_BYTES_MAX, Plan, ROWS_MAX, Sight, Start, View, changes};

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::budget::Share;
use crate::caller::Caller;
use crate::options::Options;
use crate::route::single;
use answers::Asked;
pub use answers::{AnswerFigures, Answers};
use made::{Made, What};
use pages::Page;
pub(crate) use pages::next;
pub(crate) use since::{Came, Holds, Page as Frames, since};

/// The newest events, where no limit is given.
const NEWEST: usize = 100;
/// What reading a page and writing it out takes at the most.
pub(crate) const ANSWER_BYTES: usize = 2 * PAGE_BYTES_MAX;
/// What a row takes beside its names and its data, about.
const ENVELOPE_BYTES: usize = 96;
/// A read is made so often, if what its caller may see changes meanwhile.
const JUDGED_MAX: usize = 4;
/// Events on a page of history, where no limit is given.
pub(crate) const HISTORY: usize = 1_000;

/// Answers with JSON of one of the two shapes, `rows` or `frames`, or with a bare value.
pub(crate) async fn read(
    gateway: &Gateway,
    target: Target,
    options: Options,
    request: &Request<Incoming>,
    caller: &Caller,
) -> Result<Answer, Problem> {
    options.for_answer()?;
    if options.turn.is_some() {
        return Err(Problem::new(ErrorCode::Invalid, "`turn` belongs to long-polls").hint("leave it out"));
    }
    for _ in 0..JUDGED_MAX {
        let plan = plan(gateway, target.clone(), &options, caller).await?;
        let standing = plan.standing.clone();
        let answer = planned(gateway, plan, &options, request).await?;
        // What was read may have been written after the caller had lost the right to it.
        if standing.holds() {
            return Ok(answer);
        }
    }
    Err(Problem::new(ErrorCode::RateLimited, "what you may see changes faster than it is read"))
}

async fn planned(
    gateway: &Gateway,
    plan: Plan,
    options: &Options,
    request: &Request<Incoming>,
) -> Result<Answer, Problem> {
    loaded(&plan.channel)?;
    if plan.view.kind == Kind::History {
        if options.page.is_some() {
            return Err(Problem::new(ErrorCode::Invalid, "`page` belongs to pages of rows")
                .hint("follow the Link header as it is"));
        }
        if options.from.is_some() || options.snapshot.is_some() {
            return history(gateway, plan, options).await;
        }
    }
    let start = plan.start.clone();
    let reading = Reading::new(gateway, plan, options)?;
    if let Start::AsOf(at) = start {
        let made = reading.as_of(at, options.page.as_deref()).await?;
        return Ok(reading.answer(&made, options, request));
    }
    let made = match &options.page {
        None => gateway.answers.get(&reading.channel, &reading.asked, reading.read()).await?,
        Some(token) => Arc::new(reading.rows(Some(Page::parse(token, &reading.channel)?)).await?),
    };
    Ok(reading.answer(&made, options, request))
}

/// The answer to what is asked, if it is kept. What is refused is left to [`read`], and so is what has a filter, which
/// would be read twice where nothing is kept.
pub(crate) fn kept(
    gateway: &Gateway,
    target: Target,
    options: &Options,
    request: &Request<Incoming>,
) -> Option<Answer> {
    let begins = options.from.is_some() || options.at.is_some() || options.snapshot.is_some() || options.turn.is_some();
    if begins || options.page.is_some() || options.filter.is_some() {
        return None;
    }
    options.for_answer().ok()?;
    let asked = options.request(target);
    if gateway.hub.plan_blocks(&asked) {
        return None;
    }
    // Who shows something has not come here.
    let plan = gateway.hub.plan(&asked, &tidegate_hub::Caller::anonymous()).ok()?;
    loaded(&plan.channel).ok()?;
    if plan.channel.policies().access.asks.watch {
        return None;
    }
    let standing = plan.standing.clone();
    let reading = Reading::new(gateway, plan, options).ok()?;
    let made = gateway.answers.kept(&reading.channel, &reading.asked).filter(|_| standing.holds())?;
    Some(reading.answer(&made, options, request))
}

fn loaded(channel: &Channel) -> Result<(), Problem> {
    if channel.loading() {
        let detail = format!("the channel `{}` is still loading", channel.config.name);
        return Err(Problem::new(ErrorCode::Loading, detail));
    }
    Ok(())
}

/// The hub's plan; where it may read the disk it is made where blocking is allowed. If the channel asks an application, it
/// has allowed it.
pub(crate) async fn plan(
    gateway: &Gateway,
    target: Target,
    options: &Options,
    caller: &Caller,
) -> Result<Plan, Problem> {
    let (hub, request) = (gateway.hub.clone(), options.request(target));
    let policy = caller.policy().clone();
    let plan = match hub.plan_blocks(&request) {
        false => hub.plan(&request, &policy)?,
        true => tokio::task::spawn_blocking(move || hub.plan(&request, &policy))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?,
    };
    let config = &plan.channel.config;
    if plan.channel.policies().access.asks.watch {
        gateway.hooks.watch(caller, &config.name, &plan.view.scope.target).await?;
    }
    Ok(plan)
}

/// What is asked and how it is read: the way of everything that may be kept.
struct Reading<'g> {
    gateway: &'g Gateway,
    channel: Arc<Channel>,
    asked: Asked,
}

impl<'g> Reading<'g> {
    fn new(gateway: &'g Gateway, plan: Plan, options: &Options) -> Result<Reading<'g>, Problem> {
        let Plan { channel, view, oldest, .. } = plan;
        if single(&view.scope.target).is_some()
            && view.scope.key.is_some()
            && let Some((name, _)) = options.given.iter().find(|(name, _)| matches!(name.as_str(), "page" | "limit"))
        {
            let detail = format!("`{name}` makes no sense for one key, which has one value");
            return Err(Problem::new(ErrorCode::Invalid, detail).hint(format!("leave `{name}` out")));
        }
        let (limit, chain) = match view.kind {
            Kind::History => (options.limit.unwrap_or(NEWEST), options.chain),
            Kind::State => (options.limit.unwrap_or(ROWS_MAX), false),
        };
        let oldest = oldest.filter(|_| view.kind == Kind::History);
        let asked = Asked { channel: channel.log.id(), view, limit, chain, after: None, oldest };
        Ok(Reading { gateway, channel, asked })
    }

    /// Reads the log.
    async fn read(&self) -> Result<Made, Problem> {
        let View { scope, kind, .. } = &self.asked.view;
        match (kind, single(&scope.target), &scope.key) {
            (Kind::History, ..) => self.newest().await,
            (Kind::State, Some(address), Some(key)) => self.value(address, key).await,
            (Kind::State, ..) => self.rows(None).await,
        }
    }

    async fn value(&self, address: &Address, key: &str) -> Result<Made, Problem> {
        let value = self.gateway.hub.value(&self.channel, address, key).await?;
        let cursor = self.channel.cursor(&self.asked.view, value.at);
        let view = &self.asked.view;
        let shown = value.row.and_then(|row| Some((row.offset, view.row(&row, &self.channel.config)?)));
        let (what, data) = match shown {
            Some((changed, data)) if view.lens.is_none() => (What::Value(changed), data),
            Some((_, data)) if view.masks() => (What::Left(Fingerprint::of(&[&data])), data),
            Some((changed, data)) => (What::Shown(changed), data),
            None => (What::Absent, absent(address, key)),
        };
        let answers = &self.gateway.answers;
        let keeps = answers.takes(data.len());
        // A copy: the bytes may be a part of a large body, which would be kept as a whole.
        let body = if keeps { answers.count(data.to_vec()) } else { data };
        Ok(Made { keeps, ..Made::new(what, &cursor, value.at, body) })
    }

    async fn rows(&self, page: Option<Page>) -> Result<Made, Problem> {
        let Reading { gateway, channel, asked } = self;
        let began = page.as_ref().map(|page| page.at);
        let share = gateway.budget.take(ANSWER_BYTES).await?;
        let after = page.map(|page| page.after);
        let rows = gateway.hub.rows(channel, &asked.view, after, asked.limit).await?;
        // What other pages show is of other moments.
        let exact = rows.exact && rows.next.is_none() && began.is_none();
        let cursor = channel.rows_cursor(&asked.view, began.unwrap_or(rows.at), exact);
        let what = match rows.touched {
            Some(offset) if rows.next.is_none() && began.is_none() => What::Whole(offset),
            _ => What::Part(rows.rows.len()),
        };
        let body = rows_body(&rows.rows, &cursor);
        Ok(Made { next: rows.next, exact, ..self.made(what, &cursor, rows.since, body, share) })
    }

    async fn newest(&self) -> Result<Made, Problem> {
        let Reading { gateway, channel, asked } = self;
        let share = gateway.budget.take(ANSWER_BYTES).await?;
        let newest = gateway.hub.newest(channel, &asked.view, asked.limit, asked.oldest).await?;
        let cursor = channel.cursor(&asked.view, newest.upto);
        let body = frames(channel, &asked.view, &newest.records, asked.chain, None, Some(cursor));
        let what = match single(&asked.view.scope.target) {
            Some(_) if asked.view.lens.is_none() && asked.oldest.is_none() => What::Whole(newest.last),
            _ => What::Part(newest.records.len()),
        };
        let oldest = newest.records.first().map(|record| record.offset);
        Ok(Made { oldest, ..self.made(what, &cursor, newest.since, body, share) })
    }

    /// Counted among those that are kept, or else as a large answer.
    fn made(&self, what: What, cursor: &Cursor, since: Offset, body: Vec<u8>, share: Share) -> Made {
        let answers = &self.gateway.answers;
        // What may not be looked back at grows with time, without a record.
        let keeps = self.asked.oldest.is_none() && answers.takes(body.len());
        let body = if keeps { answers.count(body) } else { share.hold(body) };
        Made { keeps, ..Made::new(what, cursor, since, body) }
    }

    /// The answer to one request.
    fn answer(&self, made: &Made, options: &Options, request: &Request<Incoming>) -> Answer {
        let mut answer = match &made.etag {
            None => answer::with_body(ErrorCode::KeyNotFound.status(), answer::PROBLEM, made.body.clone()),
            Some(etag) if answer::none_match(request.headers(), etag) => answer::tagged(None, etag),
            Some(etag) => answer::tagged(Some(made.body.clone()), etag),
        };
        if !self.channel.read_by_everyone() {
            // Another caller sees something else at this URL, also in the same browser.
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        answer.headers_mut().insert(TIDEGATE_CURSOR, made.cursor.clone());
        if let Some(after) = &made.next {
            let page = Page { at: made.at, after: after.clone() };
            answer::header(&mut answer, LINK, &page.link(&self.channel, &self.asked.view.scope.target, options));
        }
        answer
    }
}

/// A key that has no value, as the body of its answer.
fn absent(address: &Address, key: &str) -> Bytes {
    let detail = format!("`{key}` has no value at `{}`", address.as_str());
    Problem::new(ErrorCode::KeyNotFound, detail).to_json().to_string().into()
}

fn rows_body(rows: &[Row], cursor: &Cursor) -> Vec<u8> {
    let bytes = rows.iter().map(|row| ENVELOPE_BYTES + row.address.as_str().len() + row.key.len() + row.data.len());
    let mut body = Vec::with_capacity(bytes.sum::<usize>() + ENVELOPE_BYTES);
    body.extend_from_slice(b"{\"rows\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"address\":");
        text::write_string(row.address.as_str(), &mut body);
        body.extend_from_slice(b",\"key\":");
        text::write_string(&row.key, &mut body);
        if let Some(time) = row.time {
            body.extend_from_slice(format!(",\"time\":\"{time}\"").as_bytes());
        }
        body.extend_from_slice(b",\"data\":");
        body.extend_from_slice(&row.data);
        body.push(b'}');
    }
    made::end(&mut body, cursor);
    body
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
        answer::header(&mut answer, LINK, &next(&plan, options, &cursor, None));
    }
    Ok(answer)
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
        changes(&Sight::new(record, &channel.config), view, true, |frame| frames.push(frame));
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
        Some(cursor) => made::end(&mut body, &cursor),
        None => body.extend_from_slice(b"],\"cursor\":null}"),
    }
    body
}

#[cfg(test)]
mod tests;
