//! Tidegate itself, a release build.

use std::sync::Arc;

use tidegate_testkit::shim::Shim;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(crate) const SSE: Peer =
    Peer { name: "tidegate-sse", title: "Tidegate SSE", start: |place| start(place, Transport::Sse, false) };
pub(crate) const WEBSOCKET: Peer =
    Peer { name: "tidegate-ws", title: "Tidegate WS", start: |place| start(place, Transport::WebSocket, false) };
pub(crate) const DURABLE: Peer = Peer {
    name: "tidegate-durable",
    title: "Tidegate SSE, durable",
    start: |place| start(place, Transport::Sse, true),
};

/// A server that has been told to be patient: up to 20 ms pass before a busy address is written.
pub(crate) const PATIENT: Peer = Peer {
    name: "tidegate-patient",
    title: "Tidegate SSE, `batch_delay_ms: 20`",
    start: |place| Server::with(Transport::Sse, "stream: { batch_delay_ms: 20 }\n").start(place),
};

/// A server that is about to start.
pub(crate) struct Server<'s> {
    transport: Transport,
    durable: bool,
    /// Lines of config beside those of the file.
    more: &'static str,
    /// Stands between it and its disk.
    disk: Option<&'s Shim>,
    /// What it says of itself within TLS, as PEM: certificate and key.
    certificate: Option<(&'s str, &'s str)>,
}

impl<'s> Server<'s> {
    pub(crate) fn new(transport: Transport, durable: bool) -> Server<'s> {
        Server { transport, durable, more: "", disk: None, certificate: None }
    }

    /// One that is told more than the file says.
    pub(crate) fn with(transport: Transport, more: &'static str) -> Server<'s> {
        Server { more, ..Server::new(transport, false) }
    }

    /// A durable one on a disk that does as it is told.
    pub(crate) fn on_disk(disk: &'s Shim) -> Server<'s> {
        Server { disk: Some(disk), ..Server::new(Transport::Sse, true) }
    }

    /// One that is talked to within TLS.
    pub(crate) fn encrypted(certificate: &'s str, key: &'s str) -> Server<'s> {
        let more = "tls: { cert: cert.pem, key: key.pem }\n";
        Server { certificate: Some((certificate, key)), ..Server::with(Transport::Sse, more) }
    }

    pub(crate) fn start(self, place: Place) -> Result<Running, Missing> {
        let [address, admin] = [free_address()?, free_address()?];
        let config = place.config("tidegate/tidegate.yaml", &[("port", address), ("admin", admin)])?;
        std::fs::write(&config, std::fs::read_to_string(&config)? + self.more)?;
        if let Some((certificate, key)) = self.certificate {
            std::fs::write(place.folder().join("cert.pem"), certificate)?;
            std::fs::write(place.folder().join("key.pem"), key)?;
        }
        let environment = self.disk.map(Shim::environment).unwrap_or_default();
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let mut words = vec!["env".to_owned()];
        words.extend(environment);
        words.extend([built("tidegate")?, "serve".into(), "--config".into(), config.display().to_string()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = place.start(&words, address)?;
        let subject = Http {
            watch: address,
            publish: address,
            transport: self.transport,
            watch_path: if self.durable { "/v1/kept/" } else { "/v1/live/" },
            post: if self.durable {
                |channel, event| (format!("/v1/kept/{channel}"), event.to_owned())
            } else {
                |channel, event| (format!("/v1/live/{channel}"), event.to_owned())
            },
            begun: br#""op":"begin""#,
            opening_max: OPENING_MAX,
        };
        Ok(Running { subject: Arc::new(subject), process, place })
    }
}

fn start(place: Place, transport: Transport, durable: bool) -> Result<Running, Missing> {
    Server::new(transport, durable).start(place)
}
