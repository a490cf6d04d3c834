//! Retention: whole segments go from the front of a channel's history. The state never does.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tidegate_core::{Millis, Offset};

use super::commit::channel_row;
use crate::channel::ChannelState;
use crate::engine::Engine;
use crate::error::DrainError;
use crate::segment::Segment;
use crate::state::{CHANNELS, META, META_TRIMMED, SEGMENTS, StateError};

struct Trim {
    channel: Arc<ChannelState>,
    dropped: Vec<Arc<Segment>>,
    start: Offset,
}

impl Engine {
    /// Whether a channel's records in memory alone are over its bounds, so that a drain has to come first.
    pub(crate) fn retention_needs_drain(&self) -> bool {
        let now = self.options.clock.now();
        self.channels.iter().filter(|channel| channel.ring.is_none()).any(|channel| {
            let parts = channel.see().held.parts;
            let bytes: u64 = parts.iter().map(|part| part.bytes()).sum();
            let oldest = parts.iter().find_map(|part| part.oldest());
            channel.retain.bytes.is_some_and(|max| bytes > max.max(super::SEGMENT_BYTES_MIN))
                || channel.retain.age.zip(oldest).is_some_and(|(age, oldest)| oldest < now.before(age))
        })
    }

    /// Drops what is over the bounds; `false` if nothing was.
    pub(crate) fn retain(&self) -> Result<bool, DrainError> {
        let _turn = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready()?;
        let now = self.options.clock.now();
        let trims: Vec<Trim> = self.channels.iter().filter_map(|channel| due(channel, now)).collect();
        if trims.is_empty() {
            return Ok(false);
        }
        let mark = rand::random();
        let committed = self.commit_trims(&trims, mark);
        let snapshot = self.settle(committed, mark, META_TRIMMED, Vec::new())?;
        self.show(&snapshot);
        let mut moved = Vec::new();
        for Trim { channel, dropped, start } in trims {
            self.counters.segments_dropped.fetch_add(dropped.len() as u64, Ordering::Relaxed);
            channel.publish(start, |held| {
                held.segments = Arc::new(held.segments[dropped.len()..].to_vec());
            });
            moved.push(channel.id);
            self.remove_segments(dropped.iter().map(|segment| segment.meta.clone()).collect());
        }
        self.tell(&moved);
        Ok(true)
    }

    fn commit_trims(&self, trims: &[Trim], mark: u64) -> Result<(), StateError> {
        let write = self.state.begin()?;
        {
            let mut segments = write.open_table(SEGMENTS)?;
            let mut channels = write.open_table(CHANNELS)?;
            for trim in trims {
                let id = trim.channel.id;
                for segment in &trim.dropped {
                    segments.remove(segment.meta.key(id))?;
                }
                let row = channel_row(&channels, id)?;
                let mut row = row.ok_or_else(|| StateError::damaged("a channel is missing"))?;
                row.start = trim.start;
                channels.insert(id.to_bits(), row.encode().as_slice())?;
            }
            write.open_table(META)?.insert(META_TRIMMED, mark)?;
        }
        Ok(write.commit()?)
    }
}

/// What of a channel is to go now.
fn due(channel: &Arc<ChannelState>, now: Millis) -> Option<Trim> {
    if !channel.configured || channel.ring.is_some() {
        return None;
    }
    let held = channel.see().held;
    let hot: u64 = held.parts.iter().map(|part| part.bytes()).sum();
    let mut bytes = hot + held.segments.iter().map(|segment| segment.meta.bytes).sum::<u64>();
    let mut dropped = Vec::new();
    for segment in held.segments.iter() {
        let old = channel.retain.age.is_some_and(|age| segment.meta.last_time < now.before(age));
        let over = channel.retain.bytes.is_some_and(|max| bytes > max);
        if !old && !over {
            break;
        }
        bytes -= segment.meta.bytes;
        dropped.push(segment.clone());
    }
    let start = dropped.last()?.meta.last;
    Some(Trim { channel: channel.clone(), dropped, start })
}
