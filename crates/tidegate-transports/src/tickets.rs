//! `/v1/_tickets`: for browsers whose watches cannot send headers; and the watches that are opened with one.

use http::{Method, Request};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tidegate_core::{Cursor, ErrorCode, Millis, Problem, Target};
use tidegate_gate::{Secret, Use};
use tidegate_hub::{FoundWatch, Order, Plan, WatchId};

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::caller::{self, Caller};
use crate::publish::body;
use crate::visitor::Visitor;

/// Where they are taken.
pub(crate) const PATH: &str = "/v1/_tickets";
/// What is done there.
const METHODS: &str = "POST, OPTIONS";
/// A body names an address.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// What a body looks like.
const SHOWN: &str = "send no body, or {\"address\":\"rooms/lobby/messages\"}";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Asked {
    address: Option<String>,
}

/// Gives a ticket to who is known, for whom a page of ours or of a listed origin asks.
pub(crate) async fn answer(
    gateway: &Gateway,
    request: &mut Request<Incoming>,
    visitor: &Visitor,
) -> Result<Answer, Problem> {
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return Ok(answer::preflight(METHODS)),
        _ => {
            let problem = Problem::new(ErrorCode::MethodNotAllowed, "a ticket is taken with POST").hint(SHOWN);
            return Ok(answer::not_allowed(&problem, METHODS));
        }
    }
    gateway.allowed.load().origin(request.headers())?;
    let caller = Caller::of(gateway, request.headers(), visitor).await?;
    if caller.principal().is_anonymous() {
        return Err(Problem::new(ErrorCode::Unauthenticated, "a ticket says who asks, and this is not said here")
            .hint("send `Authorization: Bearer TOKEN`; where anybody may watch, no ticket is needed"));
    }
    let (bytes, _share) = body(gateway, request, BODY_BYTES_MAX, &caller).await?;
    let invalid = |detail: String| Problem::new(ErrorCode::Invalid, detail).hint(SHOWN);
    let Asked { address } = match bytes.is_empty() {
        true => Asked::default(),
        false => {
            serde_json::from_slice(&bytes).map_err(|error| invalid(format!("the body cannot be read: {error}")))?
        }
    };
    let target =
        address.map(|text| Target::parse(&text).map_err(|error| invalid(format!("`{text}` is no address: {error}"))));
    let target = target.transpose()?;
    let now = Millis::now().seconds();
    let issued = gateway
        .gate
        .tickets()
        .issue(caller.principal(), target.as_ref().map(Target::as_str), now)
        .map_err(|refusal| caller::refused(&refusal))?;
    let expires = Millis::of_seconds(issued.ends).to_string();
    let ticket =
        json!({ "ticket": issued.text.expose(), "expires": expires, "expires_in": issued.ends.saturating_sub(now) });
    Ok(answer::with_body(201, "application/json", ticket.to_string()))
}

/// Who took the ticket of a request.
pub(crate) fn caller(
    gateway: &Gateway,
    request: &Request<Incoming>,
    visitor: &Visitor,
    ticket: String,
) -> Result<Caller, Problem> {
    visitor.account.take(tidegate_gate::Limit::Requests, 1)?;
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Problem::new(ErrorCode::Invalid, "a ticket is good for a watch, and this is none")
            .hint("show the token in `Authorization`"));
    }
    if caller::shows(headers) {
        return Err(Problem::new(ErrorCode::Invalid, "the request shows a ticket and another credential")
            .hint("leave the ticket out where headers or cookies can be sent"));
    }
    gateway.allowed.load().origin(headers)?;
    let refused = |refusal| {
        gateway.audit.stranger(&refusal, headers, visitor.address);
        caller::refused(&refusal)
    };
    let shown = gateway.gate.tickets().show(&Secret::new(ticket), Millis::now().seconds()).map_err(refused)?;
    Caller::with_ticket(gateway, visitor, shown)
}

/// Uses the caller's ticket, if it has one, for the watch that was planned; ends the one that it replaces.
pub(crate) fn seat(
    gateway: &Gateway,
    caller: &Caller,
    plan: &Plan,
    after: Option<Cursor>,
    id: WatchId,
) -> Result<(), Problem> {
    let Some(ticket) = caller.ticket() else { return Ok(()) };
    let named = |cursor: Cursor| format!("{:?}/{:?}", cursor.channel, cursor.view).into_boxed_str();
    let wanted = Use {
        target: plan.view.scope.target.as_str().into(),
        view: named(plan.channel.cursor(&plan.view, 0)),
        resumed: after.map(named),
        watch: id.to_string().into(),
    };
    let replaced = gateway
        .gate
        .tickets()
        .seat(ticket, wanted, Millis::now().seconds())
        .map_err(|refusal| caller::refused(&refusal))?;
    let Some(replaced) = replaced.and_then(|id| id.parse().ok()) else { return Ok(()) };
    if let Some(FoundWatch { handle, .. }) = gateway.hub.watches().find(replaced) {
        handle.tell(Order::End(Problem::new(ErrorCode::TicketUsed, "the watch goes on elsewhere with its ticket")));
    }
    Ok(())
}
