//! The limit of connecting, `src/bin/handshake.rs`: hyper reads the request, and a stream begins.

use super::{Peer, yardstick};

pub(crate) const HANDSHAKE: Peer = Peer {
    name: "handshake",
    title: "hyper's handshake",
    start: |place| yardstick::start(place, "handshake", &[], b"\r\n\r\n"),
};
