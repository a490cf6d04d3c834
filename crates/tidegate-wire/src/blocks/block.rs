//! A piece of the log in one view, encoded; and what one watcher takes of it.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Frame, Offset};
use tidegate_hub::{Channel, Sight, changes};
use tidegate_log::{ReadError, ReadLimit};

use crate::encoding::{Coding, Encoding};
use crate::memory::{Memory, Use};
use crate::tail::{ENVELOPE_BYTES, Mark, Tail};

/// What one block is made of: as much as a watcher that reads alone takes at once.
pub(super) const BLOCK: ReadLimit = ReadLimit { records: 512, bytes: 64 * 1024 };
/// Where frames are compressed, so many bytes of them make one run. Longer ones become smaller; but who
/// is to begin or to stop inside of one reads that alone.
const RUN_BYTES: usize = 16 * 1024;
/// What a block takes beside its bytes and marks, about: its entries in the maps.
const ENTRY_BYTES: usize = 512;

/// What the log has of a view in a range of offsets, encoded.
pub(crate) struct Block {
    /// It begins after this; a chain links to a cursor here.
    pub(super) from: Offset,
    /// Everything of the view up to here is in it.
    pub(super) upto: Offset,
    pub(super) bytes: Bytes,
    /// Its records, each by itself or in runs that are compressed; none if there is nothing of the
    /// view in the range.
    runs: Vec<Run>,
    /// Records that reset the replica, which are counted.
    resets: Vec<Offset>,
    /// As it is counted.
    pub(super) size: usize,
}

/// Records that are taken together.
struct Run {
    /// The first of them.
    since: Offset,
    /// The end of the last.
    end: Mark,
}

/// A watcher is to begin or to stop between records that are compressed together: up to here it
/// reads alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) upto: Offset,
}

/// What one watcher takes of a block.
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) frames: u64,
    pub(crate) resets: u64,
    /// In a chain its first frame links to this cursor.
    pub(crate) link: Offset,
    /// The first record in it, and the last: their offsets are cursors. `None` if it is empty.
    pub(crate) cursors: Option<(Offset, Offset)>,
    /// Everything of the view up to here has been taken then.
    pub(crate) upto: Offset,
}

impl Block {
    /// Reads everything of a tail's view after `from`, up to `until` or as much as a block is made of.
    pub(super) fn read(
        tail: &Tail,
        channel: &Channel,
        from: Offset,
        until: Option<Offset>,
        memory: &Arc<Memory>,
    ) -> Result<Block, ReadError> {
        let view = &tail.key.view;
        let until = until.unwrap_or(Offset::MAX).min(channel.log.head());
        let page = channel.log.read(from, until, &view.scope, BLOCK)?;
        let mut cursors = Cursors::new(channel.cursor(view, 0).prefix(), tail.key.chain, Some(from));
        let size = page.records.iter().map(|record| record.data.len() + ENVELOPE_BYTES).sum();
        let mut bytes = Vec::with_capacity(size);
        let (mut runs, mut frames, mut resets) = (Vec::new(), 0, Vec::new());
        for record in &page.records {
            let before = frames;
            changes(&Sight::new(record, &channel.config), view, true, |frame| {
                if matches!(frame, Frame::Reset(_)) {
                    resets.push(record.offset);
                }
                tail.key.encoding.write(&frame, &mut cursors, &mut bytes);
                frames += 1;
            });
            if frames > before {
                let end = Mark { end: bytes.len() as u32, frames, upto: record.offset };
                runs.push(Run { since: record.offset, end });
            }
        }
        if tail.key.encoding.coding() != Coding::Identity {
            (bytes, runs) = pack(tail.key.encoding, &bytes, &runs);
        }
        bytes.shrink_to_fit();
        let beside = ENTRY_BYTES + runs.len() * size_of::<Run>();
        let size = bytes.len() + beside;
        let bytes = memory.share(Use::Blocks, bytes, beside);
        Ok(Block { from, upto: page.upto, bytes, runs, resets, size })
    }

    /// What a watcher takes that has everything up to `at`, which is in the block, and is to stop at
    /// `goal`, which is above.
    pub(crate) fn part(&self, at: Offset, goal: Offset) -> Result<Part, Packed> {
        let before = |offset: Offset| self.runs.partition_point(|run| run.end.upto <= offset);
        let (first, end) = (before(at), before(goal));
        let stops_inside = self.runs.get(end).is_some_and(|run| run.since <= goal);
        if let Some(run) = self.runs.get(first)
            && (run.since <= at || (first == end && stops_inside))
        {
            return Err(Packed { upto: run.end.upto.min(goal) });
        }
        let beginning = Mark { end: 0, frames: 0, upto: self.from };
        let ahead = |index: usize| index.checked_sub(1).map_or(beginning, |index| self.runs[index].end);
        let (from, to) = (ahead(first), ahead(end));
        let upto = if stops_inside { to.upto } else { self.upto.min(goal) };
        Ok(Part {
            bytes: self.bytes.slice(from.end as usize..to.end as usize),
            frames: u64::from(to.frames - from.frames),
            resets: self.resets.iter().filter(|reset| **reset > at && **reset <= upto).count() as u64,
            link: from.upto,
            cursors: (first < end).then(|| (self.runs[first].since, to.upto)),
            upto,
        })
    }
}

/// Compresses records together, as many as make a run.
fn pack(encoding: Encoding, plain: &[u8], records: &[Run]) -> (Vec<u8>, Vec<Run>) {
    let (mut bytes, mut runs) = (Vec::new(), Vec::new());
    let (mut from, mut since) = (0, None);
    for (index, record) in records.iter().enumerate() {
        let first = *since.get_or_insert(record.since);
        let end = record.end.end as usize;
        if end - from >= RUN_BYTES || index + 1 == records.len() {
            bytes.extend_from_slice(&encoding.pack(plain[from..end].to_vec()));
            runs.push(Run { since: first, end: Mark { end: bytes.len() as u32, ..record.end } });
            (from, since) = (end, None);
        }
    }
    (bytes, runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Offset = 5;
    const UPTO: Offset = 35;

    fn block(bytes: &'static [u8], runs: &[(Offset, Mark)], resets: Vec<Offset>) -> Block {
        let runs = runs.iter().map(|(since, end)| Run { since: *since, end: *end }).collect();
        Block { from: FROM, upto: UPTO, bytes: Bytes::from_static(bytes), runs, resets, size: 0 }
    }

    fn mark(end: u32, frames: u32, upto: Offset) -> Mark {
        Mark { end, frames, upto }
    }

    /// Records at 10, 20 and 30 of two frames each, in a block from 5 to 35, taken from anywhere up to
    /// any goal: the parts are the whole, and each links to the one before.
    #[test]
    fn parts_are_cut_between_records() {
        let bytes = b"aabbbcccc";
        let runs = [(10, mark(2, 2, 10)), (20, mark(5, 4, 20)), (30, mark(9, 6, 30))];
        let block = block(bytes, &runs, vec![20]);
        for at in FROM..UPTO {
            for goal in at + 1..=40 {
                let within: Vec<Offset> = [10, 20, 30].into_iter().filter(|own| *own > at && *own <= goal).collect();
                let part = block.part(at, goal).expect("nothing is packed");
                assert_eq!(part.frames, 2 * within.len() as u64);
                assert_eq!(part.cursors, within.first().copied().zip(within.last().copied()));
                assert_eq!(part.upto, goal.min(UPTO));
                assert_eq!(part.link, [5, 10, 20, 30].into_iter().rfind(|own| *own <= at).expect("from"));
                assert_eq!(part.resets, u64::from(within.contains(&20)));
                if part.upto < UPTO {
                    let rest = block.part(part.upto, 40).expect("nothing is packed");
                    let whole = block.part(at, 40).expect("nothing is packed");
                    assert_eq!([&part.bytes[..], &rest.bytes[..]].concat(), &whole.bytes[..]);
                    assert!(bytes.ends_with(&whole.bytes));
                }
            }
        }
    }

    /// Records at 8, 10, 12 and at 20, 25, 30 are two packed runs. From anywhere to any goal, what is
    /// taken and what is read alone is each record once, in order, and it comes to an end.
    #[test]
    fn packed_runs_are_taken_whole_or_read_alone() {
        let records = [8, 10, 12, 20, 25, 30];
        let block = block(b"aaabbbb", &[(8, mark(3, 3, 12)), (20, mark(7, 6, 30))], vec![10, 20]);
        for at in FROM..UPTO {
            for goal in at + 1..=40 {
                let (mut position, mut seen, mut resets) = (at, Vec::<Offset>::new(), 0);
                while position < goal.min(UPTO) {
                    let reached = match block.part(position, goal) {
                        Ok(part) => {
                            let own = records.iter().filter(|own| **own > position && **own <= part.upto);
                            assert_eq!(part.frames, own.count() as u64, "whole runs");
                            resets += part.resets;
                            part.upto
                        }
                        Err(Packed { upto }) => {
                            resets +=
                                block.resets.iter().filter(|own| **own > position && **own <= upto).count() as u64;
                            upto
                        }
                    };
                    assert!(reached > position && reached <= goal, "from {position} to {reached} of {goal}");
                    seen.extend(records.iter().filter(|own| **own > position && **own <= reached));
                    position = reached;
                }
                let wanted: Vec<Offset> = records.into_iter().filter(|own| *own > at && *own <= goal).collect();
                assert_eq!(seen, wanted);
                assert_eq!(resets, wanted.iter().filter(|own| [10, 20].contains(*own)).count() as u64);
            }
        }
        let (first, second) = (block.part(12, 40).expect("a whole run"), block.part(5, 15).expect("a whole run"));
        assert_eq!([&second.bytes[..], &first.bytes[..]], [&b"aaa"[..], b"bbbb"]);
        assert_eq!((first.link, first.cursors, first.upto), (12, Some((20, 30)), UPTO));
    }
}
