//! The generator of `tidegate bench`, let loose on whatever server runs.

use std::sync::Arc;
use std::time::Duration;

use tidegate_bench::{Error, Options as Wanted, Pace, Process, Report, Scenario, Target, run};

use crate::cells::{Cell, Delivered, Load};
use crate::options::Options;
use crate::peers::Running;
use crate::place::Missing;

/// Without any news for so long, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long idle watchers watch before memory is looked at: collectors of garbage have run by then.
const IDLE: Duration = Duration::from_secs(3);

/// Bytes of memory of each connection of an idle watcher.
pub(crate) fn idle(running: &Running, cell: &Cell, options: &Options) -> Result<f64, Missing> {
    let report = report(Scenario::Idle, running, cell, options)?;
    let bytes = report.server.and_then(|server| server.pss_bytes_per_watcher);
    bytes.ok_or_else(|| Missing("its memory cannot be read".to_owned()))
}

/// What deliveries cost.
pub(crate) fn load(running: &Running, cell: &Cell, options: &Options) -> Result<Delivered, Missing> {
    let report = report(Scenario::Fanout, running, cell, options)?;
    let cost = report.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
    Ok(Delivered {
        cpu_us: cost.ok_or_else(|| Missing("delivered nothing".to_owned()))?,
        p50: Duration::from_micros(report.latency.p50_us),
        p99: Duration::from_micros(report.latency.p99_us),
        per_second: report.deliveries_per_second,
        wrong: report.lost + report.doubled + report.reordered + report.cut_by_server,
    })
}

fn report(scenario: Scenario, running: &Running, cell: &Cell, options: &Options) -> Result<Report, Missing> {
    let target = Target {
        foreign: Some(Arc::clone(&running.subject)),
        addresses: cell.channels,
        event_bytes: cell.event_bytes,
        publishers: options.publishers,
        window: Some(options.window),
        ..Target::new(running.subject.watch_address(), "")
    };
    let wanted = Wanted {
        target,
        watchers: cell.watchers,
        pace: match cell.load {
            Load::PerSecond(deliveries) => Pace::PerSecond(f64::from(deliveries / cell.watchers_of_one())),
            Load::Full | Load::Idle => Pace::Fastest,
        },
        time: if cell.load == Load::Idle { IDLE } else { options.time() },
        warm_up: options.time() / 5,
        patience: PATIENCE,
        server: Some(Process::session(running.process.session().as_raw_nonzero().get().unsigned_abs())),
    };
    run(scenario, &wanted, |_| {}).map_err(|error| Missing(said(&error)))
}

/// An error with its causes, on one line.
fn said(error: &Error) -> String {
    error.to_string().replace('\n', " ")
}
