//! The limit of connecting, `src/bin/handshake.rs`: hyper reads the request, and a stream begins.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(crate) const HANDSHAKE: Peer = Peer { name: "handshake", title: "hyper's handshake", start };

fn start(place: Place) -> Result<Running, Missing> {
    let address = free_address()?;
    let process = place.start(&[&built("handshake")?, &address.to_string()], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport: Transport::Sse,
        watch_path: "/",
        post: |channel, event| (format!("/{channel}"), event.to_owned()),
        begun: b"\r\n\r\n",
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
