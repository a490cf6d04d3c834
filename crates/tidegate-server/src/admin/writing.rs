//! What is written to the admin side: who may, and how a body is read.

use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ORIGIN};
use serde::de::DeserializeOwned;
use tidegate_core::{ErrorCode, Problem};

/// The largest body: a few texts.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Refuses pages: a page in the operator's browser reaches this address as he does, and says by its `Origin` that it is
/// one.
pub(super) fn no_page(request: &Request<Incoming>) -> Result<(), Problem> {
    match request.headers().contains_key(ORIGIN) {
        false => Ok(()),
        true => Err(Problem::new(ErrorCode::Forbidden, "a page of a browser may not write to the admin side")
            .hint("send it by a program, such as curl")),
    }
}

/// Reads a body of JSON; `shown` is one that works.
pub(super) async fn body<T: DeserializeOwned>(request: Request<Incoming>, shown: &str) -> Result<T, Problem> {
    let hint = || format!("send `Content-Type: application/json` and such as {shown}");
    // No page sends this without asking first.
    let json = request.headers().get(CONTENT_TYPE).is_some_and(|is| is.as_bytes().starts_with(b"application/json"));
    if !json {
        return Err(Problem::new(ErrorCode::UnsupportedType, "the body is not said to be JSON").hint(hint()));
    }
    let read = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let bytes = read
        .map_err(|_| Problem::new(ErrorCode::TooLarge, "the body broke off, or is over 64 KiB").hint(hint()))?
        .to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("the body cannot be read: {error}")).hint(hint()))
}
