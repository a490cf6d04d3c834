//! The npm package `ws`, with the broadcast of its README.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, free_address, installed, tools};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(super) const WEBSOCKET: Peer = Peer { name: "node-ws", title: "node ws", start };

fn start(place: Place) -> Result<Running, Missing> {
    let modules = tools().join("ws/node_modules");
    installed(&modules.join("ws"))?;
    let address = free_address()?;
    let script = place.config("ws/server.js", &[])?;
    // The script finds its library beside it.
    std::os::unix::fs::symlink(modules.canonicalize()?, place.folder().join("node_modules"))?;
    let process = place.start(&["node", &script.display().to_string(), &address.port().to_string()], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport: Transport::WebSocket,
        watch_path: "/",
        post: |channel, event| (format!("/{channel}"), event.to_owned()),
        begun: b"\r\n\r\n",
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
