//! Tidegate itself, a release build.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(super) const SSE: Peer =
    Peer { name: "tidegate-sse", title: "Tidegate SSE", start: |place| start(place, Transport::Sse, false) };
pub(super) const WEBSOCKET: Peer =
    Peer { name: "tidegate-ws", title: "Tidegate WS", start: |place| start(place, Transport::WebSocket, false) };
pub(super) const DURABLE: Peer = Peer {
    name: "tidegate-durable",
    title: "Tidegate SSE, durable",
    start: |place| start(place, Transport::Sse, true),
};

fn start(place: Place, transport: Transport, durable: bool) -> Result<Running, Missing> {
    let [address, admin] = [free_address()?, free_address()?];
    let config = place.config("tidegate/tidegate.yaml", &[("port", address), ("admin", admin)])?;
    let config = config.display().to_string();
    let process = place.start(&[&built("tidegate")?, "serve", "--config", &config], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport,
        watch_path: if durable { "/v1/kept/" } else { "/v1/live/" },
        post: if durable {
            |channel, event| (format!("/v1/kept/{channel}"), event.to_owned())
        } else {
            |channel, event| (format!("/v1/live/{channel}"), event.to_owned())
        },
        begun: br#""op":"begin""#,
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
