//! Answers that end, compressed whole for clients that accept it.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use tidegate_wire::Coding;

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::budget::SMALL_BYTES;
use crate::coding::Accepted;

/// Smaller bodies go as they are: with its head an answer fits in one packet.
const BYTES_MIN: usize = 1024;

/// It is smaller than gzip's, and takes a third of the time.
const FIRST: Coding = Coding::Zstd;

/// What a request says of it.
pub(crate) struct Wish {
    accepted: Accepted,
    /// The tags that the client holds.
    held: Vec<String>,
}

impl Wish {
    pub(crate) fn of(headers: &HeaderMap) -> Wish {
        let held = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let held = held.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect();
        Wish { accepted: Accepted::read(headers), held }
    }
}

/// Compresses the body, if that is wanted and makes it smaller.
pub(crate) async fn compress(gateway: &Gateway, wish: &Wish, answer: Answer) -> Answer {
    let coding = wish.accepted.choose(gateway.tails.options().compress, FIRST).unwrap_or(Coding::Identity);
    if coding == Coding::Identity {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    if head.status == StatusCode::NOT_MODIFIED {
        // It is told of the tag that it knows.
        if let Some(weak) = head.headers.get(ETAG).and_then(weak)
            && wish.held.iter().any(|held| weak == held.as_str())
        {
            head.headers.insert(ETAG, weak);
        }
        return Answer::from_parts(head, body);
    }
    let Ok(plain) = body.collect().await.map(|body| body.to_bytes());
    if plain.is_empty() || (plain.len() < BYTES_MIN && wish.accepted.plain()) {
        return Answer::from_parts(head, Full::new(plain));
    }
    let packed = match plain.len() {
        ..=SMALL_BYTES => coding.whole(&plain),
        _ => {
            let plain = plain.clone();
            tokio::task::spawn_blocking(move || coding.whole(&plain))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
    };
    if packed.len() >= plain.len() && wish.accepted.plain() {
        return Answer::from_parts(head, Full::new(plain));
    }
    // It gives its share of the memory back first: what is smaller finds room.
    drop(plain);
    let body = match packed.len() {
        ..=SMALL_BYTES => Bytes::from(packed),
        bytes => match gateway.budget.take(bytes).await {
            Ok(share) => share.hold(packed),
            Err(problem) => return answer::problem(&problem),
        },
    };
    if let Some(token) = coding.token() {
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(token));
    }
    if let Some(weak) = head.headers.get(ETAG).and_then(weak) {
        head.headers.insert(ETAG, weak);
    }
    Answer::from_parts(head, Full::new(body))
}

/// The weak tag beside a strong one: compressed, the bytes are others (RFC 9110, section 8.8.1).
fn weak(strong: &HeaderValue) -> Option<HeaderValue> {
    let tag = strong.to_str().ok().filter(|tag| !tag.starts_with("W/"))?;
    HeaderValue::from_str(&format!("W/{tag}")).ok()
}
