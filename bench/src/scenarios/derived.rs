//! Targets that are about cells of the table of peers: nothing is measured twice for them.

use crate::cells::{CELLS, Delivered, Load};
use crate::findings::{Finding, Goal, Unit, ms};
use crate::peers::{DURABLE, GUARDED_SSE, GUARDED_WEBSOCKET, LIMIT, OTHERS, Peer, SSE, WEBSOCKET};
use crate::table::Table;

/// What the cells of a run say, as far as they were measured.
pub(crate) fn derived(run: u32, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for cell in CELLS {
        let of = |peer: &Peer| table.load(run, cell.name, peer.name);
        for (peer, open) in [(&GUARDED_SSE, &SSE), (&GUARDED_WEBSOCKET, &WEBSOCKET)] {
            let Some((guarded, open)) = of(peer).zip(of(open)) else { continue };
            let title = format!("{}, {}: CPU a delivery", cell.title, peer.title);
            let cost = Finding::new(23, title, Unit::Us, guarded.cpu_us, Goal::TimesAtMost(1.03));
            findings.push(cost.beside("open to everybody", open.cpu_us));
        }
        let Some(limit) = of(&LIMIT) else { continue };
        for peer in [&SSE, &WEBSOCKET, &DURABLE] {
            let Some(own) = of(peer) else { continue };
            let title = |what: &str| format!("{}, {}: {what}", cell.title, peer.title);
            let durable = peer.name == DURABLE.name;
            let goal = |goal| if durable { Goal::Quoted } else { goal };
            let cost = |number, most| {
                Finding::new(number, title("CPU a delivery"), Unit::Us, own.cpu_us, goal(Goal::TimesAtMost(most)))
                    .beside("limit", limit.cpu_us)
            };
            match cell.load {
                Load::PerSecond(_) => {
                    findings.push(cost(1, 1.10));
                    for (what, own, limit) in [("p50", own.p50, limit.p50), ("p99", own.p99, limit.p99)] {
                        let latency = Finding::new(8, title(what), Unit::Ms, ms(own), goal(Goal::TimesAtMost(1.15)));
                        findings.push(latency.beside("limit", ms(limit)));
                    }
                }
                Load::Full if cell.channels > 1 => findings.push(cost(7, 1.2)),
                Load::Full => {
                    let beaten = best(run, table, cell.name).filter(|_| cell.watchers == 1_000 && !durable);
                    if let Some((name, best)) = beaten {
                        let title = title("CPU a delivery beside the best peer");
                        let cost = Finding::new(2, title, Unit::Us, own.cpu_us, Goal::TimesAtMost(1.0));
                        findings.push(cost.beside(name, best.cpu_us));
                    }
                    if cell.name == "full-1k-512" {
                        let goal = goal(Goal::TimesAtLeast(10.0));
                        let rate = Finding::new(4, title("deliveries"), Unit::PerSecond, own.per_second, goal);
                        findings.push(rate.beside("limit", limit.per_second));
                    }
                }
                Load::Idle => {}
            }
        }
    }
    findings
}

/// The peer that took least for a delivery.
fn best(run: u32, table: &Table, cell: &str) -> Option<(&'static str, Delivered)> {
    let measured = OTHERS.iter().filter_map(|peer| Some((peer.title, table.load(run, cell, peer.name)?)));
    measured.min_by(|(_, one), (_, other)| one.cpu_us.total_cmp(&other.cpu_us))
}
