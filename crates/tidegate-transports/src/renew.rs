//! A fresh token for watches that go on: told on the WebSocket itself, or by a request that names the watch.
//!
//! It has to be of the same caller. What the watch sees is judged anew with its claims.

use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use tidegate_core::{ErrorCode, Principal, Problem, Target};
use tidegate_hub::{Judgement, Order, Renewal, WatchEntry, WatchId};
use tidegate_wire::Connection;

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::audit::{Act, Asked};
use crate::caller::Caller;
use crate::visitor::Visitor;

/// What is done at `/v1/_watches/{id}/token`.
const METHODS: &str = "POST, OPTIONS";

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
            gateway.allowed.load().origin(request.headers())?;
            renew(gateway, id, request.headers(), visitor).await.map(|()| answer::empty(204))
        }
        Method::OPTIONS => Ok(answer::preflight(METHODS)),
        _ => {
            let problem = Problem::new(ErrorCode::MethodNotAllowed, "a watch is given a fresh token by a POST");
            Ok(answer::not_allowed(&problem.hint("send it as `Authorization: Bearer TOKEN`"), METHODS))
        }
    }
}

async fn renew(gateway: &Gateway, id: &str, headers: &HeaderMap, visitor: &Visitor) -> Result<(), Problem> {
    let caller = Caller::of(gateway, headers, visitor).await?;
    if caller.principal().is_anonymous() {
        return Err(Problem::new(ErrorCode::Unauthenticated, "no fresh token was sent")
            .hint("send `Authorization: Bearer TOKEN`"));
    }
    let unknown = || {
        Problem::new(ErrorCode::WatchNotFound, format!("there is no watch `{id}`"))
            .hint("the id is in `begin`; a watch that has ended goes on by another one with its last cursor")
    };
    let id = id.parse::<WatchId>().map_err(|_| unknown())?;
    let found = gateway.hub.watches().find(id).ok_or_else(unknown)?;
    let mut decisions = Decisions { gateway, caller: &caller, headers: Some(headers), made: Vec::new() };
    let renewed = match same(&found.entry.principal, &caller) {
        Err(problem) => Err(problem),
        Ok(()) => {
            let denied = asked(gateway, &caller, &found.entry).await?;
            // Its principal may be another by now, but one of the same caller.
            gateway.hub.watches().order(&found, |entry| Ok(decisions.judge(entry, denied))).ok_or_else(unknown)?
        }
    };
    if let Err(problem) = &renewed {
        decisions.made.push((found.entry.view.scope.target, Some(problem.clone())));
    }
    decisions.tell();
    renewed
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
    for entry in
        watches.list_where(|entry, handle| entry.channel.policies().access.asks.watch && connection.has(handle))
    {
        denied.extend(asked(gateway, &caller, &entry).await?.map(|problem| (entry.id, problem)));
    }
    let mut decisions = Decisions { gateway, caller: &caller, headers: None, made: Vec::new() };
    watches.order_all(
        |handle| connection.has(handle),
        |entry| {
            let at = denied.iter().position(|(id, _)| *id == entry.id);
            decisions.judge(entry, at.map(|at| denied.swap_remove(at).1))
        },
    );
    decisions.tell();
    Ok(caller)
}

/// If the channel asks an application: its no.
///
/// # Errors
/// It cannot be asked; then all stays as it is.
async fn asked(gateway: &Gateway, caller: &Caller, entry: &WatchEntry) -> Result<Option<Problem>, Problem> {
    let config = &entry.channel.config;
    if !entry.channel.policies().access.asks.watch {
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

/// What was decided of watches, told when their list is not at hand any more.
struct Decisions<'r> {
    gateway: &'r Gateway,
    caller: &'r Caller,
    headers: Option<&'r HeaderMap>,
    made: Vec<(Target, Option<Problem>)>,
}

impl Decisions<'_> {
    /// What a watch comes to with a fresh token of its caller; `denied`: by an application.
    fn judge(&mut self, entry: &mut WatchEntry, denied: Option<Problem>) -> Order {
        let target = entry.view.scope.target.clone();
        let judged = match denied {
            Some(problem) => Err(problem),
            None => self.gateway.hub.judge(entry, self.caller.policy()),
        };
        self.made.push((target, judged.as_ref().err().cloned()));
        let Judgement { regard, standing } = match judged {
            Ok(judgement) => judgement,
            Err(problem) => return Order::End(problem),
        };
        entry.principal = self.caller.principal().clone();
        if let Some(regard) = &regard {
            entry.view = regard.view.clone();
        }
        Order::Renew(Box::new(Renewal { until: self.caller.until_of(&entry.channel), regard, standing }))
    }

    /// Tells the audit.
    fn tell(self) {
        for (target, refused) in &self.made {
            let asked = Asked { act: Act::Read, address: target.as_str(), headers: self.headers };
            self.gateway.audit.decided(self.caller, &asked, refused.as_ref());
        }
    }
}
