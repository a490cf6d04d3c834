//! Saturation with a bound on latency, and a rate that is held.
//!
//! How much joins one write is how much may be under way, and so is the latency: as fast as it goes,
//! any server looks better the longer its queue may be. So each gets the largest window whose p99
//! stays below one and the same bound, and is measured with that.

use std::time::Duration;

use tidegate_bench::{Options as Wanted, Pace, Scenario as What, Target, grouped};

use super::{Bench, Scenario};
use crate::cells::Delivered;
use crate::findings::{Finding, Goal, Unit, ms};
use crate::generator::delivered;
use crate::peers::{PATIENT, Peer, REFERENCE, Running, SSE, WEBSOCKET};
use crate::place::Missing;

/// The largest window is 2 to this.
const WINDOW_POWER_MAX: u32 = 8;
/// The bound to 1,000.
const P99_THOUSAND: Duration = Duration::from_millis(20);
/// To 10,000, one write to each takes 50 ms already.
const P99_TEN_THOUSAND: Duration = Duration::from_millis(200);

pub(super) const THOUSAND: Scenario =
    Scenario { name: "held-1k", number: 2, measure: |bench| all(bench, 2, 1_000, P99_THOUSAND) };
pub(super) const TEN_THOUSAND: Scenario =
    Scenario { name: "held-10k", number: 3, measure: |bench| all(bench, 3, 10_000, P99_TEN_THOUSAND) };
pub(super) const FOUR_HUNDRED_THOUSAND: Scenario = Scenario { name: "held-400k", number: 5, measure: rate };

fn all(bench: &Bench<'_>, number: u32, watchers: u32, bound: Duration) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    for event_bytes in [64, 512, 4_096] {
        let (reference, reference_window) = held(bench, &REFERENCE, watchers, event_bytes, bound)?;
        for peer in bench.asked(&[&SSE, &WEBSOCKET]) {
            let (own, window) = held(bench, peer, watchers, event_bytes, bound)?;
            let [to, bytes] = [f64::from(watchers), event_bytes as f64].map(grouped);
            let title = format!("full speed to {to}, {bytes} B, p99 held, {}", peer.title);
            let rates = format!("{:.0} k/s beside {:.0} k/s", own.per_second / 1e3, reference.per_second / 1e3);
            let cost =
                Finding::new(number, format!("{title}: CPU a delivery"), Unit::Us, own.cpu_us, Goal::TimesAtMost(1.0));
            findings.push(cost.beside("reference loop", reference.cpu_us).note(rates));
            let p99 = Finding::new(number, format!("{title}: p99"), Unit::Ms, ms(own.p99), Goal::AtMost(ms(bound)));
            let windows = format!("{window} events under way beside {reference_window}");
            findings.push(p99.beside("reference loop", ms(reference.p99)).note(windows));
        }
    }
    Ok(findings)
}

/// A server as fast as it goes with the largest window that keeps the bound, and that window.
fn held(
    bench: &Bench<'_>,
    peer: &Peer,
    watchers: u32,
    event_bytes: usize,
    bound: Duration,
) -> Result<(Delivered, u32), Missing> {
    let running = bench.start(peer)?;
    let measure = |window: u32, time: Duration| measure(bench, &running, watchers, event_bytes, (window, time));
    // The largest that keeps the bound lies from `next` on, and below `too_large`.
    let (mut next, mut too_large) = (0, WINDOW_POWER_MAX + 1);
    let mut best: Option<(Duration, u32)> = None;
    while next < too_large {
        let power = next.midpoint(too_large);
        let probe = || Ok::<_, Missing>(measure(1 << power, bench.options.time() / 4)?.p99);
        let mut p99 = probe()?;
        if p99 > bound {
            // Once more, because a single stall of the machine is enough in so short a time.
            p99 = p99.min(probe()?);
        }
        if p99 <= bound {
            (next, best) = (power + 1, Some((p99, power)));
        } else {
            too_large = power;
            // Where none keeps it, the one that comes nearest.
            best = best.filter(|(best, _)| *best <= p99).or(Some((p99, power)));
        }
    }
    let window = best.map_or(1, |(_, power)| 1 << power);
    Ok((measure(window, bench.options.time())?, window))
}

fn measure(
    bench: &Bench<'_>,
    running: &Running,
    watchers: u32,
    event_bytes: usize,
    (window, time): (u32, Duration),
) -> Result<Delivered, Missing> {
    let wanted = bench.wanted(running);
    let target = Target { event_bytes, window: Some(window), ..wanted.target };
    let wanted = Wanted { target, watchers, time, warm_up: time / 5, ..wanted };
    delivered(&bench.report(What::Fanout, running, &wanted)?)
}

/// 400,000 deliveries a second, 512 bytes to 1,000.
fn rate(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    const WATCHERS: u32 = 1_000;
    const EVENTS: u32 = 400;
    let held = |peer: &Peer| -> Result<Result<Delivered, String>, Missing> {
        let running = match bench.start(peer) {
            Ok(running) => running,
            Err(Missing(why)) => return Ok(Err(why)),
        };
        let wanted = bench.wanted(&running);
        let target = Target { event_bytes: 512, ..wanted.target };
        let wanted = Wanted { target, watchers: WATCHERS, pace: Pace::PerSecond(f64::from(EVENTS)), ..wanted };
        let found = delivered(&bench.report(What::Fanout, &running, &wanted)?)?;
        let held = found.per_second > 0.95 * f64::from(WATCHERS * EVENTS);
        Ok(if held { Ok(found) } else { Err(format!("held {:.0} deliveries/s only", found.per_second)) })
    };
    let cores = |found: &Delivered| found.cpu_us * found.per_second / 1e6;
    let reference = held(&REFERENCE)?;
    let mut findings = Vec::new();
    for (peer, most) in [(&SSE, 0.9), (&PATIENT, 0.4)] {
        if !bench.options.wants(SSE.name) {
            continue;
        }
        let title = |what: &str| format!("400,000/s to 1,000, 512 B, {}: {what}", peer.title);
        match held(peer)? {
            Err(why) => findings.push(Finding::missing(5, title("cores"), why)),
            Ok(own) => {
                let mut used = Finding::new(5, title("cores"), Unit::Cores, cores(&own), Goal::AtMost(most));
                let mut p99 = Finding::new(5, title("p99"), Unit::Ms, ms(own.p99), Goal::AtMost(50.0));
                if let Ok(reference) = &reference {
                    used = used.beside("reference loop", cores(reference));
                    p99 = p99.beside("reference loop", ms(reference.p99));
                }
                findings.extend([used, p99]);
            }
        }
    }
    Ok(findings)
}
