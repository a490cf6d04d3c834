//! What a conflated watch is told at once: every key that changed, once, with its newest value.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Frame, Key, Record};

use super::sight::Sight;
use super::view::View;
use crate::config::ChannelConfig;
use crate::frames::shown;

/// Changes since the last tick, merged by key: of plain channels by address.
#[derive(Default)]
pub struct Tick {
    keys: HashMap<(Arc<str>, Option<Key>), Pending>,
}

struct Pending {
    /// What the key had before the first of the changes.
    before: Option<Bytes>,
    newest: Arc<Record>,
    count: u32,
}

impl Tick {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys have changed.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a change, later than those before, if it is in the scope of the view; not one that concerns the whole
    /// channel, which has its own place in the order of frames.
    pub fn push(&mut self, record: &Arc<Record>, view: &View) {
        if !view.scope.matches(record.address.as_str(), record.key.as_deref()) {
            return;
        }
        self.keys
            .entry((record.address.shared(), record.key.clone()))
            .and_modify(|pending| {
                pending.newest = record.clone();
                pending.count += 1;
            })
            .or_insert_with(|| Pending { before: record.before.clone(), newest: record.clone(), count: 1 });
    }

    /// Ends the tick: its frames in the order of the newest changes. The cursor stands on the last one, since
    /// between two of them some changes have been told whose records come later.
    pub fn end(&mut self, view: &View, config: &ChannelConfig, mut each: impl FnMut(Frame)) {
        let mut changed: Vec<Pending> = std::mem::take(&mut self.keys).into_values().collect();
        changed.sort_unstable_by_key(|pending| pending.newest.offset);
        let mut held = None;
        for Pending { before, newest, count } in changed {
            let sight = Sight::since(&newest, before.as_ref(), config);
            let Some(shown) = shown(&sight, view, true) else { continue };
            let frame = |cursor| Frame::Change { record: newest.clone(), shown, conflated: Some(count), cursor };
            if let Some(before) = held.replace(frame(true)) {
                each(without_cursor(before));
            }
        }
        held.into_iter().for_each(each);
    }
}

fn without_cursor(frame: Frame) -> Frame {
    match frame {
        Frame::Change { record, shown, conflated, .. } => Frame::Change { record, shown, conflated, cursor: false },
        other => other,
    }
}
