//! A file of cases as it is written; the names of its members are the format.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::line::Line;

/// One file.
#[derive(Deserialize)]
pub struct File {
    #[serde(flatten)]
    pub head: Head,
    pub cases: Vec<Case>,
}

/// What the cases of a file share.
#[derive(Deserialize, Clone)]
pub struct Head {
    #[expect(dead_code, reason = "for those who read the file")]
    pub about: String,
    #[serde(default)]
    pub config: Map<String, Value>,
    pub channels: Value,
}

/// One case.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub transports: Option<Vec<Transport>>,
    #[serde(default)]
    pub config: Map<String, Value>,
    pub steps: Vec<Step>,
}

/// A way of watching.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Sse,
    #[serde(rename = "sse-gzip")]
    SseGzip,
    #[serde(rename = "sse-zstd")]
    SseZstd,
    Ndjson,
    #[serde(rename = "ndjson-gzip")]
    NdjsonGzip,
    #[serde(rename = "ndjson-zstd")]
    NdjsonZstd,
    Websocket,
    /// With permessage-deflate.
    #[serde(rename = "websocket-deflate")]
    WebsocketDeflate,
    /// One of the watches of a socket.
    #[serde(rename = "websocket-many")]
    WebsocketMany,
    Poll,
}

/// One step; exactly one of the members that say what it does is there.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    pub publish: Option<String>,
    pub data: Option<Value>,
    pub cursor: Option<String>,

    pub watch: Option<String>,
    pub name: Option<String>,
    pub problem: Option<Value>,
    pub frames: Option<Vec<Value>>,
    pub of: Option<String>,
    pub cut: bool,

    pub request: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub json: Option<Value>,
    pub text: Option<String>,
    pub pad: Option<usize>,
    pub status: Option<u16>,
    pub answer: Option<Value>,
    pub answer_headers: BTreeMap<String, Value>,
    pub raw: Option<String>,
    pub empty: bool,
    pub eventually: bool,

    pub socket: bool,
    pub say: Option<Value>,
    pub hear: Option<Vec<Value>>,

    pub moment: Option<String>,

    pub fill: Option<String>,
    pub bytes: Option<usize>,
    pub restart: Option<Restart>,
}

/// What a restart finds.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// The folder as the kill left it.
    Keep,
    /// An empty folder.
    Fresh,
}

impl File {
    pub fn read(path: &Path) -> anyhow::Result<File> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
    }
}

impl Case {
    /// The transports, or none if nothing is watched, each on all that carries it.
    pub fn runs_on(&self) -> Vec<(Option<Transport>, Line)> {
        let all = vec![
            Transport::Sse,
            Transport::SseGzip,
            Transport::SseZstd,
            Transport::Ndjson,
            Transport::NdjsonGzip,
            Transport::NdjsonZstd,
            Transport::Websocket,
            Transport::WebsocketDeflate,
            Transport::WebsocketMany,
            Transport::Poll,
        ];
        let watched = self.steps.iter().any(|step| step.watch.is_some());
        let transports: Vec<Option<Transport>> =
            if watched { self.transports.clone().unwrap_or(all).into_iter().map(Some).collect() } else { vec![None] };
        let socket = self.steps.iter().any(|step| step.socket);
        let carried = |transport: Option<Transport>| {
            [Line::Plain, Line::Tls, Line::Http2]
                .into_iter()
                // A WebSocket is opened on HTTP/1.1. A compressed body is bytes to TLS as any other.
                .filter(move |line| {
                    if *line == Line::Tls && transport.is_some_and(|transport| transport.coding().is_some()) {
                        return false;
                    }
                    let websocket = matches!(
                        transport,
                        Some(Transport::Websocket | Transport::WebsocketDeflate | Transport::WebsocketMany)
                    );
                    *line != Line::Http2 || !(websocket || socket)
                })
                .map(move |line| (transport, line))
        };
        transports.into_iter().flat_map(carried).collect()
    }
}

impl Transport {
    /// The content coding of its body.
    pub fn coding(self) -> Option<&'static str> {
        match self {
            Transport::SseGzip | Transport::NdjsonGzip => Some("gzip"),
            Transport::SseZstd | Transport::NdjsonZstd => Some("zstd"),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Transport::Sse => "sse",
            Transport::SseGzip => "sse-gzip",
            Transport::SseZstd => "sse-zstd",
            Transport::Ndjson => "ndjson",
            Transport::NdjsonGzip => "ndjson-gzip",
            Transport::NdjsonZstd => "ndjson-zstd",
            Transport::Websocket => "websocket",
            Transport::WebsocketDeflate => "websocket-deflate",
            Transport::WebsocketMany => "websocket-many",
            Transport::Poll => "poll",
        }
    }
}
