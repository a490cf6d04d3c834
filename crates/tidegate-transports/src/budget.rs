//! Memory that large bodies and large answers may take, all clients together: without it a few
//! hundred clients that do not finish sending, or do not read, would be the server's end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all large bodies and answers may take together.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// Smaller ones are free; there are as many as connections.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;
/// Who gets no share for so long is told to come back.
const WAIT: Duration = Duration::from_secs(10);

/// The shared memory of large bodies and answers, counted in KiB.
#[derive(Clone, Debug)]
pub struct Budget {
    places: Arc<Semaphore>,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

impl Default for Budget {
    fn default() -> Budget {
        Budget { places: Arc::new(Semaphore::new(BYTES_MAX / 1024)) }
    }
}

impl Budget {
    /// Takes a share of `bytes`.
    ///
    /// # Errors
    /// `rate-limited` when the budget is used up for too long.
    pub(crate) async fn take(&self, bytes: usize) -> Result<Share, Problem> {
        let places = bytes.min(BYTES_MAX).div_ceil(1024) as u32;
        match tokio::time::timeout(WAIT, self.places.clone().acquire_many_owned(places)).await {
            Ok(Ok(permit)) => Ok(Share(permit)),
            _ => Err(Problem::new(
                ErrorCode::RateLimited,
                "too many large requests and answers are under way at once; nothing was accepted",
            )),
        }
    }
}

impl Share {
    /// Makes an answer's body that holds what it needs of the share until its last byte is
    /// written, and gives the rest back.
    pub(crate) fn hold(mut self, body: Vec<u8>) -> Bytes {
        if body.len() <= SMALL_BYTES {
            return Bytes::from(body);
        }
        let kept = self.0.split(body.len().div_ceil(1024).min(self.0.num_permits()));
        drop(self);
        Bytes::from_owner(Held { body, _share: kept })
    }
}

struct Held {
    body: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_answer_holds_its_share_until_it_is_written() {
        let budget = Budget::default();
        let share = budget.take(16 * 1024 * 1024).await.expect("share");
        let body = share.hold(vec![0; 1024 * 1024]);
        assert_eq!(budget.places.available_permits(), BYTES_MAX / 1024 - 1024);
        drop(body);
        assert_eq!(budget.places.available_permits(), BYTES_MAX / 1024);
        let small = budget.take(16 * 1024 * 1024).await.expect("share").hold(vec![0; 10]);
        assert_eq!(budget.places.available_permits(), BYTES_MAX / 1024);
        drop(small);
    }
}
