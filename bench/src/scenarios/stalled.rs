//! A tenth of the watchers stop reading.

use tidegate_bench::{Options as Wanted, Pace, Scenario as What, Target};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::DURABLE;
use crate::place::Missing;

const WATCHERS: u32 = 300;
const DEAF: u32 = WATCHERS / 10;
/// Events a second; in half of the time they are more than the kernel holds for one who does not
/// read, and than a ring has.
const EVENTS: f64 = 300.0;
const EVENT_BYTES: usize = 4_096;

const LOAD: &str = "10 % of 300 do not read, 300/s of 4,096 B, durable";
pub(super) const STALLED: Scenario = Scenario { name: "stalled", number: 10, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&DURABLE)?;
    let wanted = bench.wanted(&running);
    let target = Target { event_bytes: EVENT_BYTES, ..wanted.target };
    let (pace, time) = (Pace::PerSecond(EVENTS), bench.options.time() * 2);
    let wanted = Wanted { target, watchers: WATCHERS, pace, time, ..wanted };
    let report = bench.report(What::Slow { stalled: DEAF }, &running, &wanted)?;
    let stalled = report.stalled.ok_or_else(|| Missing("nobody stalled".to_owned()))?;
    let ms = |us: u64| us as f64 / 1e3;
    let title = |what: &str| format!("{LOAD}: {what}");
    let p99 = Finding::new(10, title("p99 of the others"), Unit::Ms, ms(report.latency.p99_us), Goal::TimesAtMost(1.1));
    let p99 = p99.beside("before", ms(stalled.latency_before.p99_us));
    let growth = stalled.pss_growth_bytes.zip(stalled.pss_growth_before_bytes);
    let growth = match growth {
        Some((while_stalled, before)) => {
            let each = (while_stalled - before) as f64 / f64::from(DEAF);
            let note = format!("grew by {before} B before, and by {while_stalled} B then");
            Finding::new(10, title("growth of memory for one"), Unit::Bytes, each, Goal::AtMost(1_024.0)).note(note)
        }
        None => Finding::missing(10, title("growth of memory for one"), "memory cannot be read"),
    };
    Ok(vec![p99, growth])
}
