//! The order of the measurements: the servers of one cell come one after the other, so that what
//! the machine does in an hour changes the values and not the ratios.

use std::io::Write;

use crate::cells::{Cell, Figure, Load};
use crate::generator;
use crate::options::Options;
use crate::peers::Peer;
use crate::place::{Missing, Place};
use crate::process::stopped;
use crate::table::Table;

/// Measures everything and prints the table.
pub(crate) fn all(options: &Options) -> Result<(), String> {
    let (cells, peers) = (options.cells(), options.peers());
    let mut table = Table::default();
    for run in 1..=options.runs {
        for cell in &cells {
            for peer in &peers {
                eprint!("run {run} of {}, {}, {}: ", options.runs, cell.name, peer.name);
                let figure = one(cell, peer, options).map_err(|missing| missing.0);
                if stopped() {
                    return Err(String::new());
                }
                match &figure {
                    Ok(figure) => eprintln!("{figure}"),
                    Err(reason) => eprintln!("– {reason}"),
                }
                table.add(run, cell, peer, figure);
            }
        }
        if let Some(path) = &options.json {
            std::fs::write(path, table.json_lines()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let text = table.markdown(&cells, &peers);
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

/// One server, fresh, and one cell.
fn one(cell: &Cell, peer: &Peer, options: &Options) -> Result<Figure, Missing> {
    let running = (peer.start)(Place::new(options.server_core)?)?;
    match cell.load {
        Load::Idle => generator::idle(&running, cell, options).map(Figure::Idle),
        Load::PerSecond(_) | Load::Full => generator::load(&running, cell, options).map(Figure::Load),
    }
    .map_err(|Missing(why)| Missing(format!("{why} (it said: {})", running.place.said())))
}
