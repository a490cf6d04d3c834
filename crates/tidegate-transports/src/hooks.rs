//! What applications are told of a request when they are asked about it, and what their no means to a client.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_gate::{Allowed, Denied, Hook, Hooks, HooksConfig, Principal};

use tidegate_hub::{Action, Publish};

use crate::caller::Caller;

/// Hooks, with the headers that they are told of. `connect` is told of those of the request, so it is asked anew when
/// one of them is another.
pub struct Hooked {
    hooks: Hooks,
    forward: Vec<String>,
}

impl Hooked {
    /// Nobody is asked.
    pub fn none() -> Hooked {
        Hooked { hooks: Hooks::none(), forward: Vec::new() }
    }

    /// Of a config, which names the headers to be told.
    pub fn new(hooks: Hooks, config: &HooksConfig) -> Hooked {
        Hooked { hooks, forward: config.forward.clone() }
    }

    /// Whether an application is asked about everybody who comes.
    pub(crate) fn asks_about_all(&self) -> bool {
        self.hooks.has(Hook::Connect)
    }

    /// Asks whether somebody may come, and what is known of them beyond what they showed.
    pub(crate) async fn connect(
        &self,
        principal: &Principal,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Option<serde_json::Map<String, Value>>, Problem> {
        if !self.asks_about_all() {
            return Ok(None);
        }
        let told = self.forward.iter().filter_map(|name| Some((&**name, headers.get(name.as_str())?.to_str().ok()?)));
        let about = Connecting { principal: Who::of(principal), peer: peer.ip(), headers: told.collect() };
        let Allowed { claims } = self.ask(Hook::Connect, &about).await?;
        Ok((!claims.is_empty()).then_some(claims))
    }

    /// Asks whether somebody may watch or read there.
    pub(crate) async fn watch(&self, caller: &Caller, channel: &str, target: &Target) -> Result<(), Problem> {
        let about = Watching {
            principal: Who::of(caller.principal()),
            peer: caller.peer.ip(),
            channel,
            address: target.as_str(),
        };
        self.ask(Hook::Watch, &about).await.map(drop)
    }

    /// Asks whether somebody may publish that there.
    pub(crate) async fn publish(&self, caller: &Caller, channel: &str, publish: &Publish) -> Result<(), Problem> {
        let method = publish.action.method();
        let (key, body) = match &publish.action {
            Action::Post { body, .. } => (None, Some(body)),
            Action::Put { key, body } => (Some(&**key), Some(body)),
            Action::Delete { key } => (Some(&**key), None),
        };
        let about = Publishing {
            principal: Who::of(caller.principal()),
            peer: caller.peer.ip(),
            channel,
            address: publish.target.as_str(),
            method,
            key,
            body: body.map(|body| Told::of(body)),
        };
        self.ask(Hook::Publish, &about).await.map(drop)
    }

    async fn ask(&self, hook: Hook, about: &impl Serialize) -> Result<Allowed, Problem> {
        let about =
            serde_json::to_string(about).map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
        self.hooks.ask(hook, about).await.map_err(|denied| match denied {
            Denied::Refused { reason } => {
                let problem = Problem::new(ErrorCode::Forbidden, "the application does not allow this");
                match reason {
                    Some(reason) => problem.hint(reason),
                    None => problem.hint("ask those who run the application"),
                }
            }
            Denied::Down(_) => Problem::new(ErrorCode::GateUnavailable, "the application that decides cannot be asked"),
            Denied::TooLarge => Problem::new(ErrorCode::TooLarge, denied.to_string()).hint("publish less at once"),
        })
    }
}

/// What is asked about `connect`.
#[derive(Serialize)]
struct Connecting<'q> {
    principal: Who<'q>,
    peer: IpAddr,
    headers: BTreeMap<&'q str, &'q str>,
}

/// What is asked about `watch`.
#[derive(Serialize)]
struct Watching<'q> {
    principal: Who<'q>,
    peer: IpAddr,
    channel: &'q str,
    address: &'q str,
}

/// What is asked about `publish`.
#[derive(Serialize)]
struct Publishing<'q> {
    principal: Who<'q>,
    peer: IpAddr,
    channel: &'q str,
    address: &'q str,
    method: &'static str,
    key: Option<&'q str>,
    body: Option<Told<'q>>,
}

/// A body: JSON as it is, lines and what cannot be read as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'q> {
    Json(&'q RawValue),
    Text(Cow<'q, str>),
}

impl Told<'_> {
    fn of(body: &[u8]) -> Told<'_> {
        match serde_json::from_slice(body) {
            Ok(json) => Told::Json(json),
            Err(_) => Told::Text(String::from_utf8_lossy(body)),
        }
    }
}

/// Who asks, as far as it was vouched for.
#[derive(Serialize)]
struct Who<'q> {
    subject: Option<&'q str>,
    issuer: Option<&'q str>,
    token_id: Option<&'q str>,
    api_key: Option<&'q str>,
    scopes: Vec<&'q str>,
    claims: Option<Box<RawValue>>,
}

impl Who<'_> {
    fn of(principal: &Principal) -> Who<'_> {
        Who {
            subject: principal.subject(),
            issuer: principal.issuer(),
            token_id: principal.token_id(),
            api_key: principal.api_key_id(),
            scopes: principal.scopes().collect(),
            claims: RawValue::from_string(principal.claims()).ok(),
        }
    }
}
