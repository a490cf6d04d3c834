//! WebSocket (RFC 6455): one watch a socket.

mod codec;
mod command;
mod extensions;
#[cfg(any(test, feature = "fuzzed"))]
pub mod fuzzed;
mod handshake;
mod session;

pub(crate) use handshake::{open, wanted};
pub(crate) use session::run;
