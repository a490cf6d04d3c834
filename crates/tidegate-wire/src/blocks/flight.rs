//! A block that is being read, for all who wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_core::Offset;
use tidegate_hub::Channel;
use tokio::sync::watch;

use super::Blocks;
use super::block::Block;
use crate::tail::Tail;

/// Hears of the block when it has been read; of the end without one when it cannot be.
pub(super) type Flying = watch::Receiver<Option<Arc<Block>>>;

/// A block that is being read. Dropped without one, those who wait read by themselves.
pub(super) struct Flight {
    pub(super) blocks: Arc<Blocks>,
    pub(super) tail: Arc<Tail>,
    pub(super) channel: Arc<Channel>,
    pub(super) from: Offset,
    pub(super) until: Option<Offset>,
    pub(super) landed: watch::Sender<Option<Arc<Block>>>,
}

impl Flight {
    /// Where blocking is allowed. What cannot be read is left to each watcher, which says so.
    pub(super) fn read(self) {
        let Flight { blocks, tail, channel, from, until, .. } = &self;
        let Ok(block) = Block::read(tail, channel, *from, *until, &blocks.memory) else { return };
        if block.upto <= *from {
            return;
        }
        let block = Arc::new(block);
        blocks.read.fetch_add(1, Ordering::Relaxed);
        blocks.read_bytes.fetch_add(block.bytes.len() as u64, Ordering::Relaxed);
        blocks.keep(tail.number, block.clone());
        self.landed.send_replace(Some(block));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landed.borrow().is_none() {
            self.blocks.lock().remove((self.tail.number, self.from));
        }
    }
}
