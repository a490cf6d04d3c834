//! A tenth of the watchers stop reading.
//!
//! What the log keeps in memory of the events of that time is far more than what is wanted to be seen,
//! so the growth of a server of whose watchers all read is taken away.

use tidegate_bench::{Options as Wanted, Pace, Report, Scenario as What, Stalled, Target};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::DURABLE;
use crate::place::Missing;

const WATCHERS: u32 = 1_000;
const DEAF: u32 = WATCHERS / 10;
/// Events a second; in half of the time they are more than the kernel holds for one who does not
/// read, and than a ring has.
const EVENTS: f64 = 100.0;
const EVENT_BYTES: usize = 4_096;

const LOAD: &str = "10 % of 1,000 do not read, 100/s of 4,096 B, durable";
pub(super) const STALLED: Scenario = Scenario { name: "stalled", number: 10, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let (_, all_read) = load(bench, 0)?;
    let (report, stalled) = load(bench, DEAF)?;
    let ms = |us: u64| us as f64 / 1e3;
    let title = |what: &str| format!("{LOAD}: {what}");
    let p99 = Finding::new(10, title("p99 of the others"), Unit::Ms, ms(report.latency.p99_us), Goal::TimesAtMost(1.1));
    let p99 = p99.beside("before", ms(stalled.latency_before.p99_us));
    let growth = match stalled.pss_growth_bytes.zip(all_read.pss_growth_bytes) {
        Some((while_stalled, else_)) => {
            let each = (while_stalled - else_) as f64 / f64::from(DEAF);
            let note = format!("grew by {while_stalled} B, and by {else_} B where all read");
            Finding::new(10, title("growth of memory for one"), Unit::Bytes, each, Goal::AtMost(1_024.0)).note(note)
        }
        None => Finding::missing(10, title("growth of memory for one"), "memory cannot be read"),
    };
    Ok(vec![p99, growth])
}

fn load(bench: &Bench<'_>, stalled: u32) -> Result<(Report, Stalled), Missing> {
    let running = bench.start(&DURABLE)?;
    let wanted = bench.wanted(&running);
    let target = Target { event_bytes: EVENT_BYTES, ..wanted.target };
    let (pace, time) = (Pace::PerSecond(EVENTS), bench.options.time() * 2);
    let wanted = Wanted { target, watchers: WATCHERS, pace, time, ..wanted };
    let report = bench.report(What::Slow { stalled }, &running, &wanted)?;
    let stalled = report.stalled.clone().ok_or_else(|| Missing("nobody stalled".to_owned()))?;
    Ok((report, stalled))
}
