//! The order of the measurements: the servers of one cell come one after the other, so that what
//! the machine does in an hour changes the values and not the ratios.

use std::cell::Cell as Count;
use std::io::Write;

use crate::cells::{Cell, Figure, Load};
use crate::findings::{Finding, Goal, Unit};
use crate::generator;
use crate::options::Options;
use crate::peers::Peer;
use crate::place::{Missing, Place};
use crate::process::stopped;
use crate::scenarios::{Bench, Scenario, derived};
use crate::table::Table;
use crate::verdicts::Verdicts;

/// Measures everything and prints the tables.
pub(crate) fn all(options: &Options) -> Result<(), String> {
    let (cells, peers, scenarios) = (options.cells(), options.peers(), options.scenarios());
    let (mut table, mut verdicts) = (Table::default(), Verdicts::default());
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
        verdicts.add(run, derived(run, &table));
        let mut wrong = table.wrong(run);
        for scenario in &scenarios {
            let findings;
            (findings, wrong) = against(scenario, options, run, &table, wrong);
            if stopped() {
                return Err(String::new());
            }
            verdicts.add(run, findings);
        }
        let title = "events lost, doubled or reordered, watchers cut: Tidegate and rulers, all of the above";
        verdicts.add(run, [Finding::new(20, title, Unit::Count, wrong as f64, Goal::AtMost(0.0))]);
        if let Some(path) = &options.json {
            let lines = table.json_lines() + &verdicts.json_lines();
            std::fs::write(path, lines).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let tables = [(cells.is_empty(), table.markdown(&cells, &peers)), (verdicts.is_empty(), verdicts.markdown())];
    let tables: Vec<String> = tables.into_iter().filter(|(empty, _)| !empty).map(|(_, text)| text).collect();
    std::io::stdout().write_all(tables.join("\n").as_bytes()).map_err(|error| error.to_string())
}

/// One server, fresh, and one cell.
fn one(cell: &Cell, peer: &Peer, options: &Options) -> Result<Figure, Missing> {
    let running = (peer.start)(Place::new(options.server_core)?)?;
    match cell.load {
        Load::Idle => generator::idle(&running, cell, options).map(Figure::Idle),
        Load::PerSecond(_) | Load::Full => generator::load(&running, cell, options).map(Figure::Load),
    }
}

/// One scenario, with what went wrong before and in it.
fn against(scenario: &Scenario, options: &Options, run: u32, table: &Table, wrong: u64) -> (Vec<Finding>, u64) {
    eprintln!("run {run} of {}, {}:", options.runs, scenario.name);
    let bench = Bench { options, run, table, wrong: Count::new(wrong) };
    let findings = (scenario.measure)(&bench)
        .unwrap_or_else(|Missing(why)| vec![Finding::missing(scenario.number, scenario.name, why)]);
    findings.iter().for_each(|finding| eprintln!("    {finding}"));
    (findings, bench.wrong.get())
}
