//! What callers see of one hub, and what nobody learns of what is hidden.

mod door;
mod leaks;
mod lookups;
mod publish;
mod revision;

use tidegate_core::{Frame, Mask, Offset, Problem};
use tidegate_log::ReadLimit;

use super::*;
use crate::testing::{TestHub, target};
use crate::watch::View;
use crate::{Format, Plan, WatchRequest};

/// `kv/{region}` with the key `id`.
fn hub(access: impl Fn(&Vocabulary) -> Access) -> TestHub {
    TestHub::with(|config| {
        if config.name == "kv" {
            config.access = access(&Vocabulary::of(&config.template, true));
        }
    })
}

/// Everybody sees their own rows, without `ssn` and `pay.iban`; anybody writes.
fn own_rows() -> TestHub {
    hub(|words| Access {
        rows: rule(Right::Rows, "data.owner == claims.sub", words),
        mask: Some(std::sync::Arc::new("ssn,pay.iban".parse::<Mask>().expect("a mask"))),
        ..Access::open()
    })
}

fn rule(right: Right, text: &str, words: &Vocabulary) -> Policy {
    Policy::parse(right, text, words).unwrap_or_else(|error| panic!("{error}"))
}

fn caller(claims: &str) -> Caller {
    Caller::with_claims(claims.to_owned()).expect("claims")
}

fn sub(name: &str) -> Caller {
    caller(&format!(r#"{{"sub":"{name}"}}"#))
}

fn asked(path: &str) -> WatchRequest {
    WatchRequest::new(target(path))
}

fn refused(hub: &TestHub, request: &WatchRequest, caller: &Caller) -> Problem {
    hub.plan(request, caller).map(|plan| plan.start).expect_err("refused")
}

/// Data of the rows of a snapshot.
async fn rows(hub: &TestHub, path: &str, caller: &Caller) -> Vec<String> {
    let Plan { channel, view, .. } = hub.plan(&asked(path), caller).expect("a plan");
    let page = hub.rows(&channel, &view, None, 100).await.expect("rows");
    page.rows.iter().map(|row| String::from_utf8_lossy(&row.data).into_owned()).collect()
}

/// Frames of all records after an offset, as text.
fn told(hub: &TestHub, plan: &Plan, after: Offset) -> Vec<String> {
    let limit = ReadLimit { records: 1_000, bytes: 1 << 20 };
    let page = plan.channel.log.read(after, plan.channel.log.head(), &plan.view.scope, limit).expect("records");
    let mut found = Vec::new();
    plan.view.tell(&page.records, &plan.channel.config, |frame| found.push(text(hub, &plan.view, &frame)));
    found
}

fn text(hub: &TestHub, view: &View, frame: &Frame) -> String {
    let channel = hub.catalog().iter().next().expect("a channel");
    let mut cursors = tidegate_core::frame::Cursors::new(channel.cursor(view, 0).prefix(), false, None);
    let mut out = Vec::new();
    frame.write_json(&mut cursors, &mut out);
    String::from_utf8(out).expect("text")
}

async fn post(hub: &TestHub, body: &str) {
    hub.post("kv/eu", Format::Json, body).await.expect("published");
}
