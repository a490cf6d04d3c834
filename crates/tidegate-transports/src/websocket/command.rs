//! What a client can ask on an open WebSocket: `{"do":…,"ref":n,…}`, each answered by `done` or
//! `problem` with its `ref`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tidegate_core::suggest::nearest;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_hub::{Action, Format, Idempotency, Publish};

use crate::Gateway;
use crate::publish::ANONYMOUS;

/// All that the protocol has.
const COMMANDS: [&str; 10] =
    ["watch", "unwatch", "change", "publish", "ack", "pause", "resume", "window", "token", "ping"];

/// What every message has.
#[derive(Deserialize)]
struct Command {
    r#do: String,
    r#ref: Option<u64>,
}

/// `{"do":"publish",…}`, whole: a misspelled member must not be ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishCommand<'c> {
    #[expect(dead_code, reason = "seen before; here so that it is known")]
    r#do: String,
    r#ref: Option<u64>,
    address: Option<String>,
    key: Option<String>,
    idempotency_key: Option<String>,
    #[serde(borrow)]
    data: &'c RawValue,
}

/// Does what a message asks, and returns the answer as JSON text.
///
/// # Errors
/// The answer to a message that is none of the protocol.
pub(super) async fn answer(gateway: &Gateway, watched: &Target, text: &str) -> Result<String, String> {
    let command: Command = match serde_json::from_str(text) {
        Ok(command) => command,
        Err(error) => {
            let problem = Problem::new(ErrorCode::Invalid, format!("no message of the protocol: {error}"))
                .hint("send {\"do\":\"ping\",\"ref\":1}");
            return Err(refuse(None, &problem));
        }
    };
    let reference = command.r#ref;
    let done = match command.r#do.as_str() {
        "ping" => Ok(json!({ "op": "done", "ref": reference })),
        "publish" => publish(gateway, watched, text).await,
        name if COMMANDS.contains(&name) => {
            Err(Problem::new(ErrorCode::NotBuilt, format!("`{name}` is not built yet"))
                .hint("this release has `ping` and `publish`; one watch a WebSocket"))
        }
        name => {
            let problem = Problem::new(ErrorCode::Invalid, format!("there is no `{name}`"));
            Err(match nearest(name, COMMANDS) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("`do` is one of `{}`", COMMANDS.join("`, `"))),
            })
        }
    };
    Ok(done.map_or_else(|problem| refuse(reference, &problem), |done| done.to_string()))
}

async fn publish(gateway: &Gateway, watched: &Target, text: &str) -> Result<serde_json::Value, Problem> {
    let command: PublishCommand<'_> = serde_json::from_str(text).map_err(|error| {
        Problem::new(ErrorCode::Invalid, format!("no publish: {error}")).hint(
            "send {\"do\":\"publish\",\"ref\":1,\"data\":…}, with `address`, `key` and `idempotency_key` where wanted",
        )
    })?;
    let target = match &command.address {
        None => watched.clone(),
        Some(address) => Target::parse(address)
            .map_err(|error| Problem::new(ErrorCode::Invalid, format!("`{address}` is no address: {error}")))?,
    };
    let body = Bytes::copy_from_slice(command.data.get().as_bytes());
    let action = match command.key {
        Some(key) => Action::Put { key, body },
        None => Action::Post { format: Format::Json, body },
    };
    let idempotency = command.idempotency_key.map(|key| Idempotency { principal: ANONYMOUS.to_owned(), key });
    let published = gateway.hub.publish(Publish { target, action, idempotency }).await?;
    Ok(json!({
        "op": "done",
        "ref": command.r#ref,
        "cursor": published.cursor,
        "count": published.count,
        "replayed": published.replayed,
    }))
}

/// A `problem` frame.
pub(super) fn refuse(reference: Option<u64>, problem: &Problem) -> String {
    let mut answer = problem.to_json();
    answer["op"] = "problem".into();
    answer["ref"] = reference.into();
    answer.to_string()
}
