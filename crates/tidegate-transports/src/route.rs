//! Which part of the server a request is for.

use std::net::SocketAddr;

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use tidegate_core::{Address, ErrorCode, Problem, Target};
use tidegate_gate::Limit;
use tidegate_wire::Coding;

use crate::Gateway;
use crate::action;
use crate::answer::{self, Answer};
use crate::audit::{Act, Asked};
use crate::caller::Caller;
use crate::coding::Accepted;
use crate::compress::{Wish, compress};
use crate::connection::Outcome;
use crate::negotiate::{Representation, accepted};
use crate::options::{Options, shown_in};
use crate::resource::{self, Base};
use crate::tls::Encrypted;
use crate::visitor::{self, Visitor};
use crate::{http2, list, page, poll, problems, publish, read, renew, stream, tickets, websocket};

/// Answers a request, or asks for its socket.
pub(crate) async fn route(gateway: &Gateway, mut request: Request<Incoming>, peer: SocketAddr) -> Outcome {
    let origin = request.headers().get(ORIGIN).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let person = page::wanted(&request);
    let wish = Wish::of(request.headers());
    let visitor = Visitor::of(gateway, peer, &request);
    let mut outcome = match admit(gateway, &mut request, &visitor).await {
        Ok(outcome) => outcome,
        Err(problem) if person && problem.code != ErrorCode::WrongHost => {
            Outcome::Answer(page::refusal(gateway, &problem))
        }
        Err(problem) if problem.code == ErrorCode::RateLimited && listens(&request) => {
            Outcome::Answer(stream::come_back(&problem))
        }
        Err(problem) => Outcome::Answer(answer::problem(&problem)),
    };
    if let Outcome::Answer(answer) = &mut outcome {
        if answer.headers().contains_key(WWW_AUTHENTICATE)
            && let Some(base) = Base::of(gateway, &request)
        {
            base.name_in(answer.headers_mut());
        }
        visitor::tell(&visitor.account, answer);
    }
    if let Outcome::Answer(answer) = outcome {
        outcome = Outcome::Answer(compress(gateway, &wish, answer).await);
    }
    if let Outcome::Answer(answer) = &mut outcome
        && !gateway.allowed.load().origins.is_empty()
    {
        answer::varies_by_origin(answer);
        if let Some(origin) = origin.filter(|origin| gateway.allowed.load().lists(origin)) {
            answer::readable_by(answer, &origin);
        }
    }
    http2::discard(request);
    outcome
}

async fn admit(gateway: &Gateway, request: &mut Request<Incoming>, visitor: &Visitor) -> Result<Outcome, Problem> {
    gateway.allowed.load().host(request.headers())?;
    let path = request.uri().path().to_owned();
    let ticket = shown_in(request.uri().query().unwrap_or_default())?;
    if path == tickets::PATH {
        return tickets::answer(gateway, request, visitor).await.map(Outcome::Answer);
    }
    if path == "/v1/_ws" && websocket::wanted(request) {
        gateway.allowed.load().origin(request.headers())?;
        if gateway.hub.drain().draining() {
            return Err(gateway.hub.draining_problem());
        }
        if ticket.is_some() {
            return Err(Problem::new(ErrorCode::Invalid, "a ticket is good for one watch, and here are many")
                .hint("open a WebSocket on the address itself with it; here use the cookie `tidegate_token`"));
        }
        let caller = Caller::of(gateway, request.headers(), visitor).await?;
        return Ok(websocket::open_many(gateway, request, caller));
    }
    match address_path(&path) {
        Some(address_path) => {
            let caller = match ticket {
                Some(ticket) => tickets::caller(gateway, request, visitor, ticket)?,
                None => Caller::of(gateway, request.headers(), visitor).await?,
            };
            let decided = address(gateway, address_path, request, &caller).await;
            if let Some(act) = Act::of(request.method()) {
                let asked = Asked { act, address: address_path, headers: Some(request.headers()) };
                gateway.audit.decided(&caller, &asked, decided.as_ref().err());
            }
            decided
        }
        None => own(gateway, &path, request, visitor).await.map(Outcome::Answer),
    }
}

/// What names an address: all below `/v1/` but the server's own.
fn address_path(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/").filter(|rest| !rest.is_empty() && !rest.starts_with('_'))
}

/// The answer to a read that is kept, in the least that one takes. `None` for everything else, and for
/// what is refused: the general way says why.
pub(crate) fn kept(gateway: &Gateway, request: &Request<Incoming>) -> Option<Answer> {
    let headers = request.headers();
    let shows = |name| headers.contains_key(name);
    if request.method() != Method::GET
        || gateway.hooks.asks_about_all()
        || [ORIGIN, AUTHORIZATION, COOKIE].iter().any(shows)
        || websocket::wanted(request)
        // Who is behind it, and what is left to them, is not known here.
        || gateway.limits.load().has(Limit::Requests)
        || request.extensions().get::<Encrypted>().is_some_and(|encrypted| encrypted.client.is_some())
    {
        return None;
    }
    let coding = Accepted::read(headers).choose(gateway.tails.options().compress, Coding::Zstd);
    if coding.ok()? != Coding::Identity {
        return None;
    }
    gateway.allowed.load().host(headers).ok()?;
    let path = address_path(request.uri().path())?;
    let options = Options::read(request.uri().query(), headers).ok()?;
    let polls = options.after.is_some() || options.wait.is_some();
    if polls || options.ticket || representation(&options, headers).ok()? != Representation::Json {
        return None;
    }
    let mut answer = read::kept(gateway, Target::parse(path).ok()?, &options, request)?;
    if !gateway.allowed.load().origins.is_empty() {
        answer::varies_by_origin(&mut answer);
    }
    Some(answer)
}

/// Whether an `EventSource` asks, which gives up for good on anything but 200.
fn listens(request: &Request<Incoming>) -> bool {
    let options = Options::read(request.uri().query(), request.headers());
    request.method() == Method::GET
        && address_path(request.uri().path()).is_some()
        && options.is_ok_and(|options| representation(&options, request.headers()) == Ok(Representation::Sse))
}

fn representation(options: &Options, headers: &HeaderMap) -> Result<Representation, Problem> {
    match options.representation {
        Some(representation) => Ok(representation),
        None => accepted(headers.get(ACCEPT).and_then(|value| value.to_str().ok())),
    }
}

/// The server's own paths. But for its actions they are only read.
async fn own(gateway: &Gateway, path: &str, request: &Request<Incoming>, visitor: &Visitor) -> Result<Answer, Problem> {
    if let Some(action) = gateway.actions.iter().find(|action| action.path == path) {
        return action::post(gateway, action, request);
    }
    if let Some(path) = path.strip_prefix("/v1/_watches/") {
        return renew::answer(gateway, path, request, visitor).await;
    }
    let read = read_own(gateway, path, request, visitor).await;
    let absent = read.as_ref().is_err_and(|problem| problem.code == ErrorCode::ChannelNotFound);
    if !absent && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let problem = Problem::new(ErrorCode::MethodNotAllowed, format!("`{path}` is only read, not written"))
            .hint("publish to an address below /v1/, such as /v1/rooms/lobby/messages; GET /v1/ lists them");
        return Ok(answer::not_allowed(&problem, "GET, HEAD"));
    }
    read
}

async fn read_own(
    gateway: &Gateway,
    path: &str,
    request: &Request<Incoming>,
    visitor: &Visitor,
) -> Result<Answer, Problem> {
    match path {
        "/v1" | "/v1/" => list::list(gateway, request, &Caller::of(gateway, request.headers(), visitor).await?),
        "/readyz" => Ok(readiness(gateway)),
        resource::PATH => match Base::of(gateway, request) {
            Some(base) => Ok(base.answer(gateway)),
            None => Err(Problem::new(ErrorCode::ChannelNotFound, "this server takes the tokens of nobody")
                .hint("the operator names issuers in `gate`")),
        },
        path => match path.strip_prefix("/v1/_") {
            Some(reserved) => ours(reserved, request),
            None => page::asset(gateway, path),
        },
    }
}

/// `/v1/_…`: paths that can be no address.
fn ours(path: &str, request: &Request<Incoming>) -> Result<Answer, Problem> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "problems" => problems::page(rest, request.headers()),
        "ws" => Err(Problem::new(ErrorCode::Invalid, "`/v1/_ws` is a WebSocket of many watches")
            .hint("open it with a WebSocket client, and send {\"do\":\"watch\",\"ref\":1,\"address\":\"…\"}")),
        "watches" => Err(Problem::new(ErrorCode::WatchNotFound, "which watch is not said")
            .hint("POST /v1/_watches/{id}/token gives the watch a fresh token")),
        "cursors" | "presence" => Err(Problem::new(ErrorCode::NotBuilt, format!("`/v1/_{first}` is not built yet"))
            .hint("watches are built: GET an address, or open a WebSocket on it or on /v1/_ws")),
        _ => Err(Problem::new(ErrorCode::ChannelNotFound, format!("there is no `/v1/_{first}`"))
            .hint("paths that begin with `_` are the server's own; addresses never do")),
    }
}

async fn address(
    gateway: &Gateway,
    path: &str,
    request: &mut Request<Incoming>,
    caller: &Caller,
) -> Result<Outcome, Problem> {
    let target = Target::parse(path).map_err(|error| {
        Problem::new(ErrorCode::Invalid, format!("`{path}` is no address: {error}"))
            .hint("an address is segments between `/`, each percent-encoded once, such as rooms/lobby/messages")
    })?;
    match *request.method() {
        Method::GET | Method::HEAD => watch(gateway, target, request, caller).await,
        Method::POST | Method::PUT | Method::DELETE => {
            gateway.allowed.load().origin(request.headers())?;
            publish::publish(gateway, target, request, caller).await.map(Outcome::Answer)
        }
        Method::OPTIONS => Ok(Outcome::Answer(answer::preflight(allow(gateway, &target)))),
        _ => {
            let problem = Problem::new(ErrorCode::MethodNotAllowed, format!("there is no {}", request.method()));
            Ok(Outcome::Answer(publish::refused(gateway, &target, &problem)))
        }
    }
}

async fn watch(
    gateway: &Gateway,
    target: Target,
    request: &Request<Incoming>,
    caller: &Caller,
) -> Result<Outcome, Problem> {
    let headers = request.headers();
    let options = Options::read(request.uri().query(), headers)?;
    if websocket::wanted(request) {
        gateway.allowed.load().origin(headers)?;
        return websocket::open(gateway, target, options, request, caller).await;
    }
    Accepted::read(headers).choose(gateway.tails.options().compress, Coding::Identity)?;
    let representation = representation(&options, headers)?;
    if options.ticket && !matches!(representation, Representation::Sse | Representation::Ndjson) {
        return Err(Problem::new(
            ErrorCode::Invalid,
            "a ticket is good for one stream, and this is an answer that ends",
        )
        .hint("ask for `text/event-stream`, or open a WebSocket; answers that end take `Authorization`"));
    }
    let answer = match representation {
        Representation::Html => page::live(gateway, &target, caller)?,
        Representation::Sse | Representation::Ndjson => {
            return stream::open(gateway, target, options, representation, request, caller).await;
        }
        Representation::Poll => poll::poll(gateway, target, options, caller).await?,
        Representation::Json if options.after.is_some() || options.wait.is_some() => {
            poll::poll(gateway, target, options, caller).await?
        }
        Representation::Json => read::read(gateway, target, options, request, caller).await?,
    };
    Ok(Outcome::Answer(answer))
}

/// Which methods an address takes.
pub(crate) fn allow(gateway: &Gateway, target: &Target) -> &'static str {
    let channel = gateway.hub.catalog().resolve(target).ok();
    let publishable = channel.filter(|channel| channel.config.source.is_none() && matches!(target, Target::Address(_)));
    match publishable {
        None => "GET, HEAD, OPTIONS",
        Some(channel) if channel.keyed() => "GET, HEAD, OPTIONS, POST, PUT, DELETE",
        Some(_) => "GET, HEAD, OPTIONS, POST",
    }
}

fn readiness(gateway: &Gateway) -> Answer {
    match gateway.hub.ready() {
        Ok(()) => answer::with_body(200, "text/plain; charset=utf-8", "ready\n"),
        Err(problem) => answer::problem(&problem),
    }
}

/// The address of a target, for what needs exactly one.
pub(crate) fn single(target: &Target) -> Option<&Address> {
    match target {
        Target::Address(address) => Some(address),
        Target::Pattern(_) => None,
    }
}
