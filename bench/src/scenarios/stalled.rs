//! Some of the watchers stop reading.

use tidegate_bench::{Options as Wanted, Pace, Report, Scenario as What, Stalled, Target};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::DURABLE;
use crate::place::Missing;

const EVENT_BYTES: usize = 4_096;
pub(super) const STALLED: Scenario = Scenario { name: "stalled", number: 10, measure };

/// So many watch, and some of them do not read in the second half.
struct Load {
    watchers: u32,
    deaf: u32,
    /// Events a second; in half of the time they are more than the kernel holds for one who does not
    /// read, and than a ring has.
    events: f64,
}

/// What the others notice.
const FEW: Load = Load { watchers: 300, deaf: 30, events: 300.0 };
/// What those weigh who do not read: so many that it is more than the log's own growth is uncertain.
const MOST: Load = Load { watchers: 1_000, deaf: 900, events: 60.0 };
/// The same events to those of them who read.
const NONE: Load = Load { watchers: 100, deaf: 0, events: 60.0 };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let (report, stalled) = run(bench, &FEW)?;
    let ms = |us: u64| us as f64 / 1e3;
    let title = "10 % of 300 do not read, 300/s of 4,096 B, durable: p99 of the others".to_owned();
    let p99 = Finding::new(10, title, Unit::Ms, ms(report.latency.p99_us), Goal::TimesAtMost(1.1));
    Ok(vec![p99.beside("before", ms(stalled.latency_before.p99_us)), growth(bench)?])
}

/// How much the server grows for one, beside what it grows anyway: the log keeps the events in memory.
fn growth(bench: &Bench<'_>) -> Result<Finding, Missing> {
    let (most, none) = (run(bench, &MOST)?.1, run(bench, &NONE)?.1);
    let title = "900 of 1,000 do not read, 60/s of 4,096 B, durable: growth of memory for one".to_owned();
    Ok(match most.pss_growth_bytes.zip(none.pss_growth_bytes) {
        Some((deaf, anyway)) => {
            let each = (deaf - anyway) as f64 / f64::from(MOST.deaf);
            let note = format!("grew by {deaf} B, and by {anyway} B with none of them");
            Finding::new(10, title, Unit::Bytes, each, Goal::AtMost(1_024.0)).note(note)
        }
        None => Finding::missing(10, title, "memory cannot be read"),
    })
}

fn run(bench: &Bench<'_>, load: &Load) -> Result<(Report, Stalled), Missing> {
    let running = bench.start(&DURABLE)?;
    let wanted = bench.wanted(&running);
    let target = Target { event_bytes: EVENT_BYTES, ..wanted.target };
    let (pace, time) = (Pace::PerSecond(load.events), bench.options.time() * 2);
    let wanted = Wanted { target, watchers: load.watchers, pace, time, ..wanted };
    let report = bench.report(What::Slow { stalled: load.deaf }, &running, &wanted)?;
    let stalled = report.stalled.clone().ok_or_else(|| Missing("nobody stalled".to_owned()))?;
    Ok((report, stalled))
}
