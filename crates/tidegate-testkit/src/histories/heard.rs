//! What a watcher was told from cursor to cursor, kept until the model is known and can judge it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use tidegate_core::{Offset, Op};

use super::look::{Look, Manner};
use super::truth::Truth;
use crate::model::{Eye, Image, Shown, Told};
use crate::replica::{offset, row_hash};

/// Everything that one watcher was told.
#[derive(Default)]
pub(super) struct Heard {
    /// In order.
    stretches: Vec<Stretch>,
    open: Open,
    /// Values that were sent, even those that a cut took back.
    sent: HashMap<Look, HashSet<u64>>,
    /// How often each kind of thing was heard.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// What came since the last cursor.
#[derive(Default)]
struct Open {
    said: Vec<Said>,
    /// A snapshot is on its way.
    scanning: bool,
    /// A gap has come that ends there.
    gap: Option<Offset>,
    /// A stream has begun.
    begun: bool,
}

/// What came from one cursor to the next.
struct Stretch {
    look: Look,
    manner: Manner,
    from: Option<Offset>,
    upto: Offset,
    /// Of the rows at its end.
    hash: Option<u64>,
    came: Open,
}

/// A change that was told.
#[derive(Debug)]
struct Said {
    op: String,
    address: String,
    key: String,
    /// Hash of its data, where it has them.
    data: Option<u64>,
    patched: bool,
    conflated: Option<u64>,
}

impl Heard {
    /// Takes a frame; it may be taken back.
    pub(super) fn frame(&mut self, look: Look, frame: &Value) {
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        match frame["op"].as_str() {
            Some("reset") => self.open = Open { scanning: true, ..Open::default() },
            Some("begin") => self.open.begun = true,
            Some("gap") => self.open.gap = frame["to"].as_str().and_then(offset),
            Some("snapshot" | "upsert" | "delete" | "append" | "clear") if frame.get("last").is_none() => {
                let (address, key) = (text("address"), text("key"));
                let data = frame.get("data").map(|data| row_hash(&address, &key, data));
                self.sent.entry(look).or_default().extend(data);
                let patched = frame.get("data").is_none() && frame["op"] != "delete";
                let conflated = frame["conflated"].as_u64();
                self.open.said.push(Said { op: text("op"), address, key, data, patched, conflated });
                let kinds = [
                    ("merge patch", frame.get("patch").is_some()),
                    ("JSON patch", frame.get("patches").is_some()),
                    ("several in one", conflated.is_some_and(|count| count > 1)),
                    ("filtered", look.filters()),
                    ("projected", look.projects()),
                ];
                kinds.into_iter().filter(|(_, is)| *is).for_each(|(kind, _)| self.count(kind));
            }
            _ => {}
        }
    }

    /// Whether a snapshot has begun that no cursor stands behind yet.
    pub(super) fn scanning(&self) -> bool {
        self.open.scanning
    }

    /// A cursor stands.
    pub(super) fn stand(
        &mut self,
        (look, manner): (Look, Manner),
        from: Option<Offset>,
        upto: Offset,
        hash: Option<u64>,
    ) {
        let came = std::mem::take(&mut self.open);
        if came.said.len() > 1 && came.said[0].conflated.is_some() {
            self.count("several in a tick");
        }
        self.stretches.push(Stretch { look, manner, from, upto, hash, came });
    }

    /// The connection broke: what came after the last cursor is taken back.
    pub(super) fn cut(&mut self) {
        self.open = Open::default();
    }

    pub(super) fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Compares all of it with the truth. Returns how many cursors were compared.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn judge(&mut self, truth: &Truth, eye: impl Fn(Look) -> Eye) -> Result<u64, String> {
        let mut hashes: HashMap<Look, HashMap<Offset, u64>> = HashMap::new();
        let mut kinds = Vec::new();
        for stretch in &self.stretches {
            let eye = eye(stretch.look);
            if let Some(hash) = stretch.hash {
                let hashes = hashes.entry(stretch.look).or_insert_with(|| truth.hashes(&eye));
                if hashes.get(&stretch.upto) != Some(&hash) {
                    return Err(format!("at {:x} the replica was not the state of the model ({eye:?})", stretch.upto));
                }
            }
            stretch.judge(truth, &eye, &mut kinds).map_err(|wrong| {
                format!("from {:x?} to {:x} ({:?}, {eye:?}): {wrong}", stretch.from, stretch.upto, stretch.manner)
            })?;
        }
        for (look, sent) in &self.sent {
            let eye = eye(*look);
            if !sent.is_subset(&truth.visible(&eye)) {
                return Err(format!("a value was sent that is not to be seen: {eye:?}"));
            }
        }
        kinds.into_iter().for_each(|kind| self.count(kind));
        Ok(self.stretches.len() as u64)
    }
}

impl Stretch {
    fn judge(&self, truth: &Truth, eye: &Eye, kinds: &mut Vec<&'static str>) -> Result<(), String> {
        let Stretch { manner, upto, came: Open { said, scanning, gap, begun }, .. } = self;
        if *scanning {
            return Ok(()); // rows, and what happened meanwhile: their hash says whether they are right
        }
        let from = match (*gap, self.from) {
            (Some(to), from) if Some(to) < from => return Err("a gap that leads back".to_owned()),
            (Some(to), _) => to,
            (None, Some(from)) => from,
            (None, None) if *begun => *upto,
            (None, None) => 0,
        };
        let conflated = manner.rate.is_some();
        let mut told = truth.told(eye, conflated, (from, *upto));
        if self.from.or(*gap).is_none() && truth.trims {
            // A long-poll from the start does not say where that is.
            told.drain(..told.len().saturating_sub(said.len()));
        }
        let differs = said.iter().zip(&told).position(|(said, told)| !said.is(told, *manner));
        if let Some(at) = differs.or_else(|| (said.len() != told.len()).then_some(said.len().min(told.len()))) {
            let wanted: Vec<String> =
                told.iter().map(|told| format!("{} {:x} of {}", told.op(), told.offset(), told.count)).collect();
            return Err(format!("change {at} of {said:x?} differs from the wanted {wanted:?}: {:?}", told.get(at)));
        }
        for (said, told) in said.iter().zip(&told) {
            kinds.extend(match &told.shown {
                Shown::Gone if told.record.change.op == Op::Upsert => Some("left the filter"),
                Shown::Value(_) if told.record.before.is_some() => Some("came into the filter"),
                Shown::Changed { .. } if manner.patches() && !said.patched => Some("value in place of a patch"),
                _ => None,
            });
        }
        kinds.extend(told.iter().filter_map(|told| changed_hands(told, eye)));
        let hidden = truth.in_scope(eye, (from, *upto)) > told.iter().map(|told| told.count).sum();
        kinds.extend(hidden.then_some("not told"));
        Ok(())
    }
}

/// Whether a row has come to a principal, or gone from it, by its row rule.
fn changed_hands(told: &Told<'_>, eye: &Eye) -> Option<&'static str> {
    let change = &told.record.change;
    let before = told.record.before.as_ref().filter(|_| change.op == Op::Upsert)?;
    let own =
        |data| (eye.row_rule)(&Image { address: &change.address, key: change.key.as_deref(), op: Op::Upsert, data });
    match (own(before), own(&change.data)) {
        (true, false) => Some("a row went to another principal"),
        (false, true) => Some("a row came from another principal"),
        _ => None,
    }
}

impl Said {
    fn is(&self, told: &Told<'_>, manner: Manner) -> bool {
        let change = &told.record.change;
        let (address, key) = (&change.address, change.key.as_deref().unwrap_or_default());
        let value = match (&told.shown, self.data) {
            (Shown::Gone, data) => data.is_none() && !self.patched,
            (Shown::Value(is) | Shown::Changed { is, .. }, Some(data)) => data == row_hash(address, key, is),
            // What it says, the hash of the rows says.
            (Shown::Changed { .. }, None) => self.patched && manner.patches(),
            (Shown::Value(_), None) => false,
        };
        let count = match (self.conflated, manner.rate) {
            (None, None) => true,
            // Ticks of a key may have come to nothing before.
            (Some(count), Some(_)) if change.key.is_some() => (1..=told.count).contains(&count),
            (Some(count), Some(_)) => count == told.count,
            _ => false,
        };
        value && count && self.op == told.op() && self.address == *address && self.key == key
    }
}

#[cfg(test)]
mod tests;
