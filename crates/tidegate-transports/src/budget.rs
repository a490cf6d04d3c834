//! Memory that large bodies and large answers may take, all clients together: without it a few
//! hundred clients that do not finish sending, or do not read, would be the server's end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem};
use tidegate_wire::{Held, Memory, Step, Use};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All large bodies and answers together may take this part of the server's memory.
const MEMORY_PART: usize = 8;
/// One of them may reserve this part of that.
const SHARE_PART: usize = 4;
/// Smaller ones are free; there are as many as connections.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;
/// Who gets no share for so long is told to come back.
const WAIT: Duration = Duration::from_secs(10);

/// The shared memory of large bodies and answers, counted in KiB.
#[derive(Clone, Debug)]
pub struct Budget {
    places: Arc<Semaphore>,
    memory: Arc<Memory>,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    permit: OwnedSemaphorePermit,
    memory: Arc<Memory>,
    /// What is used of it, where that is known.
    held: Option<Held>,
}

impl Budget {
    /// A part of this memory.
    pub fn of(memory: Arc<Memory>) -> Budget {
        Budget { places: Arc::new(Semaphore::new(memory.max() / MEMORY_PART / 1024)), memory }
    }

    /// Takes a share of `bytes`.
    ///
    /// # Errors
    /// `rate-limited` when the budget is used up for too long.
    pub(crate) async fn take(&self, bytes: usize) -> Result<Share, Problem> {
        let bytes = bytes.min(self.memory.max() / MEMORY_PART / SHARE_PART);
        let acquired = async {
            let permit = self.places.clone().acquire_many_owned(bytes.div_ceil(1024) as u32).await;
            self.memory.room(Step::Bodies, bytes).await;
            permit
        };
        match tokio::time::timeout(WAIT, acquired).await {
            Ok(Ok(permit)) => Ok(Share { permit, memory: self.memory.clone(), held: None }),
            _ => Err(Problem::new(
                ErrorCode::RateLimited,
                "too many large requests and answers are under way at once; nothing was accepted",
            )),
        }
    }
}

impl Share {
    /// Counts what it is used for.
    pub(crate) fn counted(mut self, bytes: usize) -> Share {
        self.held = Some(self.memory.take(Use::Bodies, bytes));
        self
    }

    /// Makes an answer's body that holds what it needs of the share until its last byte is
    /// written, and gives the rest back.
    pub(crate) fn hold(mut self, body: Vec<u8>) -> Bytes {
        if body.len() <= SMALL_BYTES {
            return Bytes::from(body);
        }
        let kept = self.permit.split(body.len().div_ceil(1024).min(self.permit.num_permits()));
        let held = self.memory.take(Use::Bodies, body.capacity());
        Bytes::from_owner(Answer { body, _share: kept, _held: held })
    }
}

struct Answer {
    body: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
    _held: Held,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;

    #[tokio::test]
    async fn a_large_answer_holds_its_share_until_it_is_written() {
        let memory = Arc::new(Memory::new(512 * MIB));
        let budget = Budget::of(memory.clone());
        let all = 64 * KIB;
        let share = budget.take(16 * MIB).await.expect("share");
        let body = share.hold(vec![0; MIB]);
        assert_eq!((budget.places.available_permits(), memory.used(Use::Bodies)), (all - KIB, MIB));
        drop(body);
        assert_eq!((budget.places.available_permits(), memory.used(Use::Bodies)), (all, 0));
        let small = budget.take(16 * MIB).await.expect("share").hold(vec![0; 10]);
        assert_eq!((budget.places.available_permits(), memory.used(Use::Bodies)), (all, 0));
        drop(small);
    }

    #[tokio::test]
    async fn a_large_body_waits_while_others_use_the_memory() {
        let memory = Arc::new(Memory::new(512 * MIB));
        let budget = Budget::of(memory.clone());
        let rings = memory.take(Use::Rings, 500 * MIB);
        let taken = tokio::spawn(async move { budget.take(MIB).await.map(|_| ()) });
        while memory.shed(Step::Bodies) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!taken.is_finished());
        drop(rings);
        taken.await.expect("a share").expect("there is room");
    }
}
