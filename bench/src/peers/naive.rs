//! axum and a broadcast channel, `src/bin/naive.rs`.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(super) const SSE: Peer =
    Peer { name: "naive-sse", title: "axum + broadcast SSE", start: |place| start(place, Transport::Sse) };
pub(super) const WEBSOCKET: Peer =
    Peer { name: "naive-ws", title: "axum + broadcast WS", start: |place| start(place, Transport::WebSocket) };

fn start(place: Place, transport: Transport) -> Result<Running, Missing> {
    let address = free_address()?;
    let process = place.start(&[&built("naive")?, &address.to_string()], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport,
        watch_path: match transport {
            Transport::Sse => "/sse/",
            Transport::WebSocket => "/ws/",
        },
        post: |channel, event| (format!("/publish/{channel}"), event.to_owned()),
        begun: b"\r\n\r\n",
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
