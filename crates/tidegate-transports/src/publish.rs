//! `POST`, `PUT` and `DELETE` on an address.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_hub::{Action, Format, Idempotency, Publish};

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::options::pairs;
use crate::route::allow;

/// A body must be complete within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Who publishes, until callers can say who they are.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Publishes; answers when it is durable.
pub(crate) async fn publish(gateway: &Gateway, target: Target, request: Request<Incoming>) -> Result<Answer, Problem> {
    let channel = match gateway.hub.publishable(&target, request.method().as_str()) {
        Ok(channel) => channel,
        Err(problem) => return Ok(refused(gateway, &target, &problem)),
    };
    unconditional(&request)?;
    let method = request.method().clone();
    let key = key(&request)?;
    let idempotency = idempotency(&request)?;
    let format = format(&request)?;
    let body = body(request, channel.config.batch_bytes_max).await?;
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
    let published = gateway.hub.publish(Publish { target, action, idempotency }).await?;
    let mut answer = if deletes {
        answer::empty(204)
    } else {
        answer::json(json!({ "cursor": published.cursor, "count": published.count }).to_string())
    };
    answer::header(&mut answer, TIDEGATE_CURSOR, &published.cursor);
    if published.replayed {
        answer::header(&mut answer, HeaderName::from_static("idempotency-replayed"), "true");
    }
    Ok(answer)
}

/// A refusal; with the methods that the address does take, where it was the method.
pub(crate) fn refused(gateway: &Gateway, target: &Target, problem: &Problem) -> Answer {
    let mut answer = answer::problem(problem);
    if problem.code == ErrorCode::MethodNotAllowed {
        answer::header(&mut answer, ALLOW, allow(gateway, target));
    }
    answer
}

/// A condition that is not judged must not be ignored: the write would happen all the same.
fn unconditional(request: &Request<Incoming>) -> Result<(), Problem> {
    match [IF_MATCH, IF_NONE_MATCH].iter().find(|name| request.headers().contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Problem::new(ErrorCode::NotBuilt, format!("a write with `{name}` is not built yet"))
            .hint("leave the condition out; nothing was accepted")),
    }
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

fn idempotency(request: &Request<Incoming>) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::new(ErrorCode::Invalid, "the Idempotency-Key is not ASCII"))?;
    Ok(Some(Idempotency { principal: ANONYMOUS.to_owned(), key: key.to_owned() }))
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

async fn body(request: Request<Incoming>, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(ErrorCode::TooLarge, format!("the body has more than {bytes_max} bytes; nothing was accepted"))
            .hint("send the events in several batches")
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), bytes_max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(ErrorCode::Invalid, "the body ended early; nothing was accepted")),
        Err(_) => Err(Problem::new(
            ErrorCode::Invalid,
            format!("the body did not arrive within {} s; nothing was accepted", BODY_TIMEOUT.as_secs()),
        )),
    }
}
