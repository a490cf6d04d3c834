//! Runs the steps of one case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tidegate_core::Millis;
use tidegate_testkit::process::Server;

use crate::case::{Case, Head, Step, Transport};
use crate::expect::Names;
use crate::http::{Answer, Request, SILENCE_MAX, ask};
use crate::line::{Line, Place};
use crate::many;
use crate::poll::linked;
use crate::server;
use crate::stream::Stream;
use crate::watch::{Opened, Target, Watch};

/// What the steps of a case share.
struct Run {
    server: Server,
    transport: Option<Transport>,
    line: Line,
    names: Names,
    watches: BTreeMap<String, Watch>,
    /// A socket of many watches.
    socket: Option<Stream>,
}

/// Runs a case on a server of its own.
pub fn case(head: &Head, case: &Case, transport: Option<Transport>, line: Line) -> anyhow::Result<()> {
    let certificate = tempfile::tempdir()?;
    let server = server::start(head, case, line.certificate(certificate.path()));
    let mut run = Run { server, transport, line, names: Names::default(), watches: BTreeMap::new(), socket: None };
    for (index, step) in case.steps.iter().enumerate() {
        run.step(step).with_context(|| {
            format!("step {} ({}); the server said:\n{}", index + 1, step.title(), run.server.output())
        })?;
    }
    Ok(())
}

impl Step {
    fn title(&self) -> String {
        let texts =
            [("publish", &self.publish), ("watch", &self.watch), ("request", &self.request), ("fill", &self.fill)];
        let named = texts.iter().find_map(|(word, text)| Some(format!("{word} {}", text.as_ref()?)));
        named.unwrap_or_else(|| match (&self.frames, &self.say, &self.hear) {
            (Some(_), ..) => "frames".to_owned(),
            (_, Some(message), _) => format!("say {message}"),
            (_, _, Some(_)) => "hear".to_owned(),
            _ => "socket, cut or restart".to_owned(),
        })
    }
}

impl Run {
    fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        let watch = step.of.as_ref().or(step.name.as_ref()).map_or("watch", String::as_str).to_owned();
        if let Some(address) = &step.publish {
            self.publish(step, address)
        } else if let Some(target) = &step.watch {
            self.watch(step, target, watch)
        } else if step.request.is_some() {
            self.request(step)
        } else if let Some(address) = &step.fill {
            self.fill(address, step.bytes.context("`fill` has `bytes`")?)
        } else if let Some(restart) = step.restart {
            self.watches.clear();
            server::restart(&mut self.server, restart)
        } else if let Some(name) = &step.moment {
            self.moment(name)
        } else if step.cut {
            self.watches.remove(&watch).map(drop).context("there is no such watch to cut")
        } else if let Some(frames) = &step.frames {
            self.frames(&watch, frames)
        } else if step.socket {
            self.socket = Some(many::open(self.place(), step.headers.clone().into_iter().collect())?);
            Ok(())
        } else if step.say.is_some() || step.hear.is_some() {
            self.talk(step)
        } else {
            bail!("a step that does nothing")
        }
    }

    /// Binds the time; what follows is later, by the clock that the server has too.
    fn moment(&mut self, name: &str) -> anyhow::Result<()> {
        let now = Millis::now();
        while Millis::now() <= now {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.names.check(&json!(name), Some(&json!(now.to_string())))
    }

    fn place(&self) -> Place {
        Place { address: self.server.address(), line: self.line }
    }

    fn publish(&mut self, step: &Step, address: &str) -> anyhow::Result<()> {
        let data = step.data.as_ref().context("`publish` has `data`")?;
        let answer = self.post(address, data)?;
        ensure!(answer.head.status == 200, "{}: {}", answer.head.status, answer.text());
        if let Some(cursor) = &step.cursor {
            self.names.check(&json!(cursor), answer.json()?.get("cursor"))?;
        }
        Ok(())
    }

    fn post(&self, address: &str, data: &Value) -> anyhow::Result<Answer> {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let body = Some(data.to_string().into_bytes());
        let path = format!("/v1/{address}");
        ask(self.place(), Request { method: "POST", path: &path, headers, body })
    }

    /// Batches of about 256 KiB, so that it is quick, of events with a key, so that any channel takes them.
    fn fill(&mut self, address: &str, bytes: usize) -> anyhow::Result<()> {
        const EVENT_BYTES: usize = 4_096;
        let events = bytes.div_ceil(EVENT_BYTES);
        for batch in (0..events).collect::<Vec<_>>().chunks(64) {
            let batch: Vec<Value> =
                batch.iter().map(|n| json!({ "id": format!("fill-{n}"), "pad": "x".repeat(EVENT_BYTES) })).collect();
            let answer = self.post(address, &Value::Array(batch))?;
            ensure!(answer.head.status == 200, "{}: {}", answer.head.status, answer.text());
        }
        Ok(())
    }

    fn watch(&mut self, step: &Step, target: &str, name: String) -> anyhow::Result<()> {
        let transport = self.transport.context("a case that watches has a transport")?;
        let path = self.names.fill(target)?;
        let headers = self.headers(step)?;
        let opened = Watch::open(transport, Target { server: self.place(), path: &path, headers })?;
        match (opened, &step.problem) {
            (Opened::Watch(watch), None) => {
                self.watches.insert(name.clone(), *watch);
                self.frames(&name, step.frames.as_deref().unwrap_or_default())
            }
            (Opened::Refused(answer), Some(problem)) => {
                ensure!(json!(answer.head.status) == problem["status"], "{}: {}", answer.head.status, answer.text());
                self.names.check(problem, Some(&answer.json()?)).with_context(|| answer.text())
            }
            (Opened::Watch(mut watch), Some(_)) => bail!("it was not refused; its first frame is {}", watch.next()?),
            (Opened::Refused(answer), None) => bail!("refused with {}: {}", answer.head.status, answer.text()),
        }
    }

    fn frames(&mut self, name: &str, expected: &[Value]) -> anyhow::Result<()> {
        let watch = self.watches.get_mut(name).context("there is no such watch")?;
        // Where the last loss ended: what was trimmed since is told as another one that begins there.
        let mut lost_to = None;
        for (index, wanted) in expected.iter().enumerate() {
            let frame = loop {
                let frame = watch.next().with_context(|| format!("frame {} ({wanted})", index + 1))?;
                let further = frame["op"] == "gap" && lost_to.as_ref() == Some(&frame["from"]);
                let passing = further || frame["op"] == "begin" || frame["op"] == "bookmark";
                if frame["op"] == "gap" {
                    lost_to = Some(frame["to"].clone());
                }
                if !passing || frame["op"] == wanted["op"] {
                    break frame;
                }
            };
            self.names.check(wanted, Some(&frame)).with_context(|| format!("frame {} is {frame}", index + 1))?;
        }
        Ok(())
    }

    /// Says a message on the socket, and hears what comes: all of it but bookmarks, in order.
    fn talk(&mut self, step: &Step) -> anyhow::Result<()> {
        let socket = self.socket.as_mut().context("there is no socket yet")?;
        if let Some(message) = &step.say {
            socket.send(&self.names.fill(&message.to_string())?)?;
        }
        for (index, wanted) in step.hear.iter().flatten().enumerate() {
            let heard = loop {
                let frame = socket.next().with_context(|| format!("what is heard {} ({wanted})", index + 1))?;
                if frame["op"] != "bookmark" {
                    break frame;
                }
            };
            self.names
                .check(wanted, Some(&heard))
                .with_context(|| format!("what is heard {} is {heard}", index + 1))?;
        }
        Ok(())
    }

    fn request(&mut self, step: &Step) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let answer = self.send(step)?;
            let outcome = self.verify(step, &answer).with_context(|| {
                format!(
                    "the answer is {} {}",
                    answer.head.status,
                    answer.text().chars().take(2_000).collect::<String>()
                )
            });
            if outcome.is_ok() || !step.eventually || began.elapsed() > SILENCE_MAX {
                return outcome;
            }
            // Nothing tells a client when the server has trimmed its log, so it asks again.
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn send(&self, step: &Step) -> anyhow::Result<Answer> {
        let line = self.names.fill(step.request.as_deref().unwrap_or_default())?;
        let (method, path) = line.split_once(' ').context("`request` is METHOD PATH")?;
        let mut headers = self.headers(step)?;
        let body = match (&step.json, &step.text) {
            (Some(json), None) => {
                let mut json = json.clone();
                if let Some(bytes) = step.pad {
                    json["pad"] = "x".repeat(bytes).into();
                }
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Type")) {
                    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
                }
                Some(json.to_string().into_bytes())
            }
            (None, Some(text)) => Some(text.clone().into_bytes()),
            (None, None) => None,
            (Some(_), Some(_)) => bail!("a body is `json` or `text`"),
        };
        ask(self.place(), Request { method, path, headers, body })
    }

    fn verify(&mut self, step: &Step, answer: &Answer) -> anyhow::Result<()> {
        match step.status {
            Some(status) => ensure!(answer.head.status == status, "status {}", answer.head.status),
            None => ensure!((200..300).contains(&answer.head.status), "status {}", answer.head.status),
        }
        for (name, wanted) in &step.answer_headers {
            let actual = answer.head.header(name);
            let actual = if name == "Link" { actual.map(linked) } else { actual.map(str::to_owned) };
            let wanted = if wanted.is_string() { wanted.clone() } else { json!(wanted.to_string()) };
            self.names.check(&wanted, actual.map(Value::from).as_ref()).with_context(|| format!("header {name}"))?;
        }
        if let Some(wanted) = &step.answer {
            self.names.check(wanted, Some(&answer.json()?))?;
        }
        if let Some(wanted) = &step.raw {
            self.names.check(&json!(wanted), Some(&json!(answer.text())))?;
        }
        ensure!(!step.empty || answer.body.is_empty(), "there is a body");
        Ok(())
    }

    fn headers(&self, step: &Step) -> anyhow::Result<Vec<(String, String)>> {
        step.headers.iter().map(|(name, value)| Ok((name.clone(), self.names.fill(value)?))).collect()
    }
}
