//! A piece of the log in one view, encoded; and what one watcher takes of it.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Frame, Offset};
use tidegate_hub::{Channel, Sight, changes};
use tidegate_log::{ReadError, ReadLimit};

use crate::memory::{Memory, Use};
use crate::tail::{ENVELOPE_BYTES, Mark, Tail};

/// What one block is made of: as much as a watcher that reads alone takes at once.
pub(super) const BLOCK: ReadLimit = ReadLimit { records: 512, bytes: 64 * 1024 };
/// What a block takes beside its bytes and marks, about: its entries in the maps.
const ENTRY_BYTES: usize = 512;

/// What the log has of a view in a range of offsets, encoded.
pub(crate) struct Block {
    /// It begins after this; a chain links to a cursor here.
    pub(super) from: Offset,
    /// Everything of the view up to here is in it.
    pub(super) upto: Offset,
    pub(super) bytes: Bytes,
    /// The ends of its records; none if there is nothing of the view in the range.
    marks: Vec<Mark>,
    /// Records that reset the replica, which are counted.
    resets: Vec<Offset>,
    /// As it is counted.
    pub(super) size: usize,
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
        let (mut marks, mut frames, mut resets) = (Vec::new(), 0, Vec::new());
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
                marks.push(Mark { end: bytes.len() as u32, frames, upto: record.offset });
            }
        }
        bytes.shrink_to_fit();
        let beside = ENTRY_BYTES + marks.len() * size_of::<Mark>();
        let size = bytes.len() + beside;
        let bytes = memory.share(Use::Blocks, bytes, beside);
        Ok(Block { from, upto: page.upto, bytes, marks, resets, size })
    }

    /// What a watcher takes that has everything up to `at`, which is in the block, and is to stop at
    /// `goal`, which is above.
    pub(crate) fn part(&self, at: Offset, goal: Offset) -> Part {
        let before = |offset: Offset| self.marks.partition_point(|mark| mark.upto <= offset);
        let (first, end) = (before(at), before(goal));
        let beginning = Mark { end: 0, frames: 0, upto: self.from };
        let ahead = |index: usize| index.checked_sub(1).map_or(beginning, |index| self.marks[index]);
        let (from, to) = (ahead(first), ahead(end));
        Part {
            bytes: self.bytes.slice(from.end as usize..to.end as usize),
            frames: u64::from(to.frames - from.frames),
            resets: self.resets.iter().filter(|reset| **reset > at && **reset <= goal).count() as u64,
            link: from.upto,
            cursors: (first < end).then(|| (self.marks[first].upto, to.upto)),
            upto: self.upto.min(goal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records at 10, 20 and 30 of two frames each, in a block from 5 to 35, taken from anywhere up to
    /// any goal: the parts are the whole, and each links to the one before.
    #[test]
    fn parts_are_cut_between_records() {
        let bytes = Bytes::from_static(b"aabbbcccc");
        let mark = |end, frames, upto| Mark { end, frames, upto };
        let marks = vec![mark(2, 2, 10), mark(5, 4, 20), mark(9, 6, 30)];
        let block = Block { from: 5, upto: 35, bytes: bytes.clone(), marks, resets: vec![20], size: 0 };
        for at in 5..35 {
            for goal in at + 1..=40 {
                let within: Vec<Offset> = [10, 20, 30].into_iter().filter(|own| *own > at && *own <= goal).collect();
                let part = block.part(at, goal);
                assert_eq!(part.frames, 2 * within.len() as u64);
                assert_eq!(part.cursors, within.first().copied().zip(within.last().copied()));
                assert_eq!(part.upto, goal.min(35));
                assert_eq!(part.link, [5, 10, 20, 30].into_iter().rfind(|own| *own <= at).expect("from"));
                assert_eq!(part.resets, u64::from(within.contains(&20)));
                if part.upto < 35 {
                    let rest = block.part(part.upto, 40);
                    let whole = block.part(at, 40);
                    assert_eq!([&part.bytes[..], &rest.bytes[..]].concat(), &whole.bytes[..]);
                    assert!(bytes.ends_with(&whole.bytes));
                }
            }
        }
    }
}
