//! Watchers that are far behind: those who come back, and those who fall behind a burst.

use std::time::Duration;

use tidegate_bench::{Load, Options as Wanted, Pace, Process, Scenario as What, Target};

use super::beside::beside;
use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::generator;
use crate::peers::{DURABLE, Files, Running};
use crate::place::Missing;
use crate::requests::{self, Until};

const WATCHERS: u32 = 1_000;
const EVENT_BYTES: usize = 512;
/// Events that come back to each: 10 MB of events.
const BACKLOG: u32 = 10_000_000 / EVENT_BYTES as u32;
/// Who watches live meanwhile, and how many events come then.
const LIVE: u32 = 10;
const LIVE_PACE: Pace = Pace::PerSecond(100.0);
/// Twice the ring of an address, which has 256 KiB.
const BURST: u32 = 2 * 256 * 1024 / EVENT_BYTES as u32;
/// A publish that is due at once, and no other.
const ONE_PUBLISH: (Pace, Duration) = (Pace::PerSecond(1.0), Duration::from_millis(1));

pub(super) const CATCH_UP: Scenario = Scenario { name: "catch-up", number: 11, measure: catch_up };
pub(super) const BURST_OF_TWO_RINGS: Scenario = Scenario { name: "burst", number: 16, measure: burst };

fn catch_up(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&DURABLE)?;
    let wanted = Wanted { target: target(&running), ..bench.wanted(&running) };
    let live = Wanted { watchers: LIVE, pace: LIVE_PACE, ..wanted.clone() };
    let before = bench.report(What::Fanout, &running, &live)?;
    // The resuming load has one live watcher, because it wants one, and publishes nothing.
    let resume =
        (What::Resume { backlog: BACKLOG, live: 1 }, &Wanted { watchers: WATCHERS, pace: Pace::Never, ..wanted });
    let live = Wanted { warm_up: Duration::ZERO, ..live };
    let (report, meanwhile) = beside(bench, &running, resume, "catching up", &live)?;
    let seconds = report.catch_up.as_ref().map_or(0.0, |catch_up| catch_up.max_us as f64 / 1e6);
    // The same bytes as a file, all of it to each.
    let bytes = report.bytes / u64::from(WATCHERS);
    let files = Files::start(bench.place()?, &[("backlog", &vec![b'x'; bytes as usize])])?;
    let request = "GET /backlog HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let answers = requests::load(files.address, request, WATCHERS as usize, Until::Once)?;
    let mib_per_second = |bytes: u64, seconds: f64| bytes as f64 / f64::from(1 << 20) / seconds.max(0.001);
    let title = |what: &str| format!("1,000 watchers come back to 10 MB of events each: {what}");
    let speed = mib_per_second(report.bytes, seconds);
    let speed = Finding::new(11, title("bytes sent"), Unit::MibPerSecond, speed, Goal::TimesAtLeast(1.0 / 1.5))
        .beside("nginx, a file", mib_per_second(answers.bytes, answers.time.as_secs_f64()));
    let ms = |us: u64| us as f64 / 1e3;
    let p99 = Finding::new(
        11,
        title("p99 of those who watch live"),
        Unit::Ms,
        ms(meanwhile.latency.p99_us),
        Goal::TimesAtMost(1.3),
    );
    let p99 = p99.beside("before", ms(before.latency.p99_us));
    let p99 = p99.note(format!("over {:.1} s of the {seconds:.1} s", meanwhile.seconds));
    Ok(vec![speed.note(format!("all of them after {seconds:.1} s")), p99])
}

/// One publish of twice what the ring holds.
fn burst(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&DURABLE)?;
    let server: Process = generator::process(&running);
    let failed = |error| generator::missing(&running, &error);
    let mut load = Load::new(Target { batch: BURST, ..target(&running) }, Some(server), |_| {}).map_err(failed)?;
    load.watch(WATCHERS).map_err(failed)?;
    let began_us = load.clock().now_us();
    let cpu_before = server.cpu();
    load.publish(ONE_PUBLISH.0, ONE_PUBLISH.1).map_err(failed)?;
    let tally = load.finish().map_err(failed)?;
    let seconds = (load.clock().now_us() - began_us) as f64 / 1e6;
    let wrong = tally.lost + tally.doubled + tally.reordered;
    bench.counts(wrong + load.cut_by_server());
    let title = |what: &str| format!("a burst of twice the ring to 1,000, durable: {what}");
    let cpu = cpu_before.zip(server.cpu()).map_or(0.0, |(before, now)| (now - before).as_secs_f64());
    Ok(vec![
        Finding::new(16, title("events missed"), Unit::Count, wrong as f64, Goal::AtMost(0.0)),
        Finding::new(16, title("watchers cut"), Unit::Count, load.cut_by_server() as f64, Goal::AtMost(0.0)),
        Finding::new(16, title("until all have it"), Unit::Seconds, seconds, Goal::Quoted)
            .note(format!("{cpu:.2} s of CPU")),
    ])
}

fn target(running: &Running) -> Target {
    Target { event_bytes: EVENT_BYTES, ..Target::new(running.subject.watch_address(), "kept/one") }
}
