//! What clients make the server hold in memory, by kind.
//!
//! Shared bytes count once, for as long as anybody holds them: the account is in their owner, so
//! that a delivery counts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// What memory is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Chunks of tails, also those that have left their ring and are still being written.
    Rings,
    /// Encoded blocks for laggards, also those that are dropped and still being written.
    Blocks,
    /// What was encoded for one watcher alone, and what waits for one socket.
    Outputs,
}

impl Use {
    /// Each of them, in order.
    pub const ALL: [Use; 3] = [Use::Rings, Use::Blocks, Use::Outputs];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Use::Rings => "rings",
            Use::Blocks => "blocks",
            Use::Outputs => "outputs",
        }
    }
}

/// The account.
#[derive(Debug, Default)]
pub struct Memory {
    used: [AtomicUsize; Use::ALL.len()],
}

impl Memory {
    /// How much is used for this now, in bytes.
    pub fn used(&self, what: Use) -> usize {
        self.used[what as usize].load(Ordering::Relaxed)
    }

    /// Counts bytes until the answer is dropped.
    pub fn take(self: &Arc<Self>, what: Use, bytes: usize) -> Held {
        self.used[what as usize].fetch_add(bytes, Ordering::Relaxed);
        Held { memory: self.clone(), what, bytes }
    }

    /// Makes shared bytes that count until the last of them is dropped, with what is kept `beside`.
    pub(crate) fn share(self: &Arc<Self>, what: Use, bytes: Vec<u8>, beside: usize) -> Bytes {
        let held = self.take(what, bytes.capacity() + beside);
        Bytes::from_owner(Counted { bytes, _held: held })
    }
}

/// A part of the account, given back when dropped.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    what: Use,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used[self.what as usize].fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counted {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_bytes_count_once_until_the_last_is_dropped() {
        let memory = Arc::new(Memory::default());
        let bytes = memory.share(Use::Blocks, vec![7; 100], 20);
        let part = bytes.slice(90..);
        assert_eq!(memory.used(Use::Blocks), 120);
        drop(bytes);
        assert_eq!((memory.used(Use::Blocks), &part[..]), (120, &[7; 10][..]));
        drop(part);
        assert_eq!(memory.used(Use::Blocks), 0);
    }
}
