//! How a load is told: a line a second while it goes on, and its figures at the end.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};

use tidegate_bench::{Latency, Moment, Report, grouped};

/// With less of its one thread left, the load may be what was slow.
const LOAD_MAX: f64 = 0.9;

/// What is told on stderr while a load goes on.
pub(super) struct Progress {
    told: bool,
    /// A terminal gets one line that changes.
    terminal: bool,
    width: usize,
}

impl Progress {
    pub(super) fn new(told: bool) -> Progress {
        Progress { told, terminal: stderr().is_terminal(), width: 0 }
    }

    pub(super) fn tell(&mut self, moment: &Moment) {
        if !self.told {
            return;
        }
        let Moment { phase, seconds, watchers, sample, tally, cut } = moment;
        let mut line = format!("{seconds:4.0} s  {phase}: {watchers} watchers");
        // Writing to memory.
        if sample.published_per_second > 0.0 || sample.deliveries_per_second > 0.0 {
            let _ = write!(
                line,
                ", {} events/s, {} deliveries/s, p50 {}, p99 {}",
                grouped(sample.published_per_second),
                grouped(sample.deliveries_per_second),
                time(sample.latency_p50_us),
                time(sample.latency_p99_us)
            );
        }
        if let Some(cores) = sample.server_cores {
            let _ = write!(line, ", server {cores:.2} CPU");
        }
        if *cut > 0 {
            let _ = write!(line, ", {cut} cut");
        }
        if !tally.is_clean() {
            let _ = write!(line, ", lost {}, doubled {}, reordered {}", tally.lost, tally.doubled, tally.reordered);
        }
        let mut out = stderr();
        // Nobody has to listen.
        let _ =
            if self.terminal { write!(out, "\r{line:width$}", width = self.width) } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.width = line.chars().count();
    }

    pub(super) fn end(&mut self) {
        if self.told && self.terminal && self.width > 0 {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = self.width);
        }
    }
}

/// The figures for people.
pub(super) fn report(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<16} {text}");
    };
    let rate = report.rate_per_second.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} events/s"));
    let mut what = format!("{} watchers by {}", grouped(f64::from(report.watchers)), report.transport);
    if report.addresses > 1 {
        let _ = write!(what, ", {} addresses", grouped(f64::from(report.addresses)));
    }
    if report.scenario != "idle" {
        let _ = write!(what, ", {} publishers, {rate} of {} bytes", report.publishers, report.event_bytes);
        if report.batch > 1 {
            let _ = write!(what, " in batches of {}", report.batch);
        }
    }
    line(&report.scenario, what);
    line("time", format!("{:.1} s", report.seconds));
    if report.published > 0 {
        let (events, each) = (grouped(report.published as f64), grouped(report.published_per_second));
        line("published", format!("{events} events, {each}/s"));
        line("acknowledged", latency(&report.acknowledgement));
    }
    if report.deliveries > 0 {
        let (deliveries, each) = (grouped(report.deliveries as f64), grouped(report.deliveries_per_second));
        let mib_per_second = report.bytes as f64 / report.seconds / f64::from(1 << 20);
        line("deliveries", format!("{deliveries}, {each}/s, {mib_per_second:.1} MiB/s"));
    }
    if report.latency.count > 0 {
        line("latency", latency(&report.latency));
    }
    if let Some(stalled) = &report.stalled {
        line("before", latency(&stalled.latency_before));
        let kib = |bytes: Option<i64>| bytes.map_or("unknown".to_owned(), |bytes| format!("{} KiB", bytes / 1_024));
        let (before, after) = (kib(stalled.pss_growth_before_bytes), kib(stalled.pss_growth_bytes));
        line("stalled", format!("{} watchers; Pss grew by {after}, in the half before by {before}", stalled.watchers));
    }
    if let Some(catch_up) = &report.catch_up {
        line("caught up", latency(catch_up));
    }
    if report.opening.count > 0 {
        line("opened", format!("{} connections; {}", grouped(report.opening.count as f64), latency(&report.opening)));
    }
    if report.cut_on_purpose + report.cut_by_server > 0 {
        line("cut", format!("{} on purpose, {} by the server", report.cut_on_purpose, report.cut_by_server));
    }
    let mut wrong = format!("lost {}, doubled {}, reordered {}", report.lost, report.doubled, report.reordered);
    if report.broken_links > 0 {
        let _ = write!(wrong, ", broken links {}", report.broken_links);
    }
    line("wrong", wrong);
    line("server", server(report));
    let load = report.load_cpu_seconds / report.seconds.max(0.001);
    let slow = if load < LOAD_MAX { "" } else { ": it was at its own limit, and the latencies are its own, too" };
    line("this load", format!("{load:.2} CPU{slow}"));
    out.trim_end().to_owned()
}

fn server(report: &Report) -> String {
    let Some(server) = &report.server else {
        return "its process is not known; --pid tells it".to_owned();
    };
    let mut text = format!("{:.2} CPU", server.cpu_seconds / report.seconds.max(0.001));
    let each = [
        (server.cpu_us_per_delivery, "a delivery"),
        (server.cpu_us_per_event, "an event"),
        (server.cpu_us_per_connection, "a connection"),
    ];
    for (us, what) in each {
        if let Some(us) = us {
            let each = if us < 1e3 { format!("{us:.2} µs") } else { time(us as u64) };
            let _ = write!(text, ", {each} {what}");
        }
    }
    if let Some(bytes) = server.pss_bytes {
        let _ = write!(text, ", Pss {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    }
    if let Some(bytes) = server.pss_bytes_per_watcher {
        let _ = write!(text, ", {bytes:.0} bytes a watcher");
    }
    if let Some(bytes) = server.kernel_bytes_per_watcher {
        let _ = write!(text, ", and {bytes:.0} in the kernel of this machine");
    }
    text
}

fn latency(latency: &Latency) -> String {
    let Latency { p50_us, p90_us, p99_us, p999_us, max_us, .. } = *latency;
    format!(
        "p50 {}, p90 {}, p99 {}, p99.9 {}, longest {}",
        time(p50_us),
        time(p90_us),
        time(p99_us),
        time(p999_us),
        time(max_us)
    )
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.2} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!([time(12), time(1_500), time(2_000_000)], ["12 µs", "1.50 ms", "2.00 s"]);
    }
}
