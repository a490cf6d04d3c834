//! `GET /v1/`: what the caller may watch, each with a line to try; and what the page may set off.

use http::Request;
use hyper::body::Incoming;
use serde_json::json;
use tidegate_core::{ErrorCode, Problem};

use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::negotiate::{Representation, accepted};
use crate::options::Options;
use crate::page;
use crate::tls::Encrypted;
use crate::{Action, Gateway};

/// Answers with the channels, as JSON or as the page.
pub(crate) fn list(gateway: &Gateway, request: &Request<Incoming>, caller: &Caller) -> Result<Answer, Problem> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let options = Options::read(request.uri().query(), request.headers())?;
    if let Some((name, _)) = options.given.iter().find(|(name, _)| name != "as") {
        return Err(Problem::new(ErrorCode::Invalid, format!("`{name}` makes no sense for the list of channels"))
            .hint("the list takes `as=json` or `as=html` and nothing else"));
    }
    let representation = match options.representation {
        Some(representation) => representation,
        None => accepted(text(http::header::ACCEPT))?,
    };
    match representation {
        Representation::Json => {}
        Representation::Html => return page::asset(gateway, "/"),
        Representation::Sse | Representation::Ndjson | Representation::Poll => {
            return Err(Problem::new(ErrorCode::NotAcceptable, "the list of channels is JSON or the page")
                .hint("watch one of the addresses in it"));
        }
    }
    let scheme = if request.extensions().get::<Encrypted>().is_some() { "https" } else { "http" };
    let host = text(http::header::HOST).unwrap_or("127.0.0.1:8080");
    let channels: Vec<serde_json::Value> = gateway
        .hub
        .catalog()
        .iter()
        .filter(|channel| channel.readable_by(caller.policy()))
        .map(|channel| {
            let config = &channel.config;
            let pattern = config.template.pattern();
            json!({
                "channel": config.name,
                "title": config.title,
                "address": config.template.as_str(),
                "pattern": pattern,
                "kind": if channel.keyed() { "keyed" } else { "plain" },
                "source": config.source,
                "loading": channel.loading(),
                "publish": channel.publishable_by(caller.policy()),
                "curl": format!("curl -N -H 'Accept: text/event-stream' '{scheme}://{host}/v1/{pattern}'"),
            })
        })
        .collect();
    let mut list = json!({ "channels": channels });
    if !gateway.actions.is_empty() {
        let action = |action: &Action| json!({ "path": action.path, "title": action.title });
        list["actions"] = gateway.actions.iter().map(action).collect();
    }
    Ok(answer::json(list.to_string()))
}
