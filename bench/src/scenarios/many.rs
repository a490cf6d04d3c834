//! Many watches on one socket, and a quiet address beside a busy one.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_bench::{Acknowledged, Error, Options as Wanted, Pace, Scenario as What, Step, Subject, Target};

use super::beside::beside;
use super::{Bench, Scenario};
use crate::cells::Delivered;
use crate::findings::{Finding, Goal, Unit};
use crate::generator::delivered;
use crate::peers::{SSE, WEBSOCKET};
use crate::place::Missing;
use crate::subject::{channel_name, frame, upgrade};

/// Sockets, and watches on each: an address each.
const SOCKETS: u32 = 100;
const ADDRESSES: u32 = 100;
/// So that each watch alone has what 50,000 deliveries a second are.
const ALONE: Pace = Pace::PerSecond(50_000.0 / SOCKETS as f64);
const BUSY_WATCHERS: u32 = 10_000;
const QUIET_WATCHERS: u32 = 10;
const QUIET_PACE: Pace = Pace::PerSecond(20.0);

pub(super) const MANY: Scenario = Scenario { name: "many-watches", number: 14, measure: many };
pub(super) const QUIET: Scenario = Scenario { name: "quiet", number: 15, measure: quiet };

/// A server where one socket watches all addresses.
#[derive(Debug)]
struct Many {
    server: Arc<dyn Subject>,
}

impl Subject for Many {
    fn watch_address(&self) -> SocketAddr {
        self.server.watch_address()
    }

    fn watch(&self, _: u32, _: u32) -> Vec<Step> {
        let watch = |number: u32| {
            let address = format!("live/{}", channel_name(number));
            frame(&serde_json::json!({"do": "watch", "ref": number, "address": address}).to_string())
        };
        let last = format!(r#""op":"done","ref":{},"#, ADDRESSES - 1);
        vec![
            Step { say: upgrade("/v1/_ws"), hear: b"\r\n\r\n".to_vec() },
            Step { say: (0..ADDRESSES).flat_map(watch).collect(), hear: last.into_bytes() },
        ]
    }

    fn publish_address(&self) -> SocketAddr {
        self.server.publish_address()
    }

    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>) {
        self.server.publish(number, event, out);
    }

    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        self.server.acknowledged(answer)
    }
}

fn many(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    for (how, pace) in [("alone", ALONE), ("busy", Pace::Fastest)] {
        let each = loaded(bench, pace, false)?;
        let many = loaded(bench, pace, true)?;
        let title = format!("10,000 watches over 100 WebSockets, {how}: CPU a delivery");
        let finding = Finding::new(14, title, Unit::Us, many.cpu_us, Goal::TimesAtMost(1.0));
        findings
            .push(finding.beside("a WebSocket each", each.cpu_us).note(format!("{:.0} k/s", many.per_second / 1e3)));
    }
    Ok(findings)
}

fn loaded(bench: &Bench<'_>, pace: Pace, wide: bool) -> Result<Delivered, Missing> {
    let running = bench.start(&WEBSOCKET)?;
    let wanted = Wanted { pace, ..bench.wanted(&running) };
    let target = Target { addresses: ADDRESSES, event_bytes: 512, wide, ..wanted.target };
    let (target, watchers) = if wide {
        let many: Arc<dyn Subject> = Arc::new(Many { server: Arc::clone(&running.subject) });
        (Target { foreign: Some(many), ..target }, SOCKETS)
    } else {
        (target, SOCKETS * ADDRESSES)
    };
    delivered(&bench.report(What::Fanout, &running, &Wanted { target, watchers, ..wanted })?)
}

/// One load saturates an address, the other watches another one.
fn quiet(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&SSE)?;
    let target = |address| Target::new(running.subject.watch_address(), address);
    let wanted = bench.wanted(&running);
    let busy = Target { window: wanted.target.window, publishers: wanted.target.publishers, ..target("live/busy") };
    let (warm_up, time) = (wanted.warm_up, wanted.time);
    // It goes on for longer than the other one, which begins when this one is under way.
    let busy = Wanted { target: busy, watchers: BUSY_WATCHERS, time: time * 2 + warm_up, ..wanted.clone() };
    let quiet = Wanted { target: target("live/quiet"), watchers: QUIET_WATCHERS, pace: QUIET_PACE, ..wanted };
    let (busy, quiet) = beside(bench, &running, (What::Fanout, &busy), "loading", &quiet)?;
    let title = "a quiet address beside one that is saturated for 10,000: p99";
    let p99 = Finding::new(15, title, Unit::Ms, quiet.latency.p99_us as f64 / 1e3, Goal::AtMost(5.0));
    Ok(vec![p99.note(format!(
        "p50 {:.1} ms; {:.0} k/s beside",
        quiet.latency.p50_us as f64 / 1e3,
        busy.deliveries_per_second / 1e3
    ))])
}
