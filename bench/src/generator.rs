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
    let report = report(Scenario::Idle, running, &of_cell(running, cell, options))?;
    let bytes = report.server.and_then(|server| server.pss_bytes_per_watcher);
    bytes.ok_or_else(|| Missing("its memory cannot be read".to_owned()))
}

/// What deliveries cost.
pub(crate) fn load(running: &Running, cell: &Cell, options: &Options) -> Result<Delivered, Missing> {
    delivered(&report(Scenario::Fanout, running, &of_cell(running, cell, options))?)
}

/// The same of any report.
pub(crate) fn delivered(report: &Report) -> Result<Delivered, Missing> {
    let cost = report.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
    Ok(Delivered {
        cpu_us: cost.ok_or_else(|| Missing("delivered nothing".to_owned()))?,
        p50: Duration::from_micros(report.latency.p50_us),
        p99: Duration::from_micros(report.latency.p99_us),
        per_second: report.deliveries_per_second,
        wrong: wrong(report),
    })
}

/// Events that a watcher did not get, got twice or out of order, and watchers that were cut.
pub(crate) fn wrong(report: &Report) -> u64 {
    report.lost + report.doubled + report.reordered + report.cut_by_server
}

/// A load on this server that is still to be told what it does.
pub(crate) fn wanted(running: &Running, options: &Options) -> Wanted {
    Wanted {
        target: Target {
            foreign: Some(Arc::clone(&running.subject)),
            publishers: options.publishers,
            window: Some(options.window),
            ..Target::new(running.subject.watch_address(), "")
        },
        watchers: 0,
        pace: Pace::Fastest,
        time: options.time(),
        warm_up: options.time() / 5,
        patience: PATIENCE,
        server: Some(process(running)),
    }
}

/// All processes of a server.
pub(crate) fn process(running: &Running) -> Process {
    Process::session(running.process.session().as_raw_nonzero().get().unsigned_abs())
}

/// Runs a load.
pub(crate) fn report(scenario: Scenario, running: &Running, wanted: &Wanted) -> Result<Report, Missing> {
    run(scenario, wanted, |_| {}).map_err(|error| missing(running, &error))
}

/// Why a load could not go on, and what the server says.
pub(crate) fn missing(running: &Running, error: &Error) -> Missing {
    let why = error.to_string().replace('\n', " ");
    Missing(format!("{why} (it said: {})", running.place.said()))
}

fn of_cell(running: &Running, cell: &Cell, options: &Options) -> Wanted {
    let wanted = wanted(running, options);
    Wanted {
        target: Target { addresses: cell.channels, event_bytes: cell.event_bytes, ..wanted.target },
        watchers: cell.watchers,
        pace: match cell.load {
            Load::PerSecond(deliveries) => Pace::PerSecond(f64::from(deliveries / cell.watchers_of_one())),
            Load::Full | Load::Idle => Pace::Fastest,
        },
        time: if cell.load == Load::Idle { IDLE } else { options.time() },
        ..wanted
    }
}
