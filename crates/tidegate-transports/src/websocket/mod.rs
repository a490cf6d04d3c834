//! WebSocket (RFC 6455): one watch a socket, or many.

mod begin;
mod codec;
mod command;
mod extensions;
#[cfg(any(test, feature = "fuzzed"))]
pub mod fuzzed;
mod handshake;
mod many;
mod session;

pub(crate) use handshake::{open, open_many, wanted};
pub(crate) use session::Session;
