//! The table: a row a cell, a column a server; medians of all runs, ratios to the limit of the
//! same run.

use std::fmt::Write;

use crate::cells::{Cell, Delivered, Figure, Load};
use crate::peers::Peer;

/// A server that delivers less than this share of what is asked for is shown with what it delivers.
const KEPT_UP: f64 = 0.95;

/// All measurements.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Measured>,
}

struct Measured {
    run: u32,
    cell: &'static str,
    peer: &'static str,
    figure: Result<Figure, String>,
}

impl Table {
    pub(crate) fn add(&mut self, run: u32, cell: &Cell, peer: &Peer, figure: Result<Figure, String>) {
        self.rows.push(Measured { run, cell: cell.name, peer: peer.name, figure });
    }

    /// Markdown.
    pub(crate) fn markdown(&self, cells: &[&Cell], peers: &[&Peer]) -> String {
        let mut text = String::from("|  |");
        let mut why = Vec::new();
        peers.iter().for_each(|peer| text.push_str(&format!(" {} |", peer.title)));
        text.push_str("\n|---|");
        peers.iter().for_each(|_| text.push_str("---|"));
        for cell in cells {
            text.push_str(&format!("\n| {} |", cell.title));
            for peer in peers {
                let shown = self.shown(cell, peer).unwrap_or_else(|reason| {
                    let reason = format!("{}: {reason}", peer.title);
                    let number = why.iter().position(|known| *known == reason).unwrap_or_else(|| {
                        why.push(reason);
                        why.len() - 1
                    });
                    format!("– [{}]", number + 1)
                });
                // Writing to memory.
                let _ = write!(text, " {shown} |");
            }
        }
        text.push('\n');
        for (number, reason) in why.iter().enumerate() {
            let _ = write!(text, "\n[{}] {reason}  ", number + 1);
        }
        text
    }

    /// One measurement a line.
    pub(crate) fn json_lines(&self) -> String {
        let line = |row: &Measured| {
            let mut line = serde_json::json!({"run": row.run, "cell": row.cell, "server": row.peer});
            match &row.figure {
                Ok(Figure::Idle(bytes)) => line["bytes_per_connection"] = (*bytes).into(),
                Ok(Figure::Load(load)) => {
                    line["cpu_us_per_delivery"] = load.cpu_us.into();
                    line["latency_p50_us"] = (load.p50.as_micros() as u64).into();
                    line["latency_p99_us"] = (load.p99.as_micros() as u64).into();
                    line["deliveries_per_second"] = load.per_second.into();
                    line["wrong"] = load.wrong.into();
                }
                Err(reason) => line["missing"] = reason.as_str().into(),
            }
            format!("{line}\n")
        };
        self.rows.iter().map(line).collect()
    }

    /// A cell of the table, or why there is none.
    fn shown(&self, cell: &Cell, peer: &Peer) -> Result<String, String> {
        let rows = || self.rows.iter().filter(|row| row.cell == cell.name && row.peer == peer.name);
        if let Some(reason) = rows().find_map(|row| row.figure.as_ref().err()) {
            return Err(reason.clone());
        }
        let idle: Vec<f64> = rows().filter_map(|row| idle(&row.figure)).collect();
        if let Some(bytes) = median(idle) {
            return Ok(format!("{} B", thousands(bytes)));
        }
        let loads: Vec<(u32, Delivered)> = rows().filter_map(|row| Some((row.run, load(&row.figure)?))).collect();
        let of = |value: fn(&Delivered) -> f64| median(loads.iter().map(|(_, load)| value(load)).collect());
        let (Some(cpu_us), Some(p50), Some(p99), Some(per_second)) = (
            of(|load| load.cpu_us),
            of(|load| load.p50.as_secs_f64() * 1e3),
            of(|load| load.p99.as_secs_f64() * 1e3),
            of(|load| load.per_second),
        ) else {
            return Err("was not measured".to_owned());
        };
        let ratios = loads.iter().filter_map(|(run, load)| Some(load.cpu_us / self.limit(*run, cell)?));
        let ratio = median(ratios.collect()).map_or(String::new(), |ratio| format!(" **×{ratio:.2}**"));
        let mut text = format!("{cpu_us:.2} µs{ratio}, {} / {} ms", short(p50), short(p99));
        let kept_up = match cell.load {
            Load::PerSecond(wanted) => per_second > KEPT_UP * f64::from(wanted),
            Load::Full | Load::Idle => false,
        };
        if !kept_up {
            let _ = write!(text, ", {} k/s", thousands(per_second / 1e3));
        }
        let wrong: u64 = loads.iter().map(|(_, load)| load.wrong).sum();
        if wrong > 0 {
            let _ = write!(text, ", **{} wrong**", thousands(wrong as f64));
        }
        Ok(text)
    }

    /// What the limit took for a delivery in this run.
    fn limit(&self, run: u32, cell: &Cell) -> Option<f64> {
        let mut rows = self.rows.iter().filter(|row| row.run == run && row.cell == cell.name);
        let row = rows.find(|row| row.peer == crate::peers::PEERS[0].name)?;
        Some(load(&row.figure)?.cpu_us)
    }
}

fn load(figure: &Result<Figure, String>) -> Option<Delivered> {
    match figure {
        Ok(Figure::Load(load)) => Some(*load),
        _ => None,
    }
}

fn idle(figure: &Result<Figure, String>) -> Option<f64> {
    match figure {
        Ok(Figure::Idle(bytes)) => Some(*bytes),
        _ => None,
    }
}

/// The middle one; of an even number the lower of the two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn short(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { thousands(ms) }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
        assert_eq!((thousands(12.0), thousands(1_234_567.4)), ("12".to_owned(), "1,234,567".to_owned()));
    }
}
