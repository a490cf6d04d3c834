//! One watch: which frames leave, in which order, from any beginning.
//!
//! ```text
//! Start ──► Scan ──last──► Follow ──┐     state; a gap, another view and an overtaken
//!             ▲               gap   │     scan lead (back) to Scan, each with a reset
//!             └───────────────◄─────┘
//! Start ──► Complete ──► Follow           state; the client has read the rows before
//! Start ──► Follow                        history and plain; a gap moves the position
//! any   ──► Scan, or Follow where it is   its caller may see something else
//! ```
//!
//! A watch holds its position and, while it scans, the last row sent; never a list of what its
//! client has. Whether a row was visible before a change is in the record (`before`).

use serde_json::{Value, json};
use tidegate_core::{Cursor, GapReason, Kind, Offset, Op};

use super::cursor::{Verdict, judge};
use super::eye::{Eye, Shown};
use super::log::{Channel, Record};
use super::patch::{json_patch, merge_patch};
use super::told::{self, Told};
use super::view::RowId;

/// How the change of a row is told that the watch was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By its value.
    #[default]
    Full,
    /// By a JSON Merge Patch, where it can say the change.
    Patch,
    /// By a JSON Patch.
    JsonPatch,
}

/// Where a watch begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// State: with a snapshot. History: at the head.
    Fresh,
    /// History after this offset.
    From(Offset),
    /// State: with the rows as of this offset, and the changes since.
    AsOf(Offset),
    /// Where an earlier watch was.
    After(Cursor),
}

/// Where the watch finds out what a row was before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Befores {
    /// In the record itself: the decision.
    InRecord,
    /// In older records that are still held: what the decision rejects, kept to show why.
    FromOlderRecords,
}

/// A running watch.
pub struct Watch {
    eye: Eye,
    chain: bool,
    mode: Mode,
    /// Whether what one step tells is a tick.
    conflated: bool,
    befores: Befores,
    phase: Phase,
    prev: Option<Offset>,
}

enum Phase {
    Start(Begin),
    Scan {
        at: Offset,
        after: Option<RowId>,
        count: u64,
    },
    Complete {
        at: Offset,
    },
    Follow {
        at: Offset,
    },
    /// It was refused amid.
    Over,
}

impl Watch {
    /// A watch that has not sent anything yet.
    pub fn new(eye: Eye, begin: Begin, chain: bool) -> Watch {
        let (mode, befores, phase) = (Mode::Full, Befores::InRecord, Phase::Start(begin));
        Watch { eye, chain, mode, conflated: false, befores, phase, prev: None }
    }

    /// The same watch, told of changes in this way.
    pub fn with_mode(self, mode: Mode) -> Watch {
        Watch { mode, ..self }
    }

    /// The same watch, conflated or not: then each step is a tick, at whatever moment it comes.
    pub fn conflated(self, conflated: bool) -> Watch {
        Watch { conflated, ..self }
    }

    /// The same watch with another way to learn what was before.
    pub fn with_befores(self, befores: Befores) -> Watch {
        Watch { befores, ..self }
    }

    /// State or records.
    pub fn kind(&self) -> Kind {
        self.eye.kind
    }

    /// Whether everything of `channel` has been sent.
    pub fn current(&self, channel: &Channel) -> bool {
        matches!(self.phase, Phase::Follow { at } if at == channel.head)
    }

    /// Sends what is due now; looks at `limit` rows or records at most, but for those that a scan
    /// has to catch up with.
    ///
    /// # Panics
    /// If the watch was begun with a cursor of another channel; the request would be refused.
    pub fn step(&mut self, channel: &Channel, limit: usize) -> Vec<Value> {
        let mut out = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Follow { at: 0 }) {
            Phase::Start(begin) => self.start(channel, begin, &mut out),
            Phase::Scan { at, after, count } => self.scan(channel, (at, after, count), limit, &mut out),
            Phase::Complete { at } => self.complete(channel, at, &mut out),
            Phase::Follow { at } => self.follow(channel, at, limit, &mut out),
            Phase::Over => self.phase = Phase::Over,
        }
        out
    }

    /// The frame of a heartbeat: everything of this view up to `at` has been sent.
    pub fn bookmark(&mut self, channel: &Channel) -> Option<Value> {
        let Phase::Follow { at } = self.phase else { return None };
        let mut frame = json!({"op": "bookmark"});
        self.stand(channel, at, &mut frame);
        Some(frame)
    }

    /// From now on it looks so, as a fresh token lets its caller: the state comes anew, a history is told and goes on where it
    /// is. Where that is the same nothing is told, and one that has not begun begins so.
    pub fn renew(&mut self, channel: &Channel, eye: Eye) -> Vec<Value> {
        let mut out = Vec::new();
        let same = eye.fingerprint() == self.eye.fingerprint();
        self.eye = eye;
        match self.phase {
            _ if same => {}
            Phase::Start(_) | Phase::Over => {}
            Phase::Follow { at } if self.eye.kind == Kind::History => {
                out.push(json!({"op": "notice", "code": "rights-changed", "message": ""}));
                self.prev = None;
                // What was trimmed is announced instead.
                if at >= channel.start {
                    let mut bookmark = json!({"op": "bookmark"});
                    self.stand(channel, at, &mut bookmark);
                    out.push(bookmark);
                }
            }
            _ => self.rescan(channel, "rights", &mut out),
        }
        out
    }

    fn start(&mut self, channel: &Channel, begin: Begin, out: &mut Vec<Value>) {
        let state = self.eye.kind == Kind::State;
        let verdict = match &begin {
            Begin::Fresh if state => {
                out.push(json!({"op": "begin"}));
                return self.rescan(channel, "start", out);
            }
            Begin::AsOf(at) => return self.past(channel, *at, out),
            Begin::Fresh => Verdict::Resume(channel.head),
            Begin::From(at) => Verdict::Resume((*at).max(channel.start)),
            Begin::After(cursor) => judge(channel, &self.eye, cursor),
        };
        let from = if let Begin::After(cursor) = &begin { cursor.to_string() } else { String::new() };
        let mut frame = json!({"op": "begin"});
        match verdict {
            Verdict::Resume(at) => {
                if state {
                    self.prev = Some(at); // the client holds this cursor already
                } else {
                    self.stand(channel, at, &mut frame);
                }
                out.push(frame);
                self.phase = Phase::Follow { at };
            }
            Verdict::Fuzzy(at) => {
                out.push(frame);
                self.phase = Phase::Complete { at };
            }
            Verdict::Gap(reason) => {
                out.push(frame);
                self.gap(channel, from, reason, out);
            }
            Verdict::OtherView => {
                out.push(frame);
                self.rescan(channel, "view", out);
            }
            Verdict::Refused => panic!("a cursor of another channel is refused before a watch exists"),
        }
    }

    /// The rows as of an offset, and what came since from there on.
    fn past(&mut self, channel: &Channel, at: Offset, out: &mut Vec<Value>) {
        out.push(json!({"op": "begin"}));
        let Some(view) = channel.as_of(at) else {
            out.push(json!({"op": "close", "code": "out-of-reach", "message": "", "retry_ms": null}));
            self.phase = Phase::Over;
            return;
        };
        out.push(json!({"op": "reset", "reason": "start"}));
        let rows = view.through(&self.eye).rows;
        for ((address, key), data) in &rows {
            out.push(json!({"op": "snapshot", "address": address, "key": key, "data": data}));
        }
        let mut last = json!({"op": "snapshot", "last": true, "count": rows.len()});
        self.stand(channel, at, &mut last);
        out.push(last);
        self.phase = Phase::Follow { at };
    }

    /// Loss is announced; then state from scratch, or the oldest record held.
    fn gap(&mut self, channel: &Channel, from: String, reason: GapReason, out: &mut Vec<Value>) {
        let mut frame = json!({"op": "gap", "from": from, "reason": reason.as_str()});
        if self.eye.kind == Kind::State {
            out.push(frame);
            return self.rescan(channel, "gap", out);
        }
        frame["to"] = self.text(channel, channel.start).into();
        out.push(frame);
        self.prev = Some(channel.start);
        self.phase = Phase::Follow { at: channel.start };
    }

    fn rescan(&mut self, channel: &Channel, reason: &str, out: &mut Vec<Value>) {
        out.push(json!({"op": "reset", "reason": reason}));
        self.prev = None;
        self.phase = Phase::Scan { at: channel.head, after: None, count: 0 };
    }

    /// One page. First the changes since the page before (they can touch rows already sent), then
    /// rows as they are now: what was sent is the state of now as far as the scan has come.
    fn scan(
        &mut self,
        channel: &Channel,
        (at, after, mut count): (Offset, Option<RowId>, u64),
        limit: usize,
        out: &mut Vec<Value>,
    ) {
        if at < channel.start {
            return self.rescan(channel, "overtaken", out);
        }
        count = self.meanwhile(channel, at, out).unwrap_or(count);
        let rest = channel.view.rows.iter().filter(|(id, _)| after.as_ref().is_none_or(|after| *id > after));
        let page: Vec<_> = rest.take(limit).collect();
        for ((address, key), data) in &page {
            if self.eye.sees_row(address, key, data) {
                count += 1;
                let data = self.eye.project(data);
                out.push(json!({"op": "snapshot", "address": address, "key": key, "data": data}));
            }
        }
        let at = channel.head;
        if let (Some((id, _)), true) = (page.last(), page.len() == limit) {
            self.phase = Phase::Scan { at, after: Some((*id).clone()), count };
            return;
        }
        let mut last = json!({"op": "snapshot", "last": true, "count": count});
        self.stand(channel, at, &mut last);
        out.push(last);
        self.phase = Phase::Follow { at };
    }

    /// What changed since rows that the client has read; behind it they are the state.
    fn complete(&mut self, channel: &Channel, at: Offset, out: &mut Vec<Value>) {
        if at < channel.start {
            return self.rescan(channel, "overtaken", out);
        }
        let mut end = match self.meanwhile(channel, at, out) {
            Some(count) => json!({"op": "snapshot", "last": true, "count": count}),
            None => json!({"op": "bookmark"}),
        };
        self.stand(channel, channel.head, &mut end);
        out.push(end);
        self.phase = Phase::Follow { at: channel.head };
    }

    /// The changes behind `at`, told without a cursor; the rows since a reset among them.
    fn meanwhile(&self, channel: &Channel, at: Offset, out: &mut Vec<Value>) -> Option<u64> {
        let mut count = None;
        for (index, record) in channel.held.iter().enumerate().filter(|(_, record)| record.offset > at) {
            if record.change.op == Op::Clear {
                count = Some(0);
                out.push(json!({"op": "reset", "reason": "clear"}));
            } else if let Some(frame) = self.seen(channel, index, Mode::Full) {
                // No patch: the row it would change may not have come yet, or may be newer.
                out.push(frame);
            }
        }
        count
    }

    fn follow(&mut self, channel: &Channel, mut at: Offset, limit: usize, out: &mut Vec<Value>) {
        if at < channel.start {
            let from = self.text(channel, at);
            return self.gap(channel, from, GapReason::Retention, out);
        }
        let due = channel.held.iter().enumerate().filter(|(_, record)| record.offset > at);
        let page: Vec<_> = due.take(limit).collect();
        let all = page.len() < limit;
        let mut tick = Vec::new();
        for (index, record) in page {
            at = record.offset;
            if self.conflated && !wide(record) {
                tick.push(index);
                continue;
            }
            self.end_tick(channel, &mut tick, out);
            if record.change.op == Op::Clear && self.eye.kind == Kind::State {
                out.push(json!({"op": "reset", "reason": "clear"}));
                let mut last = json!({"op": "snapshot", "last": true, "count": 0});
                self.stand(channel, at, &mut last);
                out.push(last);
            } else if record.change.op == Op::Gap && self.eye.kind == Kind::History {
                let (from, to) = (self.text(channel, at - 1), self.text(channel, at));
                out.push(json!({"op": "gap", "from": from, "to": to, "reason": "source"}));
                self.prev = Some(at);
                let mut bookmark = json!({"op": "bookmark"});
                self.stand(channel, at, &mut bookmark);
                out.push(bookmark);
            } else if let Some(mut frame) = self.seen(channel, index, self.mode) {
                self.stand(channel, at, &mut frame);
                out.push(frame);
            }
        }
        self.end_tick(channel, &mut tick, out);
        // Behind the last record there may be holes; only the log knows.
        self.phase = Phase::Follow { at: if all { channel.head } else { at } };
    }

    /// Tells what the held records at these indices have changed, with one cursor behind all of them: each has been
    /// told then or needs not to be.
    fn end_tick(&mut self, channel: &Channel, indices: &mut Vec<usize>, out: &mut Vec<Value>) {
        let records: Vec<&Record> = std::mem::take(indices).into_iter().map(|index| &channel.held[index]).collect();
        let Some(end) = records.last().map(|record| record.offset) else { return };
        let told = told::tick(&self.eye, &records, |record| self.before(channel, record));
        let mut frames: Vec<Value> = told.iter().map(|told| self.frame(told, self.mode)).collect();
        for (frame, told) in frames.iter_mut().zip(&told) {
            frame["conflated"] = told.count.into();
        }
        if let Some(last) = frames.last_mut() {
            self.stand(channel, end, last);
        }
        out.append(&mut frames);
    }

    /// What this watch sees of the held record at `index`: the heart of filters and row rules.
    fn seen(&self, channel: &Channel, index: usize, mode: Mode) -> Option<Value> {
        let record = &channel.held[index];
        match record.change.op {
            Op::Clear => Some(json!({"op": "clear"})),
            Op::Notice => {
                let mut frame = record.change.data.clone();
                (frame["op"], frame["time"]) = ("notice".into(), "then".into());
                Some(frame)
            }
            Op::Gap => None, // the state is found again by comparing
            _ => {
                let told = told::each(&self.eye, &[record], |record| self.before(channel, record));
                told.first().map(|told| self.frame(told, mode))
            }
        }
    }

    fn frame(&self, told: &Told<'_>, mode: Mode) -> Value {
        let change = &told.record.change;
        let mut frame = json!({"op": told.op(), "address": change.address});
        if let Some(key) = &change.key {
            frame["key"] = key.as_str().into();
        }
        let patch = match (&told.shown, mode) {
            _ if self.eye.kind == Kind::History => None,
            (Shown::Changed { was, is }, Mode::Patch) => merge_patch(was, is).map(|patch| ("patch", patch)),
            (Shown::Changed { was, is }, Mode::JsonPatch) => Some(("patches", json_patch(was, is))),
            _ => None,
        };
        match (patch, &told.shown) {
            (Some((name, patch)), _) => frame[name] = patch,
            (None, Shown::Value(is) | Shown::Changed { is, .. }) => frame["data"] = is.clone(),
            (None, Shown::Gone) => {}
        }
        frame
    }

    fn before<'c>(&self, channel: &'c Channel, record: &'c Record) -> Option<&'c Value> {
        if self.befores == Befores::InRecord {
            return record.before.as_ref();
        }
        let same = |older: &&Record| {
            older.offset < record.offset
                && older.change.address == record.change.address
                && older.change.key == record.change.key
        };
        let older = channel.held.iter().rev().find(same)?;
        (older.change.op == Op::Upsert).then_some(&older.change.data)
    }

    /// Gives a frame its cursor and, when chained, the cursor before.
    fn stand(&mut self, channel: &Channel, at: Offset, frame: &mut Value) {
        frame["cursor"] = self.text(channel, at).into();
        if let (true, Some(prev)) = (self.chain, self.prev) {
            frame["prev"] = self.text(channel, prev).into();
        }
        self.prev = Some(at);
    }

    fn text(&self, channel: &Channel, offset: Offset) -> String {
        Cursor { channel: channel.id(), epoch: channel.epoch, view: self.eye.fingerprint(), offset }.to_string()
    }
}

/// Whether a record concerns the whole channel: it has its own place in the order, and ends a tick.
fn wide(record: &Record) -> bool {
    matches!(record.change.op, Op::Clear | Op::Gap | Op::Notice)
}
