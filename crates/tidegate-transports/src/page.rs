//! The page at `/` and at each address, and its parts.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request};
use hyper::body::Incoming;
use tidegate_core::{ErrorCode, Problem, Target};

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::negotiate::{Representation, accepted};

/// A file that the server serves.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Such as `/tidegate.js`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
}

/// All files that the server serves; `/` is the page.
#[derive(Clone, Debug, Default)]
pub struct Assets(pub Vec<Asset>);

/// The page shows payloads that anybody may have published, so nothing runs but its own files.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A file.
pub(crate) fn asset(gateway: &Gateway, path: &str) -> Result<Answer, Problem> {
    let asset = gateway.assets.0.iter().find(|asset| asset.path == path).ok_or_else(|| {
        Problem::new(ErrorCode::ChannelNotFound, format!("there is nothing at `{path}`"))
            .hint("addresses are below /v1/; GET /v1/ lists them")
    })?;
    let mut answer = answer::with_body(200, asset.content_type, Bytes::from_static(asset.body));
    answer::header(&mut answer, CONTENT_SECURITY_POLICY, POLICY);
    answer::header(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer::header(&mut answer, REFERRER_POLICY, "no-referrer");
    if asset.path.ends_with(".js") {
        // The client may be imported by pages of other origins; what it may read is decided there.
        answer::header(&mut answer, HeaderName::from_static("access-control-allow-origin"), "*");
    }
    answer::header(&mut answer, http::header::CACHE_CONTROL, "no-cache");
    Ok(answer)
}

/// Whether a browser asks for an address: its person wants the page, also where it is refused.
pub(crate) fn wanted(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().path().strip_prefix("/v1/").is_some_and(|path| !path.starts_with('_'))
        && request.uri().query().is_none_or(|query| !query.split('&').any(|pair| pair.starts_with("as=")))
        && accepted(accept) == Ok(Representation::Html)
}

/// The page with the status of a refusal; it asks again by itself and shows the problem.
pub(crate) fn refusal(gateway: &Gateway, problem: &Problem) -> Answer {
    let mut answer = asset(gateway, "/").unwrap_or_else(|_| answer::problem(problem));
    *answer.status_mut() = answer::status(problem);
    answer
}

/// The page at an address that may be read.
pub(crate) fn live(gateway: &Gateway, target: &Target, caller: &Caller) -> Result<Answer, Problem> {
    gateway.hub.catalog().readable(target, caller.policy())?;
    asset(gateway, "/")
}
