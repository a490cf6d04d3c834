//! Two readings into rows: what happened between them, per second and in percent.

use bytes::Bytes;
use serde_json::Value;
use tidegate_core::json::write_string;

use super::proc::Moved;
use super::reading::Reading;

/// So many processes, those with the most CPU time since the reading before.
const PROCESSES_SHOWN: usize = 10;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) group: &'static str,
    /// Unlike that of any other row of the group.
    pub(super) name: String,
    pub(super) figures: Vec<(&'static str, Value)>,
}

impl Row {
    /// `{"group":…,"name":…,…}`, in the order that people read.
    pub(super) fn json(&self) -> Bytes {
        let mut out = Vec::from(b"{\"group\":");
        write_string(self.group, &mut out);
        out.extend_from_slice(b",\"name\":");
        write_string(&self.name, &mut out);
        for (name, value) in &self.figures {
            out.push(b',');
            write_string(name, &mut out);
            out.push(b':');
            out.extend_from_slice(value.to_string().as_bytes());
        }
        out.push(b'}');
        out.into()
    }
}

/// The rows of `now`, with rates since `before`.
pub(super) fn rows(before: &Reading, now: &Reading) -> Vec<Row> {
    let mut rows = Vec::new();
    cpu(before, now, &mut rows);
    memory(now, &mut rows);
    disk(before, now, &mut rows);
    network(before, now, &mut rows);
    process(before, now, &mut rows);
    load(now, &mut rows);
    rows
}

fn row<const N: usize>(group: &'static str, name: &str, figures: [(&'static str, Value); N]) -> Row {
    Row { group, name: name.to_owned(), figures: figures.into() }
}

fn cpu(before: &Reading, now: &Reading, rows: &mut Vec<Row>) {
    for (name, ticks) in &now.cpus {
        let Some((_, earlier)) = before.cpus.iter().find(|(earlier, _)| earlier == name) else { continue };
        let passed = ticks.total().saturating_sub(earlier.total());
        let percent = |now: u64, before: u64| share(now.saturating_sub(before), passed);
        let busy = passed.saturating_sub((ticks.idle + ticks.iowait).saturating_sub(earlier.idle + earlier.iowait));
        rows.push(row(
            "cpu",
            name,
            [
                ("percent", share(busy, passed).into()),
                ("user", percent(ticks.user, earlier.user).into()),
                ("system", percent(ticks.system, earlier.system).into()),
                ("iowait", percent(ticks.iowait, earlier.iowait).into()),
                ("steal", percent(ticks.steal, earlier.steal).into()),
            ],
        ));
    }
}

fn memory(now: &Reading, rows: &mut Vec<Row>) {
    let Some(memory) = now.memory else { return };
    let figures = |total: u64, available: u64| {
        let used = total.saturating_sub(available);
        [
            ("total_bytes", total.into()),
            ("available_bytes", available.into()),
            ("used_bytes", used.into()),
            ("percent", share(used, total).into()),
        ]
    };
    rows.push(row("memory", "ram", figures(memory.total, memory.available)));
    if memory.swap_total > 0 {
        rows.push(row("memory", "swap", figures(memory.swap_total, memory.swap_free)));
    }
}

fn disk(before: &Reading, now: &Reading, rows: &mut Vec<Row>) {
    for mount in &now.mounts {
        let used = mount.total.saturating_sub(mount.free);
        rows.push(row(
            "disk",
            &mount.point,
            [
                ("total_bytes", mount.total.into()),
                ("free_bytes", mount.free.into()),
                ("percent", share(used, mount.total).into()),
            ],
        ));
    }
    for (name, rates) in rates(&before.block_devices, &now.block_devices, seconds(before, now)) {
        let figures = [("read_bytes_per_second", rates.into.into()), ("write_bytes_per_second", rates.out_of.into())];
        rows.push(row("disk", name, figures));
    }
}

fn network(before: &Reading, now: &Reading, rows: &mut Vec<Row>) {
    for (name, rates) in rates(&before.interfaces, &now.interfaces, seconds(before, now)) {
        let figures = [("receive_bytes_per_second", rates.into.into()), ("send_bytes_per_second", rates.out_of.into())];
        rows.push(row("network", name, figures));
    }
}

fn process(before: &Reading, now: &Reading, rows: &mut Vec<Row>) {
    let ticks_passed = seconds(before, now) * now.units.ticks_per_second as f64;
    let mut busiest: Vec<(u64, &super::proc::Process)> = now
        .processes
        .iter()
        .map(|process| {
            let same = |other: &&super::proc::Process| (other.pid, other.started) == (process.pid, process.started);
            let earlier = before.processes.iter().find(same).map_or(0, |earlier| earlier.ticks);
            (process.ticks.saturating_sub(earlier), process)
        })
        .collect();
    // Ties go to the larger, then to the older, so that idle machines do not shuffle their rows.
    busiest.sort_by_key(|(ticks, process)| (std::cmp::Reverse((*ticks, process.pages)), process.pid));
    for (ticks, process) in busiest.into_iter().take(PROCESSES_SHOWN) {
        rows.push(row(
            "process",
            &format!("{}-{}", process.name, process.pid),
            [
                ("pid", process.pid.into()),
                ("command", process.name.as_str().into()),
                ("percent", round(ticks as f64 * 100.0 / ticks_passed.max(1.0)).into()),
                ("rss_bytes", (process.pages * now.units.page_bytes).into()),
            ],
        ));
    }
}

fn load(now: &Reading, rows: &mut Vec<Row>) {
    let Some(load) = now.load else { return };
    let figures = [
        ("one", load.one.into()),
        ("five", load.five.into()),
        ("fifteen", load.fifteen.into()),
        ("threads", load.threads.into()),
    ];
    rows.push(row("load", "average", figures));
}

/// Bytes per second of each device that is in both.
fn rates<'n>(
    before: &'n [(String, Moved)],
    now: &'n [(String, Moved)],
    seconds: f64,
) -> impl Iterator<Item = (&'n str, Moved)> {
    now.iter().filter_map(move |(name, moved)| {
        let (_, earlier) = before.iter().find(|(earlier, _)| earlier == name)?;
        // A counter that went back was reset: nothing is known of this interval.
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds.max(0.001)).round() as u64;
        Some((
            name.as_str(),
            Moved { into: rate(moved.into, earlier.into), out_of: rate(moved.out_of, earlier.out_of) },
        ))
    })
}

fn seconds(before: &Reading, now: &Reading) -> f64 {
    now.at.saturating_duration_since(before.at).as_secs_f64()
}

/// Percent with one decimal; what changes less is no news.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { round(part as f64 * 100.0 / whole as f64) }
}

fn round(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
