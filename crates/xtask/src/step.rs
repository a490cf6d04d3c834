//! One command of a list: shown, run with a deadline, its output passed on line by line.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::root;
use crate::tally::Tally;

/// A command with its folder, environment and deadline.
pub(crate) struct Step {
    words: Vec<String>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    minutes_max: u32,
}

/// A step that did not end well, in words; empty if they have been said.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Step {
    /// A command line; words are separated by single spaces.
    pub(crate) fn new(line: &str) -> Step {
        Step {
            words: line.split(' ').map(str::to_owned).collect(),
            folder: root(),
            environment: Vec::new(),
            minutes_max: 30,
        }
    }

    /// Adds one word that may hold spaces.
    pub(crate) fn word(mut self, word: impl Into<String>) -> Step {
        self.words.push(word.into());
        self
    }

    /// Sets a variable for this command alone.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Step {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs in a folder of the workspace.
    pub(crate) fn within(mut self, folder: &str) -> Step {
        self.folder = root().join(folder);
        self
    }

    /// Ends the command after so many minutes; a test that hangs has failed.
    pub(crate) fn minutes_max(mut self, minutes: u32) -> Step {
        self.minutes_max = minutes;
        self
    }

    /// Runs it for its effect.
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.run_counting(&mut Tally::default())
    }

    /// Runs it and counts the tests that its output reports.
    pub(crate) fn run_counting(self, tally: &mut Tally) -> Result<(), Failure> {
        let shown = self.to_string();
        println!("\n$ {shown}");
        let started = Instant::now();
        let mut command = Command::new("timeout");
        command.arg("--kill-after=10").arg(format!("{}m", self.minutes_max)).args(&self.words);
        command.current_dir(&self.folder).envs(self.environment).stdin(Stdio::null()).stdout(Stdio::piped());
        let failed = |why: &dyn fmt::Display| Failure(format!("failed: {shown}: {why}"));
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let output = child.stdout.take().expect("stdout was asked for");
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| failed(&error))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read(&line);
        }
        let status = child.wait().map_err(|error| failed(&error))?;
        println!("({} s)", started.elapsed().as_secs());
        match status.code() {
            Some(0) => Ok(()),
            Some(124 | 137) => Err(failed(&format!("not done after {} minutes", self.minutes_max))),
            _ => Err(failed(&status)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '$', '*', '"', ';']) { format!("'{word}'") } else { word.to_owned() }
}
