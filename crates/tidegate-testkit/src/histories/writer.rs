//! The writer of one history: every way to publish, retried until it is acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tidegate_core::Op;
use tokio::sync::watch;

use super::conditions::{Conditions, Expected, Place, etag};
use super::ledger::Ledger;
use super::moments::Moments;
use super::plan::{KEYS, PARTS, PLACES, Plan, rng};
use super::report::Report;
use super::rights::Rights;
use super::truth::Truth;
use super::value;
use crate::client::publish::types;
use crate::client::{Answer, Ended, Publish, Publisher};
use crate::model::{Change, Channel};
use crate::replica::offset;

/// A publish that is not acknowledged within so many tries is a difference, not bad luck.
const TRIES_MAX: u32 = 600;

/// Writes all batches of the plan.
///
/// # Errors
/// What a correct server would not have answered.
pub(super) async fn write(
    server: SocketAddr,
    plan: &Plan,
    seed: u64,
    (written, ledger, moments): (&watch::Sender<usize>, &Ledger, &Moments),
    progress: &AtomicU64,
) -> Result<(Truth, Report), String> {
    let token = plan.rights.as_ref().map(|rights| rights.writer.clone());
    let mut writer = Writer {
        plan,
        rng: rng(seed, plan.number, 99),
        publisher: Publisher::new(server),
        conditions: Conditions::new(server, token.clone(), plan.trims && !plan.keyed),
        token,
        ledger: ledger.clone(),
        serial: 0,
        report: Report::default(),
        truth: Truth { channel: Channel::new(&plan.channel, plan.keyed), trims: plan.trims, since: Instant::now() },
    };
    for done in 1..=plan.batches {
        let write = writer.batch(&format!("{seed}-{}-{done}", plan.number));
        writer.write(write).await?;
        if plan.keyed && writer.truth.head() > 0 {
            moments.note(writer.truth.head()).await;
        }
        written.send_replace(done);
        progress.fetch_add(1, Ordering::Relaxed);
        let pause = writer.rng.random_range(0..writer.plan.pace_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    writer.report.batches = plan.batches as u64;
    Ok((writer.truth, writer.report))
}

/// One request and what it means.
struct Write {
    publish: Publish,
    changes: Vec<Change>,
    /// What its URL names, where all of the changes are there.
    place: Option<Place>,
}

struct Writer<'p> {
    plan: &'p Plan,
    rng: StdRng,
    publisher: Publisher,
    conditions: Conditions,
    /// What it shows of itself.
    token: Option<String>,
    ledger: Ledger,
    serial: u64,
    report: Report,
    truth: Truth,
}

impl Writer<'_> {
    async fn write(&mut self, write: Write) -> Result<(), String> {
        let Write { mut publish, changes, place } = write;
        self.ledger.note(&changes);
        publish.token.clone_from(&self.token);
        // Where columns are masked an ETag is of what is left, which may be the same after a change.
        let place = place.filter(|_| !self.plan.rights.as_ref().is_some_and(Rights::masks_any));
        let mut expected = Expected::Wins;
        if let Some(place) = place.as_ref().filter(|_| self.rng.random_bool(0.4)) {
            let condition = self.conditions.choose(place, &self.truth.channel, &mut self.rng).await?;
            expected = condition.1;
            publish = publish.when(condition.0);
        }
        // A refusal is not remembered: a copy that is still on its way might be taken later.
        if expected == Expected::Wins && self.rng.random_bool(0.04) {
            // The request goes out, the answer finds nobody.
            self.report.retries += 1;
            drop(self.publisher.send_and_leave(&publish).await);
        }
        let answer = self.until_answered(&publish).await?;
        let refused = answer.head.status == 412;
        if expected == if refused { Expected::Wins } else { Expected::Loses } {
            return Err(format!("{publish:?} {expected:?}, and got {answer:?}; {:?}", self.truth.channel.ever.last()));
        }
        if publish.condition.is_some() {
            *(if refused { &mut self.report.lost } else { &mut self.report.won }) += 1;
        }
        if !refused {
            self.accepted(&publish, &changes, &answer)?;
        }
        self.ledger.answered(self.truth.head());
        let only_deletes = changes.iter().all(|change| change.op == Op::Delete);
        if only_deletes && !refused && etag(&answer).is_some() {
            return Err(format!("{publish:?} only deletes and got an ETag: {answer:?}"));
        }
        if let Some(place) = place.filter(|_| refused || !only_deletes) {
            let last = self.truth.channel.last_change(&place.address, place.key.as_deref());
            self.conditions
                .note(&place, etag(&answer).as_deref(), last)
                .map_err(|what| format!("{publish:?}: {what}"))?;
        }
        if !refused && self.rng.random_bool(0.04) {
            let again = self.until_answered(&publish).await?;
            let replayed = again.head.header("idempotency-replayed") == Some("true");
            let at = |answer: &Answer| acknowledged(answer, &publish);
            if !replayed || at(&again)? != at(&answer)? || (etag(&again), &again.body) != (etag(&answer), &answer.body)
            {
                return Err(format!("{publish:?} again: first {answer:?}, then {again:?}"));
            }
        }
        Ok(())
    }

    fn accepted(&mut self, publish: &Publish, changes: &[Change], answer: &Answer) -> Result<(), String> {
        let at = acknowledged(answer, publish)?;
        self.truth.take(changes, at).map_err(|wrong| format!("{publish:?}: {wrong}"))?;
        Ok(())
    }

    async fn until_answered(&mut self, publish: &Publish) -> Result<Answer, String> {
        for _ in 0..TRIES_MAX {
            match self.publisher.send(publish).await {
                Ok(answer) if matches!(answer.head.status, 200 | 204) => {
                    self.report.replays += u64::from(answer.head.header("idempotency-replayed").is_some());
                    return Ok(answer);
                }
                Ok(answer) if answer.head.status == 412 && publish.condition.is_some() => return Ok(answer),
                Ok(answer) if answer.head.status != 503 => return Err(format!("{publish:?} got {answer:?}")),
                Err(Ended::Garbage(what)) => return Err(format!("{publish:?} got {what}")),
                Ok(_) | Err(_) => {}
            }
            self.report.retries += 1;
            let pause = self.rng.random_range(20..120);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Err(format!("{publish:?} was not acknowledged in {TRIES_MAX} tries"))
    }

    fn batch(&mut self, idempotency_key: &str) -> Write {
        let address = self.address();
        let (publish, changes) = match (self.rng.random_range(0..8), self.plan.keyed) {
            (0, true) => {
                let change = self.change(&address);
                let key = change.key.clone().unwrap_or_default();
                (Publish::put(&address, &key, change.data.to_string()), vec![change])
            }
            (1, true) => {
                let key = self.key();
                (Publish::delete(&address, key), vec![Change::delete(&address, key)])
            }
            (0..3, _) => {
                let change = self.change(&address);
                (Publish::post(&address, types::JSON, change.data.to_string()), vec![change])
            }
            (3, _) => {
                let changes = self.changes(|_| address.clone());
                let array: Value = changes.iter().map(|change| change.data.clone()).collect();
                (Publish::post(&address, types::JSON, array.to_string()), changes)
            }
            (4, _) => {
                let changes = self.changes(|_| address.clone());
                let lines: String = changes.iter().map(|change| format!("{}\n", change.data)).collect();
                (Publish::post(&address, types::NDJSON, lines), changes)
            }
            (at, _) => {
                let changes = self.envelopes();
                let envelopes: Vec<Value> = changes.iter().map(|change| envelope(change, &address)).collect();
                let lines: String = envelopes.iter().map(|envelope| format!("{envelope}\n")).collect();
                let (content_type, body) = match at {
                    5 => (types::ENVELOPES, lines),
                    _ => (types::ENVELOPE, Value::from(envelopes).to_string()),
                };
                (Publish::post(&address, content_type, body), changes)
            }
        };
        let there = changes.iter().all(|change| change.address == address);
        let key = changes.first().and_then(|change| change.key.clone()).filter(|_| publish.method != "POST");
        let place = there.then_some(Place { address, key });
        Write { publish: publish.once(idempotency_key), changes, place }
    }

    fn changes(&mut self, address: impl Fn(&mut Self) -> String) -> Vec<Change> {
        let count = self.rng.random_range(1..5);
        let change = |writer: &mut Self| {
            let address = address(writer);
            writer.change(&address)
        };
        (0..count).map(|_| change(self)).collect()
    }

    /// Upserts, deletes and moves over all addresses; appends on a plain channel.
    fn envelopes(&mut self) -> Vec<Change> {
        if !self.plan.keyed {
            return self.changes(Self::address);
        }
        let mut changes = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let (from, to, key) = (self.address(), self.address(), self.key());
            match self.rng.random_range(0..3) {
                0 => changes.push(Change::delete(&from, key)),
                1 => {
                    changes.push(Change::delete(&from, key));
                    let data = self.data(&to, Some(key));
                    changes.push(Change::upsert(&to, key, data));
                }
                _ => changes.push(self.change(&to)),
            }
        }
        changes
    }

    fn change(&mut self, address: &str) -> Change {
        if !self.plan.keyed {
            let data = self.data(address, None);
            return Change::append(address, data);
        }
        let key = self.key();
        let data = self.data(address, Some(key));
        Change::upsert(address, key, data)
    }

    /// The value of the key with some members changed, or a new one.
    fn data(&mut self, address: &str, key: Option<&str>) -> Value {
        self.serial += 1;
        let held = key.and_then(|key| self.truth.channel.view.get(address, key)).cloned();
        let guarded = self.plan.rights.is_some();
        if let Some(held) = held.as_ref().filter(|_| guarded && self.rng.random_bool(0.15)) {
            let mut data = held.clone();
            value::change_secret(&mut data, self.serial, &mut self.rng);
            return data;
        }
        let mut data = match held {
            Some(held) if self.rng.random_bool(0.8) => held,
            _ => value::whole(&mut self.rng),
        };
        if guarded {
            if self.rng.random_bool(0.5) {
                value::give_away(&mut data, &mut self.rng);
            }
            if data.get("secret").is_none() || self.rng.random_bool(0.3) {
                value::change_secret(&mut data, self.serial, &mut self.rng);
            }
        }
        for _ in 0..self.rng.random_range(0..3) {
            value::change(&mut data, &mut self.rng);
        }
        let mut segments = address.split('/').skip(1);
        data["seq"] = self.serial.into();
        (data["place"], data["part"]) = (segments.next().into(), segments.next().into());
        if data.get("pad").is_none() || self.rng.random_bool(0.5) {
            data["pad"] = "é\"x\\".repeat(self.rng.random_range(0..=self.plan.pad_max) / 5).into();
        }
        // Both ways to write a key that looks like a number are that key.
        match key {
            Some("5") if self.rng.random_bool(0.5) => data["id"] = 5.into(),
            Some(key) => data["id"] = key.into(),
            None => {}
        }
        data
    }

    fn address(&mut self) -> String {
        let place = PLACES.choose(&mut self.rng).expect("some");
        let part = PARTS.choose(&mut self.rng).expect("some");
        format!("{}/{place}/{part}", self.plan.channel)
    }

    fn key(&mut self) -> &'static str {
        KEYS.choose(&mut self.rng).expect("some")
    }
}

fn envelope(change: &Change, url: &str) -> Value {
    let mut envelope = json!({"op": change.op.as_str()});
    if change.address != url {
        envelope["address"] = change.address.as_str().into();
    }
    if let Some(key) = &change.key {
        envelope["key"] = key.as_str().into();
    }
    if change.op != Op::Delete {
        envelope["data"] = change.data.clone();
    }
    envelope
}

/// The server's offset in an answer.
fn acknowledged(answer: &Answer, publish: &Publish) -> Result<u64, String> {
    let cursor = answer.head.header("tidegate-cursor").or_else(|| answer.body["cursor"].as_str());
    cursor.and_then(offset).ok_or_else(|| format!("{publish:?} got no cursor: {answer:?}"))
}
