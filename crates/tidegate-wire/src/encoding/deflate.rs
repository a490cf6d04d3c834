//! Deflated WebSocket messages (RFC 7692): each on its own, without context takeover, so that one
//! message is the same bytes for all who agreed on the extension, and is deflated once for them. And
//! the runs of gzip, which are deflated in the same way.
//!
//! A compressor is 200 kB, so there is one a thread, not one a tail or a watcher.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

use super::counters::{Compressed, Counters};
use super::websocket_frame;

/// Messages below this go as they are: there is little to win, and the work is the same. RFC 7692,
/// section 6, leaves it to the sender, message by message.
const DEFLATE_BYTES_MIN: usize = 128;
/// References reach back 4 KiB: one window for all, so that clients which ask for a small one share
/// the bytes of those that do not. It costs no compression: JSON of up to 64 KiB became as small as
/// with 32 KiB, to the percent, at this level.
pub const DEFLATE_WINDOW_BITS: u8 = 12;
/// The work that is put into finding repetitions. On 512 bytes of JSON it takes 12 µs and leaves
/// 56 %; level 1 takes 5 µs and leaves 71 %, level 6 takes longer than 3 and gains nothing.
const LEVEL: u32 = 3;
/// What a flush ends with, and a message leaves out (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// First byte: a whole text message, and RSV1 for a deflated one.
const TEXT: u8 = 0x81;
const DEFLATED_TEXT: u8 = 0xc1;
/// So much room is made at once for what becomes of a run.
const RUN_BYTES_MIN: usize = 512;
/// A thread keeps room for messages of this size; what a larger one needed is given back.
const KEPT_BYTES: usize = 64 * 1024;

static DONE: Counters = Counters::new();

/// What deflating messages did since the process began; one that did not become smaller has as many
/// bytes after as before.
pub fn deflated() -> Compressed {
    DONE.read()
}

thread_local! {
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new());
}

/// Blocks of deflate that refer to nothing before them, ended by an empty block that ends with a byte.
pub(super) fn run(text: &[u8]) -> Vec<u8> {
    DEFLATER.with_borrow_mut(|deflater| deflater.run(text))
}

/// Appends one message, whose text `fill` writes: deflated if that makes it smaller.
pub(super) fn write(fill: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    DEFLATER.with_borrow_mut(|deflater| deflater.write(fill, out));
}

struct Deflater {
    compress: Compress,
    /// The message, plain and deflated.
    text: Vec<u8>,
    deflated: Vec<u8>,
}

impl Deflater {
    fn new() -> Deflater {
        let level = Compression::new(LEVEL);
        let compress = Compress::new_with_window_bits(level, false, DEFLATE_WINDOW_BITS);
        Deflater { compress, text: Vec::new(), deflated: Vec::new() }
    }

    fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        // Not only at the end: whoever fills may panic, and the next message is another one.
        self.text.clear();
        self.deflated.clear();
        fill(&mut self.text);
        if self.text.len() >= DEFLATE_BYTES_MIN && self.deflate() {
            websocket_frame(DEFLATED_TEXT, &self.deflated, out);
        } else {
            websocket_frame(TEXT, &self.text, out);
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        for buffer in [&mut self.text, &mut self.deflated] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }

    fn run(&mut self, text: &[u8]) -> Vec<u8> {
        self.compress.reset();
        self.deflated.clear();
        loop {
            self.deflated.reserve((text.len() / 2).max(RUN_BYTES_MIN));
            let left = &text[self.compress.total_in() as usize..];
            let result = self.compress.compress_vec(left, &mut self.deflated, FlushCompress::Sync);
            result.expect("deflating fails only where it was not set up");
            // Room that is left says that the flush is complete.
            if self.deflated.len() < self.deflated.capacity() && self.compress.total_in() == text.len() as u64 {
                break;
            }
        }
        let deflated = self.deflated.as_slice().to_vec();
        self.give_back();
        deflated
    }

    /// Deflates the text; `false` if that makes it no smaller.
    fn deflate(&mut self) -> bool {
        self.compress.reset();
        self.deflated.reserve(self.text.len());
        let result = self.compress.compress_vec(&self.text, &mut self.deflated, FlushCompress::Sync);
        // Room that is left says that the flush is complete.
        let complete = result.is_ok()
            && self.compress.total_in() == self.text.len() as u64
            && self.deflated.len() < self.deflated.capacity()
            && self.deflated.ends_with(&TAIL);
        let smaller = complete && self.deflated.len() - TAIL.len() < self.text.len();
        if smaller {
            self.deflated.truncate(self.deflated.len() - TAIL.len());
        }
        let after = if smaller { self.deflated.len() } else { self.text.len() };
        DONE.add(self.text.len(), after);
        smaller
    }
}

#[cfg(test)]
mod tests;
