//! Many addresses with one watcher each, published to in batches: a publish names one address in its
//! URL, but each envelope of its body may name another one of the same channel.

use tidegate_bench::{Options as Wanted, Scenario as What, Target};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::generator::delivered;
use crate::peers::{LIMIT, SSE};
use crate::place::Missing;

const ADDRESSES: u32 = 10_000;
/// Events of one publish.
const BATCH: u32 = 64;

pub(super) const BATCHES: Scenario = Scenario { name: "channels-10k-batches", number: 7, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let limit = bench.cell("channels-10k", &LIMIT)?;
    let running = bench.start(&SSE)?;
    let wanted = bench.wanted(&running);
    let target = Target {
        addresses: ADDRESSES,
        batch: BATCH,
        spread: true,
        publishers: bench.options.publishers,
        // As many publishes under way as without batches.
        window: Some(bench.options.publishers * BATCH),
        ..Target::new(running.subject.watch_address(), "live/c{n}")
    };
    let report = bench.report(What::Fanout, &running, &Wanted { target, watchers: ADDRESSES, ..wanted })?;
    let own = delivered(&report)?;
    let title = "10,000 channels, one watcher each, 64 B, Tidegate SSE, 64 events a publish: CPU a delivery";
    let cost = Finding::new(7, title, Unit::Us, own.cpu_us, Goal::TimesAtMost(0.7)).beside("limit", limit.cpu_us);
    Ok(vec![cost.note(format!("{:.0} k/s beside {:.0} k/s", own.per_second / 1e3, limit.per_second / 1e3))])
}
