//! A tail as one lane has it, and a pass over its watchers.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tidegate_core::Offset;

use super::inbox::Inbox;
use crate::tail::{Chunk, Place, Tail};

/// A tail with watchers in this lane. Those in step with it are its members, and need no place of
/// their own: they are where the tail is.
pub(super) struct LaneTail {
    pub(super) tail: Arc<Tail>,
    /// What the members take next.
    at: u64,
    upto: Offset,
    pub(super) members: Vec<Member>,
    pub(super) holes: usize,
    /// Watches that are here, members or not.
    pub(super) seats: usize,
    /// Bytes that its passes had for each member so far.
    pub(super) told: u64,
    /// In a box, since most tails have none.
    pub(super) pass: Option<Box<Pass>>,
    /// It waits for its next pass, or for the end of its rest.
    pub(super) queued: bool,
    /// It was said to have something new while it was queued.
    pub(super) dirty: bool,
    /// There was a pass a moment ago; the next one is not before this.
    pub(super) rest_until: Option<Instant>,
    /// Sockets with a watch whose place the members have not reached yet.
    pub(super) ahead: Vec<u32>,
}

/// A watch in step: the number of its socket, and its number there.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) socket: u32,
    pub(super) watch: u32,
}

/// The rest of a record that is larger, or of one that is most of its chunk, is shared with the chunk:
/// others may have been cut there too.
const REST_COPIED_MAX: usize = 4 * 1024;

/// Marks the place of a member that has left.
pub(super) const HOLE: u32 = u32::MAX;

/// One pass: what every member gets, and who has got it.
pub(super) struct Pass {
    pub(super) chunks: Vec<Chunk>,
    /// Their bytes in one piece.
    pub(super) bytes: Bytes,
    pub(super) frames: u64,
    /// Where its members are after it.
    upto: Offset,
    pub(super) began: Instant,
    /// The member that is next.
    pub(super) next: usize,
    /// Who came later is behind the pass already.
    pub(super) count: usize,
}

/// What a tail has for its members.
pub(super) enum News {
    /// Nothing.
    None,
    /// A pass was begun.
    Pass,
    /// The ring has gone on without them.
    Behind,
    /// Messages are to be heard first.
    Later,
}

impl LaneTail {
    /// With one watch, which is not a member yet.
    pub(super) fn new(tail: Arc<Tail>, inbox: &Arc<Inbox>, number: u32) -> LaneTail {
        let Place { chunk, upto, .. } = tail.hook(inbox.clone(), number);
        LaneTail {
            tail,
            at: chunk,
            upto,
            members: Vec::new(),
            holes: 0,
            seats: 1,
            told: 0,
            pass: None,
            queued: false,
            dirty: false,
            rest_until: None,
            ahead: Vec::new(),
        }
    }

    /// Where a watch has to be to become a member.
    pub(super) fn goal(&self) -> u64 {
        self.at + self.pass.as_ref().map_or(0, |pass| pass.chunks.len() as u64)
    }

    /// Where the members are that the pass has not reached.
    pub(super) fn place(&self) -> Place {
        Place { chunk: self.at, bytes: 0, upto: self.upto }
    }

    /// Everything up to here has been told to a member.
    pub(super) fn upto_of(&self, member: u32) -> Offset {
        match &self.pass {
            // It has had its turn, or came after the pass had begun.
            Some(pass) if !(pass.next..pass.count).contains(&(member as usize)) => pass.upto,
            _ => self.upto,
        }
    }

    /// Looks for news and begins a pass.
    pub(super) fn begin(&mut self, inbox: &Arc<Inbox>, now: Instant) -> News {
        self.dirty = false;
        let Some(chunks) = self.tail.look(inbox, self.at) else { return News::Behind };
        if chunks.is_empty() {
            return News::None;
        }
        if inbox.is_urgent() {
            return News::Later;
        }
        let bytes = join(&chunks);
        let frames = chunks.iter().map(|chunk| u64::from(chunk.last().frames)).sum();
        let count = self.members.len();
        let upto = chunks.last().map_or(self.upto, |chunk| chunk.last().upto);
        self.pass = Some(Box::new(Pass { chunks, bytes, frames, upto, began: now, next: 0, count }));
        News::Pass
    }

    /// Ends the pass: its members are where it went.
    pub(super) fn finish(&mut self) -> Option<Box<Pass>> {
        let pass = self.pass.take()?;
        self.at += pass.chunks.len() as u64;
        self.upto = pass.upto;
        self.told += pass.bytes.len() as u64;
        Some(pass)
    }

    /// Goes to the end of a ring that has gone on, and gives up its members, who are to read the log
    /// from where they were.
    pub(super) fn skip(&mut self) -> (Place, Vec<Member>) {
        let place = self.place();
        let Place { chunk, upto, .. } = self.tail.place();
        (self.at, self.upto) = (chunk, upto);
        self.holes = 0;
        (place, std::mem::take(&mut self.members))
    }

    /// One more member, which stands at the [`goal`](LaneTail::goal). It may know better than its tail how far nothing
    /// more has happened.
    pub(super) fn join(&mut self, member: Member, upto: Offset) -> u32 {
        let known = self.pass.as_mut().map_or(&mut self.upto, |pass| &mut pass.upto);
        *known = upto.max(*known);
        if self.members.is_empty() {
            // Most tails have one.
            self.members.reserve_exact(1);
        }
        self.members.push(member);
        (self.members.len() - 1) as u32
    }

    pub(super) fn leave(&mut self, member: u32) {
        self.members[member as usize].socket = HOLE;
        self.holes += 1;
    }

    /// Closes the holes, if they are many; `moved` hears of each member that has another place now.
    pub(super) fn tidy(&mut self, mut moved: impl FnMut(Member, u32)) {
        if self.holes * 2 <= self.members.len() || self.pass.is_some() {
            return;
        }
        self.holes = 0;
        self.members.retain(|member| member.socket != HOLE);
        self.members.shrink_to_fit();
        for (place, member) in self.members.iter().enumerate() {
            moved(*member, place as u32);
        }
    }
}

/// Copied once for the whole lane, so that each write is of one piece.
fn join(chunks: &[Chunk]) -> Bytes {
    if let [only] = chunks {
        return only.bytes.clone();
    }
    let mut joined = BytesMut::with_capacity(chunks.iter().map(|chunk| chunk.bytes.len()).sum());
    chunks.iter().for_each(|chunk| joined.extend_from_slice(&chunk.bytes));
    joined.freeze()
}

/// Where a watch is that stood at `place`, the beginning of `chunks`, and took `taken` bytes of them;
/// and the rest of the record in whose middle it stopped, which it has to take first. A small one is
/// a copy: it may be held for long, and a chunk is large.
pub(super) fn advance(mut place: Place, chunks: &[Chunk], mut taken: usize) -> (Place, Option<Bytes>, u64) {
    let mut frames = 0;
    for chunk in chunks {
        let before = place.bytes as usize;
        let told = frames_at(chunk, before);
        let left = chunk.bytes.len() - before;
        if taken >= left {
            taken -= left;
            frames += u64::from(chunk.last().frames - told);
            place = Place { chunk: place.chunk + 1, bytes: 0, upto: chunk.last().upto };
            continue;
        }
        let stopped = before + taken;
        if stopped == before {
            break;
        }
        let index = chunk.marks.partition_point(|mark| (mark.end as usize) < stopped);
        let mark = chunk.marks[index];
        frames += u64::from(mark.frames - told);
        let end = mark.end as usize;
        let record = end - index.checked_sub(1).map_or(0, |before| chunk.marks[before].end as usize);
        let small = end - stopped <= REST_COPIED_MAX && record * 2 < chunk.bytes.len();
        let rest = match end - stopped {
            0 => None,
            _ if small => Some(Bytes::copy_from_slice(&chunk.bytes[stopped..end])),
            _ => Some(chunk.bytes.slice(stopped..end)),
        };
        place = match end == chunk.bytes.len() {
            true => Place { chunk: place.chunk + 1, bytes: 0, upto: mark.upto },
            false => Place { bytes: mark.end, upto: mark.upto, ..place },
        };
        return (place, rest, frames);
    }
    (place, None, frames)
}

/// Frames of a chunk before a place in it.
fn frames_at(chunk: &Chunk, bytes: usize) -> u32 {
    match chunk.marks.partition_point(|mark| (mark.end as usize) <= bytes) {
        0 => 0,
        index => chunk.marks[index - 1].frames,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::Mark;

    fn chunk(records: &[(&str, u32, u64)]) -> Chunk {
        let (mut text, mut marks, mut frames) = (String::new(), Vec::new(), 0);
        for (record, own, upto) in records {
            text.push_str(record);
            frames += own;
            marks.push(Mark { end: text.len() as u32, frames, upto: *upto });
        }
        Chunk { bytes: text.into(), marks: marks.into(), sealed: Instant::now() }
    }

    /// Whoever stalls in an event that came alone holds its chunk with all the others, and else no more
    /// than the rest of its record.
    #[test]
    fn a_rest_is_shared_or_small() {
        let (one, ten) = ("x".repeat(1_000), "y".repeat(100));
        let alone = chunk(&[(&one, 1, 1)]);
        let many = chunk(&(1..=10).map(|upto| (ten.as_str(), 1, upto)).collect::<Vec<_>>());
        let from = Place { chunk: 0, bytes: 0, upto: 0 };
        for taken in (1..1_000).filter(|taken| taken % 100 != 0) {
            let is_of = |chunk: &Chunk| {
                let (_, rest, _) = advance(from, std::slice::from_ref(chunk), taken);
                let rest = rest.expect("it stopped within a record");
                (chunk.bytes.as_ptr_range().contains(&rest.as_ptr()), rest.len())
            };
            assert_eq!(is_of(&alone), (true, 1_000 - taken));
            assert_eq!(is_of(&many), (false, 100 - taken % 100));
        }
    }

    /// Cut after every byte: what was taken, the rest of that record, and what is there from the new
    /// place on are the whole; and each frame counts once.
    #[test]
    fn a_write_of_any_length_ends_between_records() {
        let chunks = [chunk(&[("one", 1, 11), ("two!", 2, 12)]), chunk(&[("three", 1, 20)]), chunk(&[("4", 1, 21)])];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let from = |place: Place| {
            let mut left = chunks.iter().skip((place.chunk - 7) as usize).map(|chunk| text(&chunk.bytes));
            let first = left.next().unwrap_or_default()[place.bytes as usize..].to_owned();
            first + &left.collect::<String>()
        };
        for start in [Place { chunk: 7, bytes: 0, upto: 10 }, Place { chunk: 7, bytes: 3, upto: 11 }] {
            let whole = from(start);
            for taken in 0..=whole.len() {
                let (place, rest, frames) = advance(start, &chunks, taken);
                let rest = text(&rest.unwrap_or_default());
                assert_eq!(format!("{}{rest}{}", &whole[..taken], from(place)), whole, "{taken} bytes from {start:?}");
                let (end, nothing, more) = advance(place, &chunks[(place.chunk - 7) as usize..], usize::MAX);
                assert_eq!(
                    (end, nothing),
                    (Place { chunk: 10, bytes: 0, upto: if place == end { place.upto } else { 21 } }, None)
                );
                assert_eq!(frames + more, if start.bytes == 0 { 5 } else { 4 }, "{taken} bytes from {start:?}");
            }
        }
    }
}
