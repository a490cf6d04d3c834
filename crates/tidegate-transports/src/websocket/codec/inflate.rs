//! A deflated message of a client (RFC 7692, section 7.2.2): bounded, and on its own, since no context
//! is taken over.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::{INVALID_PAYLOAD, MESSAGE_BYTES_MAX, TOO_BIG, Violation};

/// What a sender takes off the end of each message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// What follows a message whose sender marked its last block as the last one (RFC 7692, section
/// 7.2.3.4), with the tail: an empty block.
const EMPTY_BLOCK: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// The room for the content grows by at least this.
const STEP_BYTES: usize = 4 * 1024;

thread_local! {
    /// One for all connections that a thread serves; each message begins with a fresh state.
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The content of a message, which has at most [`MESSAGE_BYTES_MAX`] bytes: a small message that
/// swells to a large one costs no more than a large one.
pub(super) fn inflate(mut payload: Vec<u8>) -> Result<Vec<u8>, Violation> {
    payload.extend_from_slice(&TAIL);
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        run(inflater, &payload)
    })
}

fn run(inflater: &mut Decompress, payload: &[u8]) -> Result<Vec<u8>, Violation> {
    let damaged = Violation { code: INVALID_PAYLOAD, reason: "a deflated message cannot be inflated" };
    let mut content = Vec::new();
    loop {
        if content.len() > MESSAGE_BYTES_MAX {
            return Err(Violation { code: TOO_BIG, reason: "a message has at most 1 MiB when inflated" });
        }
        if content.len() == content.capacity() {
            // One byte more than is allowed shows that there is more.
            let room = content.len().max(payload.len()).max(STEP_BYTES);
            content.reserve_exact(room.min(MESSAGE_BYTES_MAX + 1 - content.len()));
        }
        let taken = inflater.total_in() as usize;
        let left = &payload[taken..];
        let status = inflater.decompress_vec(left, &mut content, FlushDecompress::Sync);
        let rest = &payload[inflater.total_in() as usize..];
        match status {
            Ok(Status::StreamEnd) if rest == EMPTY_BLOCK || rest == TAIL => return Ok(content),
            Ok(Status::Ok | Status::BufError) if content.len() == content.capacity() => {}
            Ok(Status::Ok | Status::BufError) if rest.is_empty() => return Ok(content),
            _ => return Err(damaged),
        }
    }
}
