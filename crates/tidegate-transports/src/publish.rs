//! `POST`, `PUT` and `DELETE` on an address.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_gate::Limit;
use tidegate_hub::{Action, Format, Idempotency, Precondition, Publish, Published};

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::budget::{SMALL_BYTES, Share};
use crate::caller::Caller;
use crate::options::pairs;
use crate::route::allow;

/// A body must be complete within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Publishes; answers when it is durable.
pub(crate) async fn publish(
    gateway: &Gateway,
    target: Target,
    request: &mut Request<Incoming>,
    caller: &Caller,
) -> Result<Answer, Problem> {
    let channel = match gateway.hub.publishable(&target, request.method().as_str(), caller.policy()) {
        Ok(channel) => channel,
        Err(problem) if problem.code == ErrorCode::MethodNotAllowed => {
            return Ok(refused(gateway, &target, &problem));
        }
        Err(problem) => return Err(problem),
    };
    caller.account.take(Limit::Publishes, 1)?;
    let method = request.method().clone();
    let key = key(request)?;
    let idempotency = idempotency(request, caller)?;
    let condition = condition(request)?;
    let format = format(request)?;
    if method == Method::PUT && format != Format::Json {
        return Err(Problem::new(ErrorCode::UnsupportedType, "a PUT has one JSON value")
            .hint("send application/json; batches and envelopes go with POST"));
    }
    let (body, _share) = body(gateway, request, channel.config.batch_bytes_max, caller).await?;
    let action = match (method, key) {
        (Method::POST, None) => Action::Post { format, body },
        (Method::POST, Some(_)) => {
            return Err(Problem::new(ErrorCode::Invalid, "a POST takes its key from the data")
                .hint("use PUT with ?key=, or leave `key` out"));
        }
        (Method::PUT, Some(key)) => Action::Put { key, body },
        (_, Some(key)) => Action::Delete { key },
        (method, None) => {
            return Err(Problem::new(ErrorCode::Invalid, format!("a {method} names its key"))
                .hint("add ?key=, such as ?key=42"));
        }
    };
    let deletes = matches!(action, Action::Delete { .. });
    let publish = Publish { target, action, idempotency, condition };
    let published = write(gateway, caller, publish).await?;
    let mut answer = if deletes {
        answer::empty(204)
    } else {
        answer::json(json!({ "cursor": published.cursor, "count": published.count }).to_string())
    };
    answer::header(&mut answer, TIDEGATE_CURSOR, &published.cursor);
    if let Some(etag) = &published.etag {
        answer::header(&mut answer, ETAG, etag);
    }
    if published.replayed {
        answer::header(&mut answer, HeaderName::from_static("idempotency-replayed"), "true");
    }
    Ok(answer)
}

/// Publishes, once the application allows it where the channel asks one.
pub(crate) async fn write(gateway: &Gateway, caller: &Caller, publish: Publish) -> Result<Published, Problem> {
    let policies = gateway.hub.catalog().resolve(&publish.target).map(|channel| channel.policies()).ok();
    if policies.as_ref().is_some_and(|policies| policies.access.asks.publish) {
        let channel = gateway.hub.publishable(&publish.target, publish.action.method(), caller.policy())?;
        gateway.hooks.publish(caller, &channel.config.name, &publish).await?;
    }
    gateway.hub.publish_by(publish, caller.policy(), policies).await
}

/// The refusal of a method, with those that the address does take.
pub(crate) fn refused(gateway: &Gateway, target: &Target, problem: &Problem) -> Answer {
    answer::not_allowed(problem, allow(gateway, target))
}

fn key(request: &Request<Incoming>) -> Result<Option<String>, Problem> {
    let mut key = None;
    for (name, value) in pairs(request.uri().query().unwrap_or_default())? {
        match name.as_str() {
            "key" if key.is_none() => key = Some(value),
            _ if name.starts_with("x-") => {}
            _ => {
                return Err(Problem::new(ErrorCode::UnknownOption, format!("a publish has no option `{name}`"))
                    .hint("PUT and DELETE take `key`, once; nothing else"));
            }
        }
    }
    Ok(key)
}

fn idempotency(request: &Request<Incoming>, caller: &Caller) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::new(ErrorCode::Invalid, "the Idempotency-Key is not ASCII"))?;
    Ok(Some(Idempotency { principal: caller.identity(), key: key.to_owned() }))
}

/// A header on several lines is one list (RFC 9110, section 5.3).
fn condition(request: &Request<Incoming>) -> Result<Option<Precondition>, Problem> {
    let read = |name: HeaderName| {
        let ascii = |_| Problem::new(ErrorCode::Invalid, format!("the `{name}` is not ASCII"));
        let lines = request.headers().get_all(&name).iter().map(|value| value.to_str());
        let lines: Vec<&str> = lines.collect::<Result<_, _>>().map_err(ascii)?;
        Ok((!lines.is_empty()).then(|| lines.join(", ")))
    };
    Precondition::read(read(IF_MATCH)?.as_deref(), read(IF_NONE_MATCH)?.as_deref())
}

fn format(request: &Request<Incoming>) -> Result<Format, Problem> {
    if request.headers().contains_key(http::header::CONTENT_ENCODING) {
        return Err(
            Problem::new(ErrorCode::UnsupportedType, "an encoded body is not read").hint("send it uncompressed")
        );
    }
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    Format::of_content_type(content_type).ok_or_else(|| {
        Problem::new(
            ErrorCode::UnsupportedType,
            format!("a body of `{}` is not read", content_type.unwrap_or_default()),
        )
    })
}

/// The body, and its share of the memory for large ones, to hold until the publish is done.
pub(crate) async fn body(
    gateway: &Gateway,
    request: &mut Request<Incoming>,
    bytes_max: usize,
    caller: &Caller,
) -> Result<(Bytes, Option<Share>), Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    if let Some(bytes) = announced {
        caller.account.take(Limit::PublishedBytes, bytes as u64)?;
    }
    let collecting = collect(gateway, request.body_mut(), announced.unwrap_or(bytes_max), bytes_max);
    let collected = tokio::time::timeout(BODY_TIMEOUT, collecting).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s; nothing was accepted", BODY_TIMEOUT.as_secs());
        Err(Problem::new(ErrorCode::Invalid, detail))
    })?;
    if announced.is_none() {
        caller.account.take(Limit::PublishedBytes, collected.0.len() as u64)?;
    }
    Ok(collected)
}

async fn collect(
    gateway: &Gateway,
    incoming: &mut Incoming,
    expected: usize,
    bytes_max: usize,
) -> Result<(Bytes, Option<Share>), Problem> {
    let mut body = BytesMut::new();
    let mut share = None;
    while let Some(frame) = incoming.frame().await {
        let frame =
            frame.map_err(|_| Problem::new(ErrorCode::Invalid, "the body ended early; nothing was accepted"))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if share.is_none() && body.len() + data.len() > SMALL_BYTES {
            share = Some(gateway.budget.take(expected).await?.counted(expected));
        }
        body.extend_from_slice(&data);
    }
    Ok((body.freeze(), share))
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the body has more than {bytes_max} bytes; nothing was accepted"))
        .hint("send the events in several batches")
}
