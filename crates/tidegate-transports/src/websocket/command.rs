//! What a client can ask on an open WebSocket: `{"do":…,"ref":n,…}`, each answered by `done` or
//! `problem` with its `ref`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tidegate_core::suggest::nearest;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_gate::Limit;
use tidegate_hub::{Action, Format, Idempotency, Precondition};
use tidegate_wire::WatchName;

use crate::Gateway;
use crate::audit::{Act, Asked};
use crate::caller::Caller;
use crate::options::{Members, Options};

/// All that the protocol has.
const COMMANDS: [&str; 10] =
    ["watch", "unwatch", "change", "publish", "ack", "pause", "resume", "window", "token", "ping"];

/// What a message comes to.
pub(super) enum Command {
    /// This is the answer.
    Answered(String),
    /// An event is to be published.
    Publish(Publish),
    /// A watch is to begin.
    Watch(Watch),
    /// A watch is to go on with other options.
    Change(Change),
    /// Whose the socket is, shown anew.
    Token(Token),
    /// A watch is to end.
    Unwatch { reference: Option<u64>, name: WatchName },
}

/// What every message has.
#[derive(Deserialize)]
struct Message {
    r#do: String,
    r#ref: Option<u64>,
}

/// `{"do":"publish",…}`, whole: a misspelled member must not be ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    #[expect(dead_code, reason = "seen before; here so that it is known")]
    r#do: String,
    r#ref: Option<u64>,
    address: Option<String>,
    key: Option<String>,
    idempotency_key: Option<String>,
    /// As the header of the name, with its quotes.
    if_match: Option<String>,
    /// As the header of the name.
    if_none_match: Option<String>,
    data: Box<RawValue>,
}

/// A watch that is asked for.
pub(super) struct Watch {
    pub(super) reference: Option<u64>,
    pub(super) address: String,
    pub(super) options: Options,
}

/// `{"do":"watch",…}`: the other members are options, as in a URL.
#[derive(Deserialize)]
struct WatchMembers {
    #[expect(dead_code, reason = "seen before; here so that it is no option")]
    r#do: String,
    #[expect(dead_code, reason = "seen before; here so that it is no option")]
    r#ref: Option<u64>,
    address: String,
    #[serde(flatten)]
    options: Members,
}

/// Other options for a watch, all of them: what is not given is not asked for any more.
pub(super) struct Change {
    pub(super) reference: Option<u64>,
    /// On a socket of many watches.
    pub(super) name: Option<WatchName>,
    pub(super) options: Options,
}

/// `{"do":"change",…}`: the other members are options, as in a URL.
#[derive(Deserialize)]
struct ChangeMembers {
    #[expect(dead_code, reason = "seen before; here so that it is no option")]
    r#do: String,
    #[expect(dead_code, reason = "seen before; here so that it is no option")]
    r#ref: Option<u64>,
    watch: Option<String>,
    #[serde(flatten)]
    options: Members,
}

/// `{"do":"token",…}`, whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    #[expect(dead_code, reason = "seen before; here so that it is known")]
    r#do: String,
    pub(super) r#ref: Option<u64>,
    pub(super) token: String,
}

/// `{"do":"unwatch",…}`, whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unwatch {
    #[expect(dead_code, reason = "seen before; here so that it is known")]
    r#do: String,
    #[expect(dead_code, reason = "seen before; here so that it is known")]
    r#ref: Option<u64>,
    watch: String,
}

/// Reads a message; `many` is a socket of many watches.
///
/// # Errors
/// The answer to a message that is none of the protocol.
pub(super) fn read(text: &str, many: bool) -> Result<Command, String> {
    let message: Message = serde_json::from_str(text).map_err(|error| {
        let problem = Problem::new(ErrorCode::Invalid, format!("no message of the protocol: {error}"))
            .hint("send {\"do\":\"ping\",\"ref\":1}");
        refuse(None, &problem)
    })?;
    let reference = message.r#ref;
    let command = match message.r#do.as_str() {
        "ping" => Ok(Command::Answered(done(reference))),
        "publish" => read_publish(text),
        "watch" | "unwatch" if !many => {
            Err(Problem::new(ErrorCode::Invalid, "this WebSocket has one watch, that of its address")
                .hint("open `/v1/_ws` for many watches on one socket"))
        }
        "watch" => read_watch(text, reference),
        "unwatch" => read_unwatch(text, reference),
        "change" => read_change(text, reference, many),
        "token" => read_token(text),
        name if COMMANDS.contains(&name) => {
            Err(Problem::new(ErrorCode::NotBuilt, format!("`{name}` is not built yet"))
                .hint("this release has `watch`, `change`, `unwatch`, `publish`, `token` and `ping`"))
        }
        name => {
            let problem = Problem::new(ErrorCode::Invalid, format!("there is no `{name}`"));
            Err(match nearest(name, COMMANDS) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("`do` is one of `{}`", COMMANDS.join("`, `"))),
            })
        }
    };
    Ok(command.unwrap_or_else(|problem| Command::Answered(refuse(reference, &problem))))
}

fn read_publish(text: &str) -> Result<Command, Problem> {
    serde_json::from_str(text).map(Command::Publish).map_err(|error| {
        Problem::new(ErrorCode::Invalid, format!("no publish: {error}")).hint(
            "send {\"do\":\"publish\",\"ref\":1,\"data\":…}, with `address`, `key`, `idempotency_key`, `if_match` and \
             `if_none_match` where wanted",
        )
    })
}

fn read_watch(text: &str, reference: Option<u64>) -> Result<Command, Problem> {
    let WatchMembers { address, options, .. } = serde_json::from_str(text).map_err(|error| {
        Problem::new(ErrorCode::Invalid, format!("no watch: {error}"))
            .hint("send {\"do\":\"watch\",\"ref\":1,\"address\":\"…\"}, with options as in a URL: \"after\":\"…\"")
    })?;
    Ok(Command::Watch(Watch { reference, address, options: Options::of_members(options)? }))
}

/// What cannot be read is not told: it may be a token.
fn read_token(text: &str) -> Result<Command, Problem> {
    serde_json::from_str(text).map(Command::Token).map_err(|_| {
        Problem::new(ErrorCode::Invalid, "no fresh token").hint("send {\"do\":\"token\",\"ref\":1,\"token\":\"…\"}")
    })
}

fn read_unwatch(text: &str, reference: Option<u64>) -> Result<Command, Problem> {
    let invalid = |detail: String| {
        Problem::new(ErrorCode::Invalid, detail).hint("send {\"do\":\"unwatch\",\"ref\":2,\"watch\":\"w1\"}")
    };
    let Unwatch { watch, .. } = serde_json::from_str(text).map_err(|error| invalid(format!("no unwatch: {error}")))?;
    let name = watch_name(&watch).ok_or_else(|| invalid(format!("`{watch}` is no name of a watch")))?;
    Ok(Command::Unwatch { reference, name })
}

fn read_change(text: &str, reference: Option<u64>, many: bool) -> Result<Command, Problem> {
    let invalid = |detail: String| {
        let named = if many { "\"watch\":\"w1\"," } else { "" };
        let hint =
            format!("send {{\"do\":\"change\",\"ref\":2,{named}\"filter\":\"…\"}}, with all options that are wanted");
        Problem::new(ErrorCode::Invalid, detail).hint(hint)
    };
    let ChangeMembers { watch, options, .. } =
        serde_json::from_str(text).map_err(|error| invalid(format!("no change: {error}")))?;
    let name = match (watch, many) {
        (Some(watch), true) => {
            Some(watch_name(&watch).ok_or_else(|| invalid(format!("`{watch}` is no name of a watch")))?)
        }
        (None, true) => return Err(invalid("which watch is to change is not said".to_owned())),
        (Some(_), false) => return Err(invalid("the watch of this WebSocket has no name".to_owned())),
        (None, false) => None,
    };
    Ok(Command::Change(Change { reference, name, options: Options::of_members(options)? }))
}

fn watch_name(text: &str) -> Option<WatchName> {
    text.strip_prefix('w')?.parse().ok()
}

pub(super) fn target(address: &str) -> Result<Target, Problem> {
    Target::parse(address)
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("`{address}` is no address: {error}")))
}

/// Publishes, and returns the answer as JSON text.
pub(super) async fn publish(gateway: &Gateway, caller: &Caller, watched: Option<&Target>, publish: Publish) -> String {
    let reference = publish.r#ref;
    match publish_to(gateway, caller, watched, publish).await {
        Ok(done) => done.to_string(),
        Err(problem) => refuse(reference, &problem),
    }
}

async fn publish_to(
    gateway: &Gateway,
    caller: &Caller,
    watched: Option<&Target>,
    publish: Publish,
) -> Result<serde_json::Value, Problem> {
    caller.good(gateway)?;
    caller.writes()?;
    caller.account.take(Limit::Publishes, 1)?;
    let target = match (&publish.address, watched) {
        (Some(address), _) => target(address)?,
        (None, Some(watched)) => watched.clone(),
        (None, None) => {
            return Err(Problem::new(ErrorCode::Invalid, "where to publish is not said")
                .hint("name an `address`: this socket has none of its own"));
        }
    };
    caller.account.take(Limit::PublishedBytes, publish.data.get().len() as u64)?;
    let body = Bytes::copy_from_slice(publish.data.get().as_bytes());
    let action = match publish.key {
        Some(key) => Action::Put { key, body },
        None => Action::Post { format: Format::Json, body },
    };
    let condition = Precondition::read(publish.if_match.as_deref(), publish.if_none_match.as_deref())?;
    let idempotency = publish.idempotency_key.map(|key| Idempotency { principal: caller.identity(), key });
    let address = target.as_str().to_owned();
    let write = tidegate_hub::Publish { target, action, idempotency, condition };
    let published = crate::publish::write(gateway, caller, write).await;
    let asked = Asked { act: Act::Publish, address: &address, headers: None };
    gateway.audit.decided(caller, &asked, published.as_ref().err());
    let published = published?;
    let mut done = json!({
        "op": "done",
        "ref": publish.r#ref,
        "cursor": published.cursor,
        "count": published.count,
        "replayed": published.replayed,
    });
    if let Some(etag) = published.etag {
        done["etag"] = etag.into();
    }
    Ok(done)
}

/// A `done` frame.
pub(super) fn done(reference: Option<u64>) -> String {
    json!({ "op": "done", "ref": reference }).to_string()
}

/// A `done` frame for a watch that begins, which has a name among many.
pub(super) fn watching(reference: Option<u64>, name: Option<WatchName>) -> String {
    match name {
        None => done(reference),
        Some(name) => json!({ "op": "done", "ref": reference, "watch": format!("w{name}") }).to_string(),
    }
}

/// A `problem` frame.
pub(super) fn refuse(reference: Option<u64>, problem: &Problem) -> String {
    let mut answer = problem.to_json();
    answer["op"] = "problem".into();
    answer["ref"] = reference.into();
    answer.to_string()
}
