//! Channels as lists of records, with the view beside them.
//!
//! What was trimmed is gone for a watch. The model also remembers everything that ever happened
//! ([`Channel::ever`]); that is for the oracle alone, and no watch may look at it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_core::{ChannelId, Epoch, Offset, Op};

use super::view::View;

/// One change as a writer asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happens.
    pub op: Op,
    /// Where; it means nothing if the whole channel is meant.
    pub address: String,
    /// Of keyed channels, unless the whole channel is meant.
    pub key: Option<String>,
    /// The new value, or what a notice says; else null.
    pub data: Value,
}

/// A change at its place, with what the key held before.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place.
    pub offset: Offset,
    /// What happened.
    pub change: Change,
    /// The value that the key had before; keyed channels only.
    pub before: Option<Value>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Whether it has keys, and so a view.
    pub keyed: bool,
    /// The life of its log.
    pub epoch: Epoch,
    /// The last offset given, 0 before the first.
    pub head: Offset,
    /// Records above it are held.
    pub start: Offset,
    /// What a watch may read.
    pub held: Vec<Record>,
    /// Last values; retention does not touch it.
    pub view: View,
    /// Everything since the epoch began, for the oracle.
    pub ever: Vec<Record>,
}

/// All channels; a batch over several of them is there whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By name.
    pub channels: BTreeMap<String, Channel>,
}

impl Change {
    /// A key has a new value.
    pub fn upsert(address: &str, key: &str, data: Value) -> Change {
        Change { op: Op::Upsert, address: address.to_owned(), key: Some(key.to_owned()), data }
    }

    /// A key goes away.
    pub fn delete(address: &str, key: &str) -> Change {
        Change { op: Op::Delete, address: address.to_owned(), key: Some(key.to_owned()), data: Value::Null }
    }

    /// A plain event.
    pub fn append(address: &str, data: Value) -> Change {
        Change { op: Op::Append, address: address.to_owned(), key: None, data }
    }

    /// All keys of the channel go away.
    pub fn clear() -> Change {
        Change { op: Op::Clear, address: String::new(), key: None, data: Value::Null }
    }

    /// The source lost changes.
    pub fn gap() -> Change {
        Change { op: Op::Gap, address: String::new(), key: None, data: Value::Null }
    }

    /// The source tells something.
    pub fn notice(code: &str) -> Change {
        let data = json!({"code": code, "message": "of the source"});
        Change { op: Op::Notice, address: String::new(), key: None, data }
    }
}

impl Channel {
    /// An empty channel.
    pub fn new(name: &str, keyed: bool) -> Channel {
        Channel {
            name: name.to_owned(),
            keyed,
            epoch: Epoch::from_bits(1),
            head: 0,
            start: 0,
            held: Vec::new(),
            view: View::default(),
            ever: Vec::new(),
        }
    }

    /// The id that its cursors carry.
    pub fn id(&self) -> ChannelId {
        ChannelId::of(&self.name)
    }

    /// Takes a batch and returns the offset after it. A watch runs before or after, never amid.
    pub fn append(&mut self, batch: &[Change]) -> Offset {
        for change in batch {
            self.take(change);
        }
        self.head
    }

    /// Forgets the records up to `start`, as retention does.
    pub fn trim(&mut self, start: Offset) {
        self.start = self.start.max(start.min(self.head));
        self.held.retain(|record| record.offset > self.start);
    }

    /// Begins another life: the log was lost.
    pub fn lose(&mut self) {
        let (name, keyed, epoch) = (self.name.clone(), self.keyed, self.epoch.to_bits() + 1);
        *self = Channel { epoch: Epoch::from_bits(epoch), ..Channel::new(&name, keyed) };
    }

    /// The last change of an address, or of one key: the record that made its value. `None` where nothing ever was, and for a key
    /// without a value.
    pub fn last_change(&self, address: &str, key: Option<&str>) -> Option<Offset> {
        let own =
            |change: &Change| change.address == address && key.is_none_or(|key| change.key.as_deref() == Some(key));
        let everywhere = |change: &Change| change.op == Op::Clear || (change.op.is_channel_wide() && !self.keyed);
        self.ever.iter().find(|record| own(&record.change))?;
        let last = self.ever.iter().rev().find(|record| own(&record.change) || everywhere(&record.change))?;
        (key.is_none() || last.change.op == Op::Upsert).then_some(last.offset)
    }

    /// The oracle: the state at `offset`, from everything that ever happened.
    pub fn state_at(&self, offset: Offset) -> View {
        let mut view = View::default();
        for Record { change, .. } in self.ever.iter().take_while(|record| record.offset <= offset) {
            view.apply(change.op, &change.address, change.key.as_deref(), &change.data);
        }
        view
    }

    /// The state at `offset`, as what is held tells it; `None` where it does not.
    ///
    /// Every change is undone by what the key had before, the newest first. A clear cannot be: before one, the state is what
    /// the records make of the last moment at which there was none.
    pub fn as_of(&self, offset: Offset) -> Option<View> {
        if offset < self.start || offset > self.head {
            return None;
        }
        let clear = |record: &&Record| record.change.op == Op::Clear;
        let later = || self.held.iter().filter(|record| record.offset > offset);
        if later().any(|record| clear(&record)) {
            let earlier = || self.held.iter().filter(|record| record.offset <= offset);
            let empty = earlier().rev().find(clear).map(|record| record.offset).or((self.start == 0).then_some(0))?;
            let mut view = View::default();
            for Record { change, .. } in earlier().filter(|record| record.offset > empty) {
                view.apply(change.op, &change.address, change.key.as_deref(), &change.data);
            }
            return Some(view);
        }
        let mut view = self.view.clone();
        for Record { change, before, .. } in later().rev() {
            let Some(key) = &change.key else { continue };
            let (op, data) = before.as_ref().map_or((Op::Delete, &Value::Null), |before| (Op::Upsert, before));
            view.apply(op, &change.address, Some(key), data);
        }
        Some(view)
    }

    fn take(&mut self, change: &Change) {
        self.head += 1;
        let before = change.key.as_ref().and_then(|key| self.view.get(&change.address, key)).cloned();
        if change.op == Op::Delete && before.is_none() {
            return; // nothing happened, so there is no record; the offset is a hole
        }
        if self.keyed {
            self.view.apply(change.op, &change.address, change.key.as_deref(), &change.data);
        }
        let record = Record { offset: self.head, change: change.clone(), before };
        self.held.push(record.clone());
        self.ever.push(record);
    }
}

impl Log {
    /// Takes a batch over any channels.
    ///
    /// # Panics
    /// If a channel does not exist.
    pub fn append(&mut self, batch: &[(&str, Change)]) {
        assert!(batch.iter().all(|(name, _)| self.channels.contains_key(*name)), "a batch names channels that exist");
        for (name, change) in batch {
            if let Some(channel) = self.channels.get_mut(*name) {
                channel.append(std::slice::from_ref(change));
            }
        }
    }
}
