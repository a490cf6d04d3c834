//! Publishing over one connection that is kept.

use std::net::SocketAddr;

use super::Ended;
use super::http::{Answer, Wire, request};

/// Content types of a publish.
pub mod types {
    /// One event, or an array of them.
    pub const JSON: &str = "application/json";
    /// An event a line.
    pub const NDJSON: &str = "application/x-ndjson";
    /// Envelopes, one or an array.
    pub const ENVELOPE: &str = "application/vnd.tidegate+json";
    /// An envelope a line.
    pub const ENVELOPES: &str = "application/vnd.tidegate+x-ndjson";
}

/// One request that writes.
#[derive(Clone, Debug)]
pub struct Publish {
    /// `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Path and query.
    pub url: String,
    /// The body's type, where there is a body.
    pub content_type: Option<&'static str>,
    /// A repeat with the same key and body is done once.
    pub idempotency_key: Option<String>,
    /// A header line that says what must hold.
    pub condition: Option<String>,
    /// What the publisher shows of itself.
    pub token: Option<String>,
    /// The body.
    pub body: String,
}

/// A publisher's connection.
pub struct Publisher {
    server: SocketAddr,
    wire: Option<Wire>,
}

impl Publish {
    /// `POST` of a body to an address.
    pub fn post(address: &str, content_type: &'static str, body: String) -> Publish {
        let url = format!("/v1/{address}");
        Publish { content_type: Some(content_type), body, ..Publish::new("POST", url) }
    }

    /// `PUT` of one value.
    pub fn put(address: &str, key: &str, body: String) -> Publish {
        let url = format!("/v1/{address}?key={key}");
        Publish { content_type: Some(types::JSON), body, ..Publish::new("PUT", url) }
    }

    /// `DELETE` of one key.
    pub fn delete(address: &str, key: &str) -> Publish {
        let url = format!("/v1/{address}?key={key}");
        Publish::new("DELETE", url)
    }

    fn new(method: &'static str, url: String) -> Publish {
        let body = String::new();
        Publish { method, url, content_type: None, idempotency_key: None, condition: None, token: None, body }
    }

    /// As somebody.
    pub fn by(self, token: &str) -> Publish {
        Publish { token: Some(token.to_owned()), ..self }
    }

    /// With a key that makes repeats safe.
    pub fn once(self, key: &str) -> Publish {
        Publish { idempotency_key: Some(key.to_owned()), ..self }
    }

    /// Under a condition, such as `If-None-Match: *`.
    pub fn when(self, condition: impl Into<String>) -> Publish {
        Publish { condition: Some(condition.into()), ..self }
    }

    fn request(&self, server: SocketAddr) -> Vec<u8> {
        let mut headers = Vec::new();
        headers.extend(self.content_type.map(|own| format!("Content-Type: {own}")));
        headers.extend(self.idempotency_key.as_ref().map(|key| format!("Idempotency-Key: {key}")));
        headers.extend(self.condition.clone());
        headers.extend(self.token.as_ref().map(|token| format!("Authorization: Bearer {token}")));
        request(server, self.method, &self.url, &headers, self.body.as_bytes())
    }
}

impl Publisher {
    /// A publisher that is not connected yet.
    pub fn new(server: SocketAddr) -> Publisher {
        Publisher { server, wire: None }
    }

    /// Sends one request and reads its answer; connects first if it must.
    ///
    /// # Errors
    /// The connection broke: whether it was done is unknown.
    pub async fn send(&mut self, publish: &Publish) -> Result<Answer, Ended> {
        let bytes = publish.request(self.server);
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(self.server, None).await?,
        };
        wire.send(&bytes).await?;
        let answer = wire.answer().await?;
        if answer.head.header("connection") != Some("close") {
            self.wire = Some(wire);
        }
        Ok(answer)
    }

    /// Sends the request and drops the connection without reading: the answer is lost.
    ///
    /// # Errors
    /// No connection.
    pub async fn send_and_leave(&mut self, publish: &Publish) -> Result<(), Ended> {
        let bytes = publish.request(self.server);
        self.wire = None;
        Wire::connect(self.server, None).await?.send(&bytes).await
    }
}
