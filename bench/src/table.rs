//! The table: a row a cell, a column a server; medians of all runs, ratios to the limit of the
//! same run.

use std::fmt::Write;

use tidegate_bench::grouped;

use crate::cells::{Cell, Delivered, Figure, Load};
use crate::numbers::{median, short};
use crate::peers::{LIMIT, OWN, Peer};

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
        text.push('\n');
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

    /// What a server was found to do in a cell in this run.
    pub(crate) fn load(&self, run: u32, cell: &str, peer: &str) -> Option<Delivered> {
        let mut rows = self.rows.iter().filter(|row| row.run == run && row.cell == cell);
        load(&rows.find(|row| row.peer == peer)?.figure)
    }

    /// What went wrong in this run with Tidegate's servers and the rulers; peers may do as they do.
    pub(crate) fn wrong(&self, run: u32) -> u64 {
        let own = |row: &&Measured| row.run == run && OWN.iter().any(|own| own.name == row.peer);
        let rows = self.rows.iter().filter(own);
        rows.filter_map(|row| load(&row.figure)).map(|load| load.wrong).sum()
    }

    /// A cell of the table, or why there is none.
    fn shown(&self, cell: &Cell, peer: &Peer) -> Result<String, String> {
        let rows = || self.rows.iter().filter(|row| row.cell == cell.name && row.peer == peer.name);
        if let Some(reason) = rows().find_map(|row| row.figure.as_ref().err()) {
            return Err(reason.clone());
        }
        let idle: Vec<f64> = rows().filter_map(|row| idle(&row.figure)).collect();
        if let Some(bytes) = median(idle) {
            return Ok(format!("{} B", grouped(bytes)));
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
        let ratios =
            loads.iter().filter_map(|(run, load)| Some(load.cpu_us / self.load(*run, cell.name, LIMIT.name)?.cpu_us));
        let ratio = median(ratios.collect()).map_or(String::new(), |ratio| format!(" **×{ratio:.2}**"));
        let mut text = format!("{cpu_us:.2} µs{ratio}, {} / {} ms", short(p50), short(p99));
        let kept_up = match cell.load {
            Load::PerSecond(wanted) => per_second > KEPT_UP * f64::from(wanted),
            Load::Full | Load::Idle => false,
        };
        if !kept_up {
            let _ = write!(text, ", {} k/s", grouped(per_second / 1e3));
        }
        let wrong: u64 = loads.iter().map(|(_, load)| load.wrong).sum();
        if wrong > 0 {
            let _ = write!(text, ", **{} wrong**", grouped(wrong as f64));
        }
        Ok(text)
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
