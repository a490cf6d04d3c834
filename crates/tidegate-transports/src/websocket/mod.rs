//! WebSocket (RFC 6455): one watch a socket.

mod codec;
mod command;
mod handshake;
mod session;

pub(crate) use handshake::{open, wanted};
pub(crate) use session::run;
