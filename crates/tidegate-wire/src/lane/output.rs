//! What waits to be written on one socket, before anything else may be.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

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
        Output { pieces: VecDeque::new(), moved: now, full: false, answer_bytes: 0 }
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

    /// Writes once. Marks itself full if the socket took less than it was offered.
    pub(super) fn write(&mut self, socket: &TcpStream, now: Instant) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> =
            self.pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(&piece.bytes)).collect();
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = write(socket, &slices)?;
        self.full = written < offered;
        if written > 0 {
            self.moved = now;
        }
        self.advance(written);
        Ok(written)
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

/// One system call; a socket that is full takes nothing.
pub(super) fn write(mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let written = match slices {
            [] => return Ok(0),
            // `send` is cheaper than `sendmsg`.
            [only] => socket.write(only),
            several => socket.write_vectored(several),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}
