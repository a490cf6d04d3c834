//! What it costs to know who watches: row rules, of one caller and of a thousand, and callers who are idle. What a channel
//! policy costs is in the cells of the table of peers.

use std::time::Duration;

use tidegate_bench::{Options as Wanted, Pace, Report, Scenario as What};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{Guarded, Running, Server};
use crate::place::Missing;
use crate::subject::Transport;

const WATCHERS: u32 = 1_000;
const IDLE: u32 = 10_000;
/// Tokens that nobody shows again are forgotten in a minute.
const SETTLED: Duration = Duration::from_secs(75);

pub(super) const GATE: Scenario = Scenario { name: "gate", number: 23, measure };
pub(super) const IDLE_CALLERS: Scenario = Scenario { name: "gate-idle", number: 23, measure: idle };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    for (pace, load) in [(Pace::PerSecond(50.0), "50,000/s to 1,000"), (Pace::Fastest, "full speed to 1,000")] {
        let open = delivery(bench, &open(bench)?, pace)?;
        for (subjects, what) in [(1, "1 residual"), (WATCHERS, "1,000 residuals")] {
            let owned = Guarded { channel: "owned", subjects }.start(bench.place()?, Transport::Sse)?;
            let title = format!("gate, {load}, row rules, {what}: CPU a delivery");
            let finding = Finding::new(23, title, Unit::Us, delivery(bench, &owned, pace)?, Goal::Quoted);
            findings.push(finding.beside("open to everybody", open));
        }
    }
    Ok(findings)
}

fn idle(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let open = memory(bench, &open(bench)?)?;
    let callers = Guarded { channel: "guarded", subjects: IDLE }.start(bench.place()?, Transport::Sse)?;
    let more = memory(bench, &callers)? - open;
    let title = "gate, idle, 10,000 callers with a token each: memory of one, beyond that of one whom nobody knows";
    Ok(vec![Finding::new(23, title, Unit::Bytes, more, Goal::AtMost(200.0))])
}

fn open(bench: &Bench<'_>) -> Result<Running, Missing> {
    Server::new(Transport::Sse, false).start(bench.place()?)
}

fn delivery(bench: &Bench<'_>, running: &Running, pace: Pace) -> Result<f64, Missing> {
    let wanted = Wanted { watchers: WATCHERS, pace, ..bench.wanted(running) };
    let report = bench.report(What::Fanout, running, &wanted)?;
    let cost = report.server.and_then(|server| server.cpu_us_per_delivery);
    cost.ok_or_else(|| Missing("delivered nothing".to_owned()))
}

fn memory(bench: &Bench<'_>, running: &Running) -> Result<f64, Missing> {
    let wanted = Wanted { watchers: IDLE, time: SETTLED, ..bench.wanted(running) };
    let report: Report = bench.report(What::Idle, running, &wanted)?;
    let bytes = report.server.and_then(|server| server.pss_bytes_per_watcher);
    bytes.ok_or_else(|| Missing("its memory cannot be read".to_owned()))
}
