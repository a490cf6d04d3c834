//! What watchers weigh in whose addresses nothing happens.

use std::time::Duration;

use tidegate_bench::{Error, Options as Wanted, Report, Scenario as What, ServerCost, Target, grouped};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{LIMIT, Peer, SSE, WEBSOCKET};
use crate::place::Missing;

/// So many times the time of a cell: a minute, of its five seconds.
const TIMES: u32 = 12;
/// Where memory alone is looked at.
const SHORT: Duration = Duration::from_secs(3);

pub(super) const TEN_THOUSAND: Scenario =
    Scenario { name: "idle-10k-minute", number: 6, measure: |bench| connections(bench, 10_000) };
pub(super) const NINETEEN_THOUSAND: Scenario =
    Scenario { name: "idle-19k-minute", number: 6, measure: |bench| connections(bench, 19_000) };
pub(super) const ADDRESSES: Scenario = Scenario { name: "idle-addresses", number: 18, measure: addresses };

fn connections(bench: &Bench<'_>, watchers: u32) -> Result<Vec<Finding>, Missing> {
    let limit = cost(&weigh(bench, &LIMIT, watchers, 1, SHORT)?)?;
    let mut findings = Vec::new();
    for peer in bench.asked(&[&SSE, &WEBSOCKET]) {
        let report = weigh(bench, peer, watchers, 1, bench.options.time() * TIMES)?;
        let own = cost(&report)?;
        let title = |what: &str| format!("idle, {} {}: {what}", grouped(f64::from(watchers)), peer.title);
        findings.push(bytes(6, title("memory of one"), own.pss_bytes_per_watcher, Goal::AtMost(600.0)));
        let kernel =
            bytes(6, title("memory of the kernel for one, both ends"), own.kernel_bytes_per_watcher, Goal::Quoted);
        findings.push(match limit.kernel_bytes_per_watcher {
            Some(limit) => kernel.beside("limit", limit),
            None => kernel,
        });
        let per_minute = own.cpu_seconds / report.seconds * 60.0;
        let cpu = Finding::new(6, title("CPU in a minute"), Unit::Seconds, per_minute, Goal::Quoted);
        findings.push(cpu.note(format!("over {:.0} s, with the heartbeats of that time", report.seconds)));
    }
    Ok(findings)
}

/// By how much more 10,000 watchers weigh if each has an address of its own.
fn addresses(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    const WATCHERS: u32 = 10_000;
    let of = |addresses: u32| -> Result<Option<f64>, Missing> {
        Ok(cost(&weigh(bench, &SSE, WATCHERS, addresses, SHORT)?)?.pss_bytes_per_watcher)
    };
    let (one, each) = (of(1)?, of(WATCHERS)?);
    let title = "memory of an address with one watcher, beside the watcher";
    let between = one.zip(each).map(|(one, each)| each - one);
    Ok(vec![bytes(18, title.to_owned(), between, Goal::AtMost(1_024.0))])
}

fn weigh(bench: &Bench<'_>, peer: &Peer, watchers: u32, addresses: u32, time: Duration) -> Result<Report, Missing> {
    let running = bench.start(peer)?;
    let wanted = bench.wanted(&running);
    let target = Target { addresses, ..wanted.target };
    bench.report(What::Idle, &running, &Wanted { target, watchers, time, ..wanted })
}

fn cost(report: &Report) -> Result<ServerCost, Missing> {
    report.server.clone().ok_or_else(|| Missing(Error::Gone.to_string()))
}

fn bytes(number: u32, title: String, bytes: Option<f64>, goal: Goal) -> Finding {
    match bytes {
        Some(bytes) => Finding::new(number, title, Unit::Bytes, bytes, goal),
        None => Finding::missing(number, title, "it did not grow, or cannot be read"),
    }
}
