//! What it costs to know who watches: deliveries and idle watchers with the gate, the audit and limits in use, beside a
//! channel that is open to everybody; and row rules, of one caller and of a thousand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_bench::{Acknowledged, Error, Options as Wanted, Pace, Report, Scenario as What, Step, Subject, Target};
use tidegate_testkit::token::{mint, seconds_from_now};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{Running, Server};
use crate::place::Missing;
use crate::subject::Transport;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://id.example.org";
/// Everything that the gate has, in use. Limits are there and are not reached.
const IN_USE: &str = r#"gate:
  issuers:
    bench: { issuer: "https://id.example.org", audience: tidegate, algorithms: HS256, secret: 0123456789abcdef0123456789abcdef }
  limits:
    address: { connects: 1000000/s, requests: 1000000/s, watches: 1000000/s, publishes: 1000000/s, watches_max: 1000000 }
    subject: { requests: 1000000/s, watches: 1000000/s, publishes: 1000000/s, watches_max: 1000000 }
audit: { file: audit.jsonl, allows: 1% }
"#;
/// Tokens outlast any run.
const LASTS: Duration = Duration::from_secs(24 * 3_600);
const WATCHERS: u32 = 1_000;
const IDLE: u32 = 10_000;
/// Where memory alone is looked at.
const SHORT: Duration = Duration::from_secs(3);

pub(super) const GATE: Scenario = Scenario { name: "gate", number: 23, measure };

/// Who watches.
#[derive(Clone, Copy)]
struct Callers {
    /// Lines of the config.
    config: &'static str,
    channel: &'static str,
    /// How many subjects have tokens; 0: nobody shows one.
    subjects: u32,
}

const OPEN: Callers = Callers { config: "", channel: "live", subjects: 0 };
const KNOWN: Callers = Callers { config: IN_USE, channel: "guarded", subjects: WATCHERS };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    let calm = Pace::PerSecond(50.0);
    for (pace, load) in [(calm, "50,000/s to 1,000"), (Pace::Fastest, "full speed to 1,000")] {
        let open = delivery(bench, OPEN, pace)?;
        let variants = [
            (KNOWN, "a channel policy, 1,000 callers", Goal::TimesAtMost(1.03)),
            (Callers { channel: "owned", subjects: 1, ..KNOWN }, "row rules, 1 residual", Goal::Quoted),
            (Callers { channel: "owned", ..KNOWN }, "row rules, 1,000 residuals", Goal::Quoted),
        ];
        for (callers, what, goal) in variants {
            let cost = delivery(bench, callers, pace)?;
            let title = format!("gate, {load}, {what}: CPU a delivery");
            findings.push(Finding::new(23, title, Unit::Us, cost, goal).beside("open to everybody", open));
        }
    }
    let weigh = |callers| -> Result<f64, Missing> {
        let report = load(bench, callers, What::Idle, |wanted| Wanted { watchers: IDLE, time: SHORT, ..wanted })?;
        let bytes = report.server.and_then(|server| server.pss_bytes_per_watcher);
        bytes.ok_or_else(|| Missing("its memory cannot be read".to_owned()))
    };
    let more = weigh(Callers { subjects: IDLE, ..KNOWN })? - weigh(OPEN)?;
    let title = "gate, idle, 10,000 callers with a token each: memory of one, beyond that of one whom nobody knows";
    findings.push(Finding::new(23, title, Unit::Bytes, more, Goal::AtMost(200.0)));
    Ok(findings)
}

fn delivery(bench: &Bench<'_>, callers: Callers, pace: Pace) -> Result<f64, Missing> {
    let report = load(bench, callers, What::Fanout, |wanted| Wanted { watchers: WATCHERS, pace, ..wanted })?;
    let cost = report.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
    cost.ok_or_else(|| Missing("delivered nothing".to_owned()))
}

fn load(
    bench: &Bench<'_>,
    callers: Callers,
    what: What,
    change: impl FnOnce(Wanted) -> Wanted,
) -> Result<Report, Missing> {
    let running = Server::with(Transport::Sse, callers.config).start(bench.place()?)?;
    let wanted = bench.wanted(&running);
    let guarded = Guarded::new(&running, callers);
    let target = Target { foreign: Some(Arc::new(guarded)), ..wanted.target };
    bench.report(what, &running, &change(Wanted { target, ..wanted }))
}

/// A server whose watchers show tokens, in turn.
#[derive(Debug)]
struct Guarded {
    server: Arc<dyn Subject>,
    channel: &'static str,
    tokens: Vec<String>,
}

impl Guarded {
    fn new(running: &Running, callers: Callers) -> Guarded {
        let expires = seconds_from_now(LASTS);
        let token = |number| {
            let subject = format!("u{number}");
            mint(SECRET, &json!({ "iss": ISSUER, "aud": "tidegate", "sub": subject, "exp": expires }))
        };
        let tokens = (0..callers.subjects).map(token).collect();
        Guarded { server: running.subject.clone(), channel: callers.channel, tokens }
    }

    /// To the channel that is meant.
    fn addressed(&self, request: &[u8]) -> Vec<u8> {
        String::from_utf8_lossy(request).replacen("/v1/live/", &format!("/v1/{}/", self.channel), 1).into_bytes()
    }
}

impl Subject for Guarded {
    fn watch_address(&self) -> SocketAddr {
        self.server.watch_address()
    }

    fn watch(&self, number: u32, watcher: u32) -> Vec<Step> {
        let mut steps = self.server.watch(number, watcher);
        for step in &mut steps {
            step.say = self.addressed(&step.say);
            if !self.tokens.is_empty() {
                let token = &self.tokens[watcher as usize % self.tokens.len()];
                step.say.truncate(step.say.len() - 2);
                step.say.extend_from_slice(format!("authorization: Bearer {token}\r\n\r\n").as_bytes());
            }
        }
        steps
    }

    fn publish_address(&self) -> SocketAddr {
        self.server.publish_address()
    }

    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>) {
        let mut publish = Vec::new();
        self.server.publish(number, event, &mut publish);
        out.extend(self.addressed(&publish));
    }

    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        self.server.acknowledged(answer)
    }
}
