//! Watchers that come and go.

use tidegate_bench::{Options as Wanted, Pace, Scenario as What};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{HANDSHAKE, Peer, SSE, WEBSOCKET};
use crate::place::Missing;

const WATCHERS: u32 = 500;
/// So many leave each second, and so many come.
const PER_SECOND: f64 = 1_000.0;

pub(super) const CONNECT: Scenario = Scenario { name: "connect", number: 9, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let handshake = cost(bench, &HANDSHAKE)?;
    let mut findings = Vec::new();
    for peer in bench.asked(&[&SSE, &WEBSOCKET]) {
        let title = format!("connect, watch, close, {}: CPU", peer.title);
        let own = Finding::new(9, title, Unit::Us, cost(bench, peer)?, Goal::TimesAtMost(1.5));
        findings.push(own.beside("hyper's handshake", handshake));
    }
    Ok(findings)
}

/// CPU time for each that came.
fn cost(bench: &Bench<'_>, peer: &Peer) -> Result<f64, Missing> {
    let running = bench.start(peer)?;
    let wanted = Wanted { watchers: WATCHERS, pace: Pace::Never, ..bench.wanted(&running) };
    let report = bench.report(What::Churn { cuts_per_second: PER_SECOND }, &running, &wanted)?;
    let cost = report.server.and_then(|server| server.cpu_us_per_connection);
    cost.ok_or_else(|| Missing("nobody came".to_owned()))
}
