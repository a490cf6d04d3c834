//! What waits to be written on one socket, before anything else may be.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

use super::line::{Line, Taken};

/// Pieces that go into one system call.
const PIECES_MAX: usize = 16;

/// Bytes in order. A socket has none while everything it was given is written.
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    /// When the socket last took a byte, or was first asked to.
    pub(super) moved: Instant,
    /// The socket is full; epoll tells when it is not.
    pub(super) full: bool,
    /// How much of it is answers to what the client said.
    pub(super) answer_bytes: usize,
}

struct Piece {
    bytes: Bytes,
    answer: bool,
    written: Option<oneshot::Sender<()>>,
}

impl Output {
    pub(super) fn new(now: Instant) -> Output {
        // A socket that stalls has one: the rest of what was cut.
        Output { pieces: VecDeque::with_capacity(1), moved: now, full: false, answer_bytes: 0 }
    }

    pub(super) fn push(&mut self, bytes: Bytes, written: Option<oneshot::Sender<()>>) {
        self.pieces.push_back(Piece { bytes, answer: false, written });
    }

    pub(super) fn answer(&mut self, bytes: Bytes) {
        self.answer_bytes += bytes.len();
        self.pieces.push_back(Piece { bytes, answer: true, written: None });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes once. Marks itself full if the line takes no more.
    pub(super) fn write(&mut self, line: &mut Line, now: Instant) -> io::Result<()> {
        if self.pieces.is_empty() {
            // What is encrypted has to go too.
            self.full = !line.flush()?;
            return Ok(());
        }
        let slices: Vec<IoSlice<'_>> =
            self.pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(&piece.bytes)).collect();
        let Taken { bytes, full } = line.write(&slices)?;
        self.full = full;
        if bytes > 0 {
            self.moved = now;
        }
        self.advance(bytes);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let taken = written.min(piece.bytes.len());
            piece.bytes.advance(taken);
            written -= taken;
            if piece.answer {
                self.answer_bytes -= taken;
            }
            if !piece.bytes.is_empty() {
                return;
            }
            if let Some(told) = self.pieces.pop_front().and_then(|piece| piece.written) {
                let _ = told.send(());
            }
        }
    }
}
