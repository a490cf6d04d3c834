//! Merging segments, so that an address is in few of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crate::channel::ChannelState;
use crate::disk::synced;
use crate::engine::Engine;
use crate::error::DrainError;
use crate::segment::{self, Segment, SegmentMeta, merge};
use crate::state::{META, META_MERGED, SEGMENTS, StateError};

/// A segment joins the next when it is at most so many times as large: sizes fall geometrically.
const RATIO: u64 = 2;
/// A segment of a channel bounded by age spans at most this part of the age.
const AGE_PARTS: u32 = 4;

/// Neighbours and what they became.
struct Merged {
    channel: Arc<ChannelState>,
    sources: Vec<Arc<Segment>>,
    meta: SegmentMeta,
}

impl Engine {
    /// Merges where it is due; `false` if nowhere.
    pub(crate) fn merge(&self) -> Result<bool, DrainError> {
        let _turn = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready()?;
        let mut all = Vec::new();
        let written = self.write_merged(&mut all);
        let metas = || all.iter().map(|merged| merged.meta.clone()).collect::<Vec<_>>();
        if let Err(error) = written {
            self.remove_segments(metas());
            return Err(error);
        }
        if all.is_empty() {
            return Ok(false);
        }
        let mark = rand::random();
        let committed = self.commit_merged(&all, mark);
        let snapshot = self.settle(committed, mark, META_MERGED, metas())?;
        self.show(&snapshot);
        self.counters.merges.fetch_add(all.len() as u64, Ordering::Relaxed);
        for Merged { channel, sources, meta } in all {
            let new = Arc::new(Segment::new(self.disk.clone(), channel.id, meta));
            channel.publish(channel.start(), |held| {
                let kept = |segment: &&Arc<Segment>| !sources.iter().any(|old| Arc::ptr_eq(old, segment));
                let mut segments: Vec<Arc<Segment>> = held.segments.iter().filter(kept).cloned().collect();
                segments.push(new);
                segments.sort_by_key(|segment| segment.meta.first);
                held.segments = Arc::new(segments);
            });
            self.remove_segments(sources.iter().map(|source| source.meta.clone()).collect());
        }
        Ok(true)
    }

    fn write_merged(&self, all: &mut Vec<Merged>) -> Result<(), DrainError> {
        for channel in self.channels.iter().filter(|channel| channel.ring.is_none()) {
            let sources = self.due(channel);
            if sources.len() < 2 {
                continue;
            }
            let number = self.segment_number();
            match merge(&*self.disk, number, &sources) {
                Ok(meta) => all.push(Merged { channel: channel.clone(), sources, meta }),
                Err(error) => {
                    let _ = self.disk.remove(&segment::file_name(number));
                    return Err(self.read_failed(error));
                }
            }
        }
        if all.is_empty() { Ok(()) } else { synced(self.disk.sync_dir(segment::DIR)).map_err(|e| self.failed(e)) }
    }

    /// The newest segments of a channel that are to be one.
    fn due(&self, channel: &ChannelState) -> Vec<Arc<Segment>> {
        let segments = channel.see().held.segments;
        let bytes_max = self.segment_bytes(channel);
        let span_max = channel.retain.age.map_or(u64::MAX, |age| (age / AGE_PARTS).as_millis() as u64);
        let mut from = segments.len();
        let mut bytes = 0;
        while let Some(next) = from.checked_sub(1).and_then(|index| segments.get(index)) {
            let newest = segments.last().map_or(0, |segment| segment.meta.last_time.0);
            let fits = from == segments.len()
                || (next.meta.bytes <= RATIO * bytes
                    && next.meta.bytes + bytes <= bytes_max
                    && newest - next.meta.first_time.0 <= span_max);
            if !fits {
                break;
            }
            bytes += next.meta.bytes;
            from -= 1;
        }
        segments[from..].to_vec()
    }

    fn commit_merged(&self, all: &[Merged], mark: u64) -> Result<(), StateError> {
        let write = self.state.begin()?;
        {
            let mut segments = write.open_table(SEGMENTS)?;
            for merged in all {
                for source in &merged.sources {
                    segments.remove(source.meta.key(merged.channel.id))?;
                }
                segments.insert(merged.meta.key(merged.channel.id), merged.meta.encode().as_slice())?;
            }
            write.open_table(META)?.insert(META_MERGED, mark)?;
        }
        Ok(write.commit()?)
    }
}
