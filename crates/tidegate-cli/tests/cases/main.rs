//! Runs the conformance cases of `protocol/cases` against the real binary, each on every transport
//! that it names. The format is described beside the cases.
#![allow(unreachable_pub, missing_docs, reason = "nothing outside of this program sees its modules")]

mod case;
mod expect;
mod http;
mod line;
mod many;
mod poll;
mod rules;
mod run;
mod server;
mod stream;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use case::{Case, File, Transport};
use line::Line;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/cases");
    let trials = match trials(&folder) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(folder: &Path) -> anyhow::Result<Vec<Trial>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut trials = Vec::new();
    for path in paths {
        let file = File::read(&path)?;
        let topic = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for case in &file.cases {
            for (transport, line) in case.runs_on() {
                let (file, case) = (file.head.clone(), case.clone());
                let name = match (transport, line) {
                    (None, Line::Plain) => format!("{topic}: {}", case.name),
                    (None, line) => format!("{topic}: {} [requests{}]", case.name, line.suffix()),
                    (Some(transport), line) => {
                        format!("{topic}: {} [{}{}]", case.name, transport.name(), line.suffix())
                    }
                };
                trials.push(Trial::test(name, move || one(&file, &case, transport, line)));
            }
        }
    }
    Ok(trials)
}

fn one(head: &case::Head, case: &Case, transport: Option<Transport>, line: Line) -> Result<(), Failed> {
    run::case(head, case, transport, line).map_err(|error| Failed::from(format!("{error:#}")))
}
