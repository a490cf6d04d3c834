//! Reading once: a value and a snapshot, beside the same bytes as a file.

use tidegate_bench::Process;

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::generator;
use crate::peers::{Files, SSE};
use crate::place::Missing;
use crate::requests::{Answers, Until, load, once};

/// Connections, each with one request under way.
const CONNECTIONS: usize = 16;
const VALUE_BYTES: usize = 2_000;
const ROWS: usize = 100;
const ROW_BYTES: usize = 200;

pub(super) const READS: Scenario = Scenario { name: "reads", number: 12, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let running = bench.start(&SSE)?;
    let (server, process) = (running.subject.publish_address(), generator::process(&running));
    once(server, &post("/v1/rows/value", &row(0, VALUE_BYTES)))?;
    let rows: Vec<String> = (0..ROWS).map(|id| row(id, ROW_BYTES)).collect();
    once(server, &post("/v1/rows/hundred", &format!("[{}]", rows.join(","))))?;
    let mut findings = Vec::new();
    for (what, path) in [("a value of 2 kB", "/v1/rows/value?key=0"), ("a snapshot of 100 rows", "/v1/rows/hundred")] {
        let body = once(server, &get(path))?;
        let files = Files::start(bench.place()?, &[("file", &body)])?;
        let pid = files.process.session().as_raw_nonzero().get().unsigned_abs();
        let own = cost(process, || load(server, &get(path), CONNECTIONS, until(bench)))?;
        let file = cost(Process::session(pid), || load(files.address, &get("/file"), CONNECTIONS, until(bench)))?;
        let title = format!("GET of {what}: CPU a request");
        let finding = Finding::new(12, title, Unit::Us, own, Goal::TimesAtMost(1.5)).beside("nginx, a file", file);
        findings.push(finding.note(format!("{} bytes", body.len())));
    }
    Ok(findings)
}

/// CPU time of a server for each answer.
fn cost(server: Process, load: impl Fn() -> Result<Answers, Missing>) -> Result<f64, Missing> {
    let gone = || Missing("the server is gone".to_owned());
    let before = server.cpu().ok_or_else(gone)?;
    let answers = load()?;
    let used = server.cpu().ok_or_else(gone)?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / answers.count.max(1) as f64)
}

fn until(bench: &Bench<'_>) -> Until {
    Until::Time(bench.options.time())
}

/// A JSON object of about this length.
fn row(id: usize, bytes: usize) -> String {
    let text = "x".repeat(bytes - 20);
    format!(r#"{{"id":{id},"text":"{text}"}}"#)
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// As a program asks, for JSON and without compression.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\r\n")
}
