//! From an HTTP request to a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, Method, Request, Version};
use hyper::body::Incoming;
use sha1::{Digest, Sha1};
use tidegate_core::frame::PROTOCOL;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_hub::WatchEntry;
use tidegate_wire::{Encoding, Watcher};

use super::extensions;
use crate::Gateway;
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::connection::Outcome;
use crate::options::Options;
use crate::stream::{Kind, Stream, begin_fields, prepare, push_fields};
use crate::visitor;

/// What RFC 6455 appends to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether the request asks for a WebSocket, as only a GET of HTTP/1.1 can.
pub(crate) fn wanted(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
}

/// Begins a WebSocket of one watch. Refusals are plain HTTP, before the upgrade.
pub(crate) async fn open(
    gateway: &Gateway,
    target: Target,
    options: Options,
    request: &Request<Incoming>,
    caller: &Caller,
) -> Result<Outcome, Problem> {
    let (mut head, encoding) = match upgrade(gateway, request.headers()) {
        Ok(agreed) => agreed,
        Err(refusal) => return Ok(Outcome::Answer(*refusal)),
    };
    let (watcher, entry) = prepare(gateway, target, options, encoding, caller).await?;
    push_fields(&begin_fields(gateway, &watcher), &mut head);
    push_fields(&visitor::told(&caller.account).map(Vec::from).unwrap_or_default(), &mut head);
    Ok(stream(head, encoding, Some((watcher, entry)), caller.clone().seated()))
}

/// Begins a WebSocket of many watches, which its client asks for one by one.
pub(crate) fn open_many(gateway: &Gateway, request: &Request<Incoming>, caller: Caller) -> Outcome {
    match upgrade(gateway, request.headers()) {
        Ok((head, encoding)) => stream(head, encoding, None, caller),
        Err(refusal) => Outcome::Answer(*refusal),
    }
}

fn stream(mut head: String, encoding: Encoding, watch: Option<(Watcher, WatchEntry)>, caller: Caller) -> Outcome {
    head.push_str("\r\n");
    let head = Bytes::from(head);
    Outcome::Stream(Box::new(Stream {
        watch,
        encoding,
        head,
        fields: Vec::new(),
        socket: Kind::WebSocket(caller.answered()),
    }))
}

/// The head that agrees to a WebSocket, without its end, and how its frames are spelled; or the answer
/// that does not.
fn upgrade(gateway: &Gateway, headers: &HeaderMap) -> Result<(String, Encoding), Box<Answer>> {
    let invalid = |detail: &str| {
        let problem = Problem::new(ErrorCode::Invalid, detail);
        Box::new(answer::problem(&problem.hint("open it with a WebSocket client of RFC 6455, version 13")))
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut answer = invalid("the WebSocket version is not 13");
        answer::header(&mut answer, SEC_WEBSOCKET_VERSION, "13");
        return Err(answer);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16));
    let key = key.ok_or_else(|| invalid("Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let deflate = extensions::agree(headers)
        .map_err(|extensions::Malformed| invalid("Sec-WebSocket-Extensions is no list of extensions"))?;
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {}\r\n",
        accept(key.as_bytes())
    );
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        head.push_str(&format!("sec-websocket-protocol: {PROTOCOL}\r\n"));
    }
    let Some(deflate) = deflate.filter(|_| gateway.tails.options().compress) else {
        return Ok((head, Encoding::WebSocket));
    };
    head.push_str(&format!("{SEC_WEBSOCKET_EXTENSIONS}: {}\r\n", deflate.answer()));
    Ok((head, Encoding::WebSocketDeflated))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|own| own.trim().eq_ignore_ascii_case(token))
}

fn accept(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn accepts_as_the_rfc_does() {
        assert_eq!(super::accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
