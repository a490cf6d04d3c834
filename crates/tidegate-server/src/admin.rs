//! The admin side: health, metrics, the lists of watches and sources, API keys, revocations, reloads. It has its own listener,
//! since clients have no business here.

mod keys;
mod list;
mod reload;
mod revocations;
mod writing;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::{ApiKeys, Revocations};
use tidegate_hub::Hub;
use tidegate_sources::SourceStats;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::reload::Reloader;

/// Connections at once: a few scrapers and people.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must be complete within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Watches listed at once; `count` has the whole number.
const WATCHES_MAX: usize = 10_000;

/// What the admin side tells about.
pub(crate) struct Admin {
    pub(crate) hub: Hub,
    pub(crate) metrics: Metrics,
    pub(crate) sources: Vec<SourceEntry>,
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) reloader: Arc<Reloader>,
    /// Host names beside addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
}

/// A source as it is listed.
pub(crate) struct SourceEntry {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) stats: Arc<SourceStats>,
}

impl Admin {
    /// Answers until the future is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let socket = match listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin side could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admin = admin.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let admin = admin.clone();
                    async move { Ok::<_, Infallible>(admin.answer(request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(socket), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the admin side ended early");
                }
                drop(place);
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.ours(&request) {
            return problem(&Problem::new(ErrorCode::WrongHost, "the request names another host"));
        }
        match request.uri().path().split('/').nth(1) {
            Some("revocations") => return self.answer_revocations(request).await,
            Some("keys") => return self.answer_keys(request).await,
            Some("reload") if request.uri().path() == "/reload" => return self.answer_reload(&request).await,
            _ => {}
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("this is only read", "GET, HEAD");
        }
        match request.uri().path() {
            "/healthz" => text(200, "alive\n"),
            "/readyz" => match self.hub.ready() {
                Ok(()) => text(200, "ready\n"),
                Err(not_ready) => problem(&not_ready),
            },
            "/metrics" => self.metrics(),
            "/watches" => json(200, "application/json", &self.watches()),
            "/sources" => json(200, "application/json", &self.sources()),
            path => problem(
                &Problem::new(ErrorCode::ChannelNotFound, format!("the admin side has no `{path}`"))
                    .hint("it has /healthz, /readyz, /metrics, /watches, /sources, /keys, /revocations and /reload"),
            ),
        }
    }

    /// A page in the operator's browser can point a name of its own at this address; it cannot
    /// make the browser send an address or `localhost` as `Host`.
    fn ours(&self, request: &Request<Incoming>) -> bool {
        let Some(authority) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else { return false };
        if authority.parse::<std::net::SocketAddr>().is_ok() {
            return true;
        }
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name).to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
        literal || name == "localhost" || self.hosts.contains(&name)
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.metrics.render() {
            Ok(body) => with_type(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", body),
            Err(_) => problem(&Problem::new(ErrorCode::Internal, "the metrics could not be written")),
        }
    }

    fn watches(&self) -> serde_json::Value {
        let watches: Vec<_> = self
            .hub
            .watches()
            .list(WATCHES_MAX)
            .into_iter()
            .map(|entry| {
                json!({
                    "id": entry.id.to_string(),
                    "channel": entry.channel.config.name,
                    "address": entry.view.scope.target.as_str(),
                    "subject": entry.principal.subject(),
                    "transport": entry.transport,
                    "peer": entry.peer.map(|peer| peer.to_string()),
                    "since": entry.since.to_string(),
                })
            })
            .collect();
        json!({ "count": self.hub.watches().count(), "watches": watches })
    }

    /// What is not known is null.
    fn sources(&self) -> serde_json::Value {
        let sources: Vec<serde_json::Value> = self.sources.iter().map(SourceEntry::json).collect();
        json!({ "sources": sources })
    }
}

impl SourceEntry {
    fn json(&self) -> serde_json::Value {
        let stats = &self.stats;
        let last_batch_ms = stats.last_batch_ms.load(Ordering::Relaxed);
        json!({
            "name": self.name,
            "kind": self.kind,
            "state": stats.state().as_str(),
            "last_batch": (last_batch_ms > 0).then(|| Millis(last_batch_ms).to_string()),
            "lag_ms": SourceStats::known(&stats.lag_ms),
            "upstream_lag_bytes": SourceStats::known(&stats.upstream_lag_bytes),
            "upstream_retained_bytes": SourceStats::known(&stats.upstream_retained_bytes),
            "dead_letters": stats.dead_letters.load(Ordering::Relaxed),
            "resyncs": stats.resyncs.load(Ordering::Relaxed),
        })
    }
}

fn text(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", body.to_owned())
}

fn problem(problem: &Problem) -> Response<Full<Bytes>> {
    json(problem.code.status(), "application/problem+json", &problem.to_json())
}

fn not_allowed(detail: &str, methods: &'static str) -> Response<Full<Bytes>> {
    let mut answer = problem(&Problem::new(ErrorCode::MethodNotAllowed, detail));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn json(status: u16, content_type: &'static str, value: &serde_json::Value) -> Response<Full<Bytes>> {
    with_type(status, content_type, format!("{value}\n"))
}

fn with_type(status: u16, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
