//! Two loads on one server at once: a heavy one, and a light one whose latencies are looked at.

use std::sync::mpsc::sync_channel;

use tidegate_bench::{Options as Wanted, Report, Scenario as What, run};

use super::Bench;
use crate::generator;
use crate::peers::Running;
use crate::place::Missing;

/// The light load begins when the heavy one has come to `phase`, on a thread of its own that need
/// not wait for the one of the heavy load, though they share a processor.
pub(super) fn beside(
    bench: &Bench<'_>,
    running: &Running,
    (heavy, heavily): (What, &Wanted),
    phase: &str,
    light: &Wanted,
) -> Result<(Report, Report), Missing> {
    let (comes, begins) = sync_channel(1);
    let (heavy, light) = std::thread::scope(|scope| {
        let light = scope.spawn(move || {
            // An error says that the heavy load never came so far.
            begins.recv().ok()?;
            go_first();
            Some(run(What::Fanout, light, |_| {}))
        });
        let heavy = run(heavy, heavily, |moment| {
            if moment.phase == phase {
                let _ = comes.try_send(());
            }
        });
        drop(comes);
        (heavy, light.join())
    });
    let failed = |error| generator::missing(running, &error);
    let heavy = heavy.map_err(failed)?;
    let light = light.ok().flatten().ok_or_else(|| Missing("the heavy load was over too soon".to_owned()))?;
    let light = light.map_err(failed)?;
    bench.counts(generator::wrong(&heavy) + generator::wrong(&light));
    Ok((heavy, light))
}

/// This thread before all others of its processor, where that is allowed: it does little.
fn go_first() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let _ = std::process::Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).output();
}
