//! Answers that end: JSON, problems, empty ones.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER,
    VARY, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use tidegate_core::Problem;

/// An answer that hyper writes.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The cursor of an answer.
pub(crate) const TIDEGATE_CURSOR: HeaderName = HeaderName::from_static("tidegate-cursor");

/// The media type of JSON.
const JSON: &str = "application/json";
/// The media type of problems (RFC 9457).
pub(crate) const PROBLEM: &str = "application/problem+json";
/// What is asked of who has shown nothing (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"tidegate\"";
/// An answer has about so many header fields: they are allocated once.
const HEADERS: usize = 8;
/// What answers depend on beside the address: their representation, and how it is compressed.
pub(crate) const VARIES: &str = "accept, accept-encoding";

/// An answer with a body.
pub(crate) fn with_body(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    built(status, Some(content_type), "no-store", body.into())
}

fn built(status: u16, content_type: Option<&'static str>, cache_control: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = constant(status);
    let headers = answer.headers_mut();
    headers.reserve(HEADERS);
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    answer
}

fn constant(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("statuses are constants of ours")
}

/// The status of a problem.
pub(crate) fn status(problem: &Problem) -> StatusCode {
    constant(problem.code.status())
}

/// JSON.
pub(crate) fn json(body: impl Into<Bytes>) -> Answer {
    with_body(200, JSON, body)
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Answer {
    built(status, None, "no-store", Bytes::new())
}

/// RFC 9457.
pub(crate) fn problem(problem: &Problem) -> Answer {
    let mut answer = with_body(problem.code.status(), PROBLEM, problem.to_json().to_string());
    retry_after(&mut answer, problem);
    if let Some(etag) = &problem.etag {
        header(&mut answer, ETAG, etag);
    }
    // RFC 9110, section 15.5.2: a 401 always has one.
    let challenge = problem.challenge.as_deref().or((problem.code.status() == 401).then_some(CHALLENGE));
    if let Some(challenge) = challenge {
        header(&mut answer, WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// Refuses a method, and says which there are (RFC 9110, section 15.5.6).
pub(crate) fn not_allowed(refused: &Problem, methods: &str) -> Answer {
    let mut answer = problem(refused);
    header(&mut answer, ALLOW, methods);
    answer
}

/// Says when to come back, in whole seconds.
pub(crate) fn retry_after(answer: &mut Answer, problem: &Problem) {
    if let Some(ms) = problem.retry_ms {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
}

/// Adds a header whose value is made of ASCII of ours.
pub(crate) fn header(answer: &mut Answer, name: HeaderName, value: &str) {
    answer.headers_mut().insert(name, HeaderValue::from_str(value).expect("header values of ours are ASCII"));
}

/// JSON with an entity tag; without a body it is 304. A client may keep it and ask again whether it
/// still holds.
pub(crate) fn tagged(body: Option<Bytes>, etag: &HeaderValue) -> Answer {
    let mut answer = match body {
        Some(body) => built(200, Some(JSON), "no-cache", body),
        None => built(304, None, "no-cache", Bytes::new()),
    };
    answer.headers_mut().insert(ETAG, etag.clone());
    answer
}

/// Answers the question that a browser asks before a page of another origin writes; only a listed
/// origin gets the header that lets it.
pub(crate) fn preflight(methods: &'static str) -> Answer {
    let mut answer = empty(204);
    header(&mut answer, ALLOW, methods);
    header(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, methods);
    let headers = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, prefer";
    header(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, headers);
    answer
}

/// Lets pages of a listed origin read the answer.
pub(crate) fn readable_by(answer: &mut Answer, origin: &str) {
    for (name, value) in cross_origin(origin) {
        header(answer, name, &value);
    }
}

/// Tells caches that pages of other origins get other fields: also where this request is of none, since what is
/// stored of it may be given to one. In the one field that is there, since not all caches read a second one.
pub(crate) fn varies_by_origin(answer: &mut Answer) {
    let before = answer.headers().get(VARY).and_then(|vary| vary.to_str().ok()).unwrap_or(VARIES);
    let vary = format!("{before}, origin");
    header(answer, VARY, &vary);
}

/// The fields that let pages of a listed origin read an answer, which varies by it.
pub(crate) fn cross_origin(origin: &str) -> [(HeaderName, String); 2] {
    let exposed = "etag, idempotency-replayed, link, ratelimit, ratelimit-policy, retry-after, tidegate-cursor, tidegate-heartbeat-ms, \
                   tidegate-protocol, tidegate-watch";
    [(ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned()), (ACCESS_CONTROL_EXPOSE_HEADERS, exposed.to_owned())]
}

/// Whether an `If-None-Match` names `etag` (weak comparison, RFC 9110, section 13.1.2).
pub(crate) fn none_match(headers: &http::HeaderMap, etag: &HeaderValue) -> bool {
    let strip = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let named = headers.get_all(http::header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = named.flat_map(|value| value.split(','));
    tags.any(|tag| tag.trim() == "*" || etag.to_str().is_ok_and(|etag| strip(tag) == strip(etag)))
}
