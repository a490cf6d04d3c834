//! A fresh token for watches that go on: told on the WebSocket itself, or by a request that names the watch.
//!
//! It has to be of the same caller. What the watch sees is judged anew with its claims.

use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use tidegate_core::{ErrorCode, Principal, Problem};
use tidegate_hub::{Order, Renewal, WatchEntry, WatchId};
use tidegate_wire::Connection;

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::visitor::Visitor;

/// `/v1/_watches/{id}/token`, whose path below `_watches/` this is.
pub(crate) async fn answer(
    gateway: &Gateway,
    path: &str,
    request: &Request<Incoming>,
    visitor: &Visitor,
) -> Result<Answer, Problem> {
    let Some((id, "token")) = path.split_once('/') else {
        return Err(Problem::new(ErrorCode::WatchNotFound, format!("there is no `/v1/_watches/{path}`"))
            .hint("POST /v1/_watches/{id}/token gives the watch a fresh token"));
    };
    match *request.method() {
        Method::POST => {
            gateway.allowed.origin(request.headers())?;
            renew(gateway, id, request.headers(), visitor).await.map(|()| answer::empty(204))
        }
        Method::OPTIONS => Ok(answer::preflight("POST, OPTIONS")),
        _ => {
            let problem = Problem::new(ErrorCode::MethodNotAllowed, "a watch is given a fresh token by a POST");
            let mut answer = answer::problem(&problem.hint("send it as `Authorization: Bearer TOKEN`"));
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            Ok(answer)
        }
    }
}

async fn renew(gateway: &Gateway, id: &str, headers: &HeaderMap, visitor: &Visitor) -> Result<(), Problem> {
    let caller = Caller::of(gateway, headers, visitor).await?;
    if caller.principal().is_anonymous() {
        return Err(Problem::new(ErrorCode::Unauthenticated, "no fresh token was sent")
            .hint("send `Authorization: Bearer TOKEN`"));
    }
    let id_read = id.parse::<WatchId>().ok();
    let found = id_read.and_then(|id| gateway.hub.watches().find(id));
    let mut denied = None;
    if let Some((entry, _)) = &found {
        same(&entry.principal, &caller)?;
        denied = asked(gateway, &caller, entry).await?;
    }
    let ordered = id_read.and_then(|id| {
        gateway.hub.watches().order(id, |entry| {
            same(&entry.principal, &caller)?;
            Ok(denied.map_or_else(|| judged(gateway, &caller, entry), Order::End))
        })
    });
    ordered.unwrap_or_else(|| {
        Err(Problem::new(ErrorCode::WatchNotFound, format!("there is no watch `{id}`"))
            .hint("the id is in `begin`; a watch that has ended goes on by another one with its last cursor"))
    })
}

/// Gives a WebSocket and all its watches a fresh token. Returns who it is from then on.
pub(crate) async fn renew_socket(
    gateway: &Gateway,
    before: &Caller,
    token: &str,
    connection: &Connection,
) -> Result<Caller, Problem> {
    let caller = before.of_token(gateway, token).await?;
    same(before.principal(), &caller)?;
    let watches = gateway.hub.watches();
    let mut denied = Vec::new();
    for entry in watches.list_where(|entry, handle| entry.channel.config.access.asks.watch && connection.has(handle)) {
        denied.extend(asked(gateway, &caller, &entry).await?.map(|problem| (entry.id, problem)));
    }
    watches.order_all(
        |handle| connection.has(handle),
        |entry| match denied.iter().position(|(id, _)| *id == entry.id) {
            Some(at) => Order::End(denied.swap_remove(at).1),
            None => judged(gateway, &caller, entry),
        },
    );
    Ok(caller)
}

/// If the channel asks an application: its no.
///
/// # Errors
/// It cannot be asked; then all stays as it is.
async fn asked(gateway: &Gateway, caller: &Caller, entry: &WatchEntry) -> Result<Option<Problem>, Problem> {
    let config = &entry.channel.config;
    if !config.access.asks.watch {
        return Ok(None);
    }
    match gateway.hooks.watch(caller, &config.name, &entry.view.scope.target).await {
        Ok(()) => Ok(None),
        Err(problem) if problem.code == ErrorCode::Forbidden => Ok(Some(problem)),
        Err(problem) => Err(problem),
    }
}

/// A watch is given over to nobody.
fn same(before: &Principal, caller: &Caller) -> Result<(), Problem> {
    match before.identity() == caller.identity() {
        true => Ok(()),
        false => Err(Problem::new(ErrorCode::Forbidden, "the token is of somebody else than the one before")
            .hint("send a token of the same subject and issuer; somebody else begins a watch of their own")),
    }
}

/// What a watch comes to with a fresh token of its caller.
fn judged(gateway: &Gateway, caller: &Caller, entry: &mut WatchEntry) -> Order {
    let regard = match gateway.hub.judge(entry, caller.policy()) {
        Ok(regard) => regard,
        Err(problem) => return Order::End(problem),
    };
    entry.principal = caller.principal().clone();
    if let Some(regard) = &regard {
        entry.view = regard.view.clone();
    }
    Order::Renew(Box::new(Renewal { until: caller.until(), regard }))
}
