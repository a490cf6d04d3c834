//! Publishing with nobody watching: what waits for the disk. Beside the log without a server, and
//! beside the disk without a log; and on a disk that takes 2 ms for each sync.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use tidegate_bench::{Options as Wanted, Report, Scenario as What, Target};
use tidegate_testkit::shim::Shim;

use super::{Bench, Scenario};
use crate::cells::CELLS;
use crate::findings::{Finding, Goal, Unit};
use crate::generator;
use crate::numbers::median;
use crate::peers::{DURABLE, Running, Server};
use crate::place::{Missing, Place, built};

const EVENT_BYTES: usize = 256;
const CONCURRENT: u32 = 64;
const SYNC_DELAY: Duration = Duration::from_millis(2);
/// Syncs that are timed.
const SYNCS: usize = 1_000;

pub(super) const PUBLISH: Scenario = Scenario { name: "durable", number: 13, measure: publish };
pub(super) const SLOW_DISK: Scenario = Scenario { name: "slow-disk", number: 19, measure: slow_disk };

fn publish(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&DURABLE)?;
    let (many, one) = (published(bench, &running, CONCURRENT)?, published(bench, &running, 1)?);
    drop(running);
    let log = log_alone(&bench.place()?, bench.options.seconds)?;
    let sync = sync_alone(&bench.place()?)?;
    let rate = Finding::new(
        13,
        "durable publishes of 256 B, 64 under way",
        Unit::PerSecond,
        many.published_per_second,
        Goal::TimesAtLeast(1.0 / 1.3),
    );
    let alone = Finding::new(13, "a durable publish alone, p50", Unit::Us, p50(&one), Goal::TimesAtMost(2.0));
    let note = format!("p50 {:.2} ms, p99 {:.2} ms", p50(&many) / 1e3, many.acknowledgement.p99_us as f64 / 1e3);
    Ok(vec![rate.beside("the log alone", log).note(note), alone.beside("one `fdatasync`", sync)])
}

fn slow_disk(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let place = bench.place()?;
    let data = place.folder().join("data");
    std::fs::create_dir(&data)?;
    let disk = Shim::new(&data);
    let running = Server::on_disk(&disk).start(place)?;
    disk.sync_delay(SYNC_DELAY);
    let (many, one) = (published(bench, &running, CONCURRENT)?, published(bench, &running, 1)?);
    let cell = CELLS.iter().find(|cell| cell.name == "channels-10k");
    let cell = cell.ok_or_else(|| Missing("there is no such cell".to_owned()))?;
    let channels = generator::load(&running, cell, bench.options)?;
    bench.counts(channels.wrong);
    let title = |what: &str| format!("2 ms for each sync: {what}");
    let rate = many.published_per_second;
    Ok(vec![
        Finding::new(19, title("durable publishes of 256 B, 64 under way"), Unit::PerSecond, rate, Goal::Quoted),
        Finding::new(19, title("a durable publish alone, p50"), Unit::Us, p50(&one), Goal::Quoted),
        Finding::new(19, title("10,000 channels, durable: CPU a delivery"), Unit::Us, channels.cpu_us, Goal::Quoted)
            .note(format!("{:.1} k/s", channels.per_second / 1e3)),
    ])
}

fn published(bench: &Bench<'_>, running: &Running, publishers: u32) -> Result<Report, Missing> {
    let target =
        Target { event_bytes: EVENT_BYTES, publishers, ..Target::new(running.subject.publish_address(), "kept/alone") };
    bench.report(What::Publish, running, &Wanted { target, ..bench.wanted(running) })
}

fn p50(report: &Report) -> f64 {
    report.acknowledgement.p50_us as f64
}

/// Appends a second of the log without a server, by its own example, on the core of the servers.
fn log_alone(place: &Place, seconds: u32) -> Result<f64, Missing> {
    const LINE: &str = "appends, 64 in flight by callbacks, 1 channels: ";
    let (seconds, folder) = (format!("SECONDS_PER_RUN={seconds}"), place.folder().join("log").display().to_string());
    let said = place.run(&["env", &seconds, "ADDRESSES=1", &built("examples/log_bench")?, &folder])?;
    let rate = said.lines().find_map(|line| line.strip_prefix(LINE)?.split("/s").next()?.parse().ok());
    rate.ok_or_else(|| Missing(format!("the log says no rate: {}", place.said())))
}

/// The middle of what appending so many bytes and one sync take, in microseconds.
fn sync_alone(place: &Place) -> Result<f64, Missing> {
    let mut file = File::create(place.folder().join("file"))?;
    // As the log does, so that no sync has to make the file longer.
    file.write_all(&vec![0; (SYNCS + 1) * EVENT_BYTES])?;
    file.sync_all()?;
    std::io::Seek::rewind(&mut file)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[b'x'; EVENT_BYTES])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(times).ok_or_else(|| Missing("no sync".to_owned()))
}
