//! A report as a picture: the latencies by percentile, and what was delivered over time.

use std::fmt::Write;

use crate::report::{Latency, Point, Report};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 635.0;
/// The part of a panel that has the curves.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 830.0;
const PANEL: f64 = 210.0;
/// Each panel's upper edge.
const UPPER: f64 = 95.0;
const LOWER: f64 = 390.0;
/// 99.999 %: what few runs have enough events for.
const NINES_MAX: f64 = 5.0;

const BLUE: &str = "#1f6feb";
const ORANGE: &str = "#c2560a";

/// A place in a panel, both from 0 to 1, from the lower left.
type Place = (f64, f64);

/// Draws a report; the text is a whole SVG document.
pub fn svg(report: &Report) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let title = format!("tidegate bench {} {}", report.scenario, report.address);
    text(&mut out, (LEFT, 30.0), "start", "font-size=\"18\" font-weight=\"600\"", &title);
    let rate = report.rate_per_second.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} events/s"));
    let facts = format!(
        "{} {} watchers, {rate} of {} bytes, {:.0} s; lost {}, doubled {}, reordered {}",
        report.watchers,
        report.transport,
        report.event_bytes,
        report.seconds,
        report.lost,
        report.doubled,
        report.reordered
    );
    text(&mut out, (LEFT, 50.0), "start", "", &facts);
    latencies(&mut out, report);
    throughput(&mut out, report);
    out.push_str("</svg>\n");
    out
}

/// Percentiles to the right by nines, latencies upwards by powers of ten.
fn latencies(out: &mut String, report: &Report) {
    let curves: Vec<(&str, &str, &Latency)> =
        [("to the watcher", BLUE, &report.latency), ("to the acknowledgement", ORANGE, &report.acknowledgement)]
            .into_iter()
            .filter(|(_, _, latency)| latency.count > 0)
            .collect();
    let points =
        || curves.iter().flat_map(|(_, _, latency)| &latency.percentiles).filter(|point| nines(point).is_some());
    let powers = |us: u64| (us.max(1) as f64).log10();
    let low = points().map(|point| powers(point.us)).fold(f64::INFINITY, f64::min).floor();
    let high = points().map(|point| powers(point.us)).fold(0.0, f64::max).ceil();
    let (low, high) = if low.is_finite() { (low, high.max(low + 1.0)) } else { (0.0, 1.0) };
    frame(out, UPPER, "latency by percentile");
    for power in low as i32..=high as i32 {
        let at = (f64::from(power) - low) / (high - low);
        horizontal(out, UPPER, at, &time(10_f64.powi(power)));
    }
    for (index, label) in ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"].iter().enumerate() {
        vertical(out, UPPER, index as f64 / NINES_MAX, label);
    }
    for (index, (name, color, latency)) in curves.iter().enumerate() {
        let place = |point: &Point| Some((nines(point)? / NINES_MAX, (powers(point.us) - low) / (high - low)));
        curve(out, UPPER, color, latency.percentiles.iter().filter_map(place));
        let summary = format!("{name}: p50 {}, p99 {}", time(latency.p50_us as f64), time(latency.p99_us as f64));
        text(out, (LEFT + 10.0, UPPER + 18.0 + 16.0 * index as f64), "start", &format!("fill=\"{color}\""), &summary);
    }
}

/// Time to the right, deliveries (or events, where nobody watched) upwards.
fn throughput(out: &mut String, report: &Report) {
    let delivered = report.deliveries > 0;
    let values = report.samples.iter().map(|sample| {
        (sample.seconds, if delivered { sample.deliveries_per_second } else { sample.published_per_second })
    });
    let top = round_up(values.clone().map(|(_, value)| value).fold(0.0, f64::max));
    let end = values.clone().map(|(seconds, _)| seconds).fold(0.0, f64::max).max(0.001);
    frame(out, LOWER, if delivered { "deliveries a second" } else { "acknowledged events a second" });
    for quarter in 0..=4 {
        let at = f64::from(quarter) / 4.0;
        horizontal(out, LOWER, at, &count(top * at));
        vertical(out, LOWER, at, &format!("{:.1} s", end * at));
    }
    curve(out, LOWER, BLUE, values.map(|(seconds, value)| (seconds / end, value / top)));
}

/// How many nines a percentile has: 0 at 0 %, 2 at 99 %; `None`: more than are shown.
fn nines(point: &Point) -> Option<f64> {
    let above = 1.0 - point.percentile / 100.0;
    (above >= 10_f64.powf(-NINES_MAX)).then(|| -above.log10() + 0.0)
}

fn frame(out: &mut String, upper: f64, title: &str) {
    text(out, (LEFT, upper - 10.0), "start", "font-weight=\"600\"", title);
    // Writing to memory, here and below.
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{upper}\" width=\"{}\" height=\"{PANEL}\" fill=\"none\" stroke=\"#999\"/>",
        RIGHT - LEFT
    );
}

fn horizontal(out: &mut String, upper: f64, at: f64, label: &str) {
    let y = upper + PANEL * (1.0 - at);
    line(out, (LEFT, y), (RIGHT, y));
    text(out, (LEFT - 8.0, y + 4.0), "end", "", label);
}

fn vertical(out: &mut String, upper: f64, at: f64, label: &str) {
    let x = LEFT + (RIGHT - LEFT) * at;
    line(out, (x, upper), (x, upper + PANEL));
    text(out, (x, upper + PANEL + 18.0), "middle", "", label);
}

fn line(out: &mut String, from: Place, to: Place) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e4e4e4\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn curve(out: &mut String, upper: f64, color: &str, places: impl Iterator<Item = Place>) {
    let mut points = String::new();
    for (right, up) in places {
        let (x, y) = (LEFT + (RIGHT - LEFT) * right, upper + PANEL * (1.0 - up));
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
        points.trim_end()
    );
}

fn text(out: &mut String, at: Place, anchor: &str, style: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let space = if style.is_empty() { "" } else { " " };
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\"{space}{style}>{escaped}</text>",
        at.0, at.1
    );
}

/// 1, 2 or 5 with zeros, not below the value.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}

fn time(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{} ms", short(us / 1e3)),
        us => format!("{} s", short(us / 1e6)),
    }
}

fn count(value: f64) -> String {
    match value {
        value if value < 1e3 => short(value),
        value if value < 1e6 => format!("{} k", short(value / 1e3)),
        value => format!("{} M", short(value / 1e6)),
    }
}

fn short(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_readable() {
        assert_eq!(round_up(1_234.0), 2_000.0);
        assert_eq!(round_up(0.0), 1.0);
        assert_eq!([time(850.0), time(1_500.0), time(2e6)], ["850 µs", "1.5 ms", "2 s"]);
        assert_eq!([count(0.0), count(250.0), count(50_000.0)], ["0", "250", "50 k"]);
        let at = |percentile| nines(&Point { percentile, us: 1 }).map(|nines| (nines * 10.0).round());
        assert_eq!([at(0.0), at(90.0), at(99.9), at(100.0)], [Some(0.0), Some(10.0), Some(30.0), None]);
    }
}
