//! What must hold for any bytes that a client sends: called by the fuzz targets, and by a test with
//! random bytes and with the corpus of the targets.

use super::codec::{Decoder, MESSAGE_BYTES_MAX, Message, Violation};
use super::extensions::{Offer, offers};

/// The frames of a client. The first byte says whether permessage-deflate was agreed, the second how
/// the rest is cut: the messages, or the violation that ends them, are the same however the bytes
/// come, and no more is held than has come.
///
/// # Panics
/// If that does not hold.
pub fn client_frames(data: &[u8]) {
    let [deflate, cut, bytes @ ..] = data else { return };
    let deflate = deflate & 1 == 1;
    let whole = decode(deflate, std::iter::once(bytes));
    let cut = decode(deflate, Pieces { rest: bytes, state: u32::from(*cut) });
    assert_eq!(whole, cut, "the same however it is cut");
}

/// One line of `Sec-WebSocket-Extensions`: what is read and written again is read as the same.
///
/// # Panics
/// If that does not hold.
pub fn extension_offers(data: &[u8]) {
    let Ok(read) = offers(data) else { return };
    let written: Vec<String> = read.iter().map(write).collect();
    let again = offers(written.join(", ").as_bytes());
    assert_eq!(again.as_ref(), Ok(&read), "{written:?}");
}

fn decode<'b>(deflate: bool, pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<Message>, Option<Violation>) {
    let mut decoder = Decoder::new(deflate);
    let mut messages = Vec::new();
    let mut pushed = 0;
    for piece in pieces {
        decoder.push(piece);
        pushed += piece.len();
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation)),
            }
        }
        // A vector that grows byte by byte has up to twice the room, and there are two.
        assert!(decoder.held_bytes() <= 4 * pushed + 64, "{} bytes are held for {pushed}", decoder.held_bytes());
    }
    for message in &messages {
        assert!(!matches!(message, Message::Text(text) if text.len() > MESSAGE_BYTES_MAX), "a message over the limit");
    }
    (messages, None)
}

/// Cuts bytes into pieces of one to eight, the same for the same state.
struct Pieces<'b> {
    rest: &'b [u8],
    state: u32,
}

impl<'b> Iterator for Pieces<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((self.state >> 24) as usize % 8 + 1).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

fn write(offer: &Offer) -> String {
    let parameters = offer.parameters.iter().map(|(name, value)| match value {
        Some(value) => format!("; {name}=\"{value}\""),
        None => format!("; {name}"),
    });
    std::iter::once(offer.name.clone()).chain(parameters).collect()
}

#[cfg(test)]
mod tests;
