//! Hooks: the application is asked instead, or too.
//!
//! ```text
//!   question ─► answered a moment ago? ── yes ──────────────────────┐
//!                  │ no                                             ▼
//!               asked by somebody now? ── yes: waits with him ─► verdict: allowed, with claims │ refused
//!                  │ no                                             ▲
//!               breaker open? ── yes ─► down                        │
//!                  │ no                                             │
//!               signed POST, bounded in time and size ── 200 ───────┘
//!                                                     └─ else ─► down: refused, or allowed where the config says so
//! ```
//!
//! A question is signed as Standard Webhooks 1.0 has it, so that libraries of most languages check it. The answer is
//! `{"allow":true}` or `{"allow":false,"reason":"…"}`, with status 200; that of `connect` may have `claims`, which are put
//! over those of the caller. Anything else is no answer. What is published is never kept, so it is asked about each time.

mod breaker;
mod sign;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::Millis;

use crate::cache::Cache;
use crate::config::{ConfigError, FetchConfig};
use crate::digest::Digest;
use crate::fetch::Fetcher;
use crate::flight::Flights;
use crate::secret::Secret;
use breaker::Breaker;
use sign::Signer;

/// What is known from earlier answers, in bytes, for each hook.
const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A larger question is not asked: what is published is in it.
const QUESTION_BYTES_MAX: usize = 1024 * 1024;
/// What a client is told of a reason at most, in characters.
const REASON_MAX: usize = 200;

/// Which applications are asked, and how.
#[derive(Clone, Debug)]
pub struct HooksConfig {
    /// Who may connect, and what is claimed about them.
    pub connect: Option<String>,
    /// Who may watch and read.
    pub watch: Option<String>,
    /// Who may publish what.
    pub publish: Option<String>,
    /// Signs what is asked: `whsec_` and base64 of 24 to 64 bytes.
    pub secret: Secret,
    /// One that answers later has not answered.
    pub timeout: Duration,
    /// How long an answer to `connect` and `watch` holds.
    pub cache: Duration,
    /// Whether what cannot be asked is allowed.
    pub allow_when_down: bool,
    /// Headers that whoever asks tells `connect` of, in lower case.
    pub forward: Vec<String>,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Somebody comes.
    Connect,
    /// Somebody wants to watch or read.
    Watch,
    /// Somebody wants to publish.
    Publish,
}

/// An application allows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Allowed {
    /// What it says of the caller: members of a JSON object.
    pub claims: serde_json::Map<String, Value>,
}

/// It is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The application said no.
    #[error("the application refuses it")]
    Refused {
        /// For the client, if it said why.
        reason: Option<Box<str>>,
    },
    /// It could not be asked, or gave no answer; the text is for the operator.
    #[error("{0}")]
    Down(Box<str>),
    /// The question is longer than one may be.
    #[error("a question to the application has at most {QUESTION_BYTES_MAX} bytes")]
    TooLarge,
}

type Verdict = Result<Allowed, Denied>;

/// All hooks of the config.
pub struct Hooks {
    connect: Option<Asker>,
    watch: Option<Asker>,
    publish: Option<Asker>,
}

/// One hook.
struct Asker {
    name: &'static str,
    application: Arc<Application>,
    cache: Cache<Verdict>,
    cache_seconds: u64,
    flights: Arc<Flights<Digest, Verdict>>,
    allow_when_down: bool,
}

/// Where it is asked.
struct Application {
    url: String,
    fetcher: Fetcher,
    signer: Signer,
    breaker: Breaker,
}

impl Hooks {
    /// Nobody is asked.
    pub fn none() -> Hooks {
        Hooks { connect: None, watch: None, publish: None }
    }

    /// Checks the config; asks nothing yet. Of `fetch`, the timeout is the hooks' own.
    ///
    /// # Errors
    /// A URL that leads inside or is not encrypted, unless its host is allowed; a secret that is none.
    pub fn new(config: &HooksConfig, fetch: &FetchConfig) -> Result<Hooks, ConfigError> {
        let signer = Signer::new(&config.secret)?;
        let urls: Vec<String> =
            [&config.connect, &config.watch, &config.publish].into_iter().flatten().cloned().collect();
        let fetcher = Fetcher::new(&FetchConfig { timeout: config.timeout, ..fetch.clone() }, &urls)?;
        let asker = |name, url: &Option<String>| {
            let (url, fetcher, signer) = (url.clone()?, fetcher.clone(), signer.clone());
            Some(Asker {
                name,
                application: Arc::new(Application { url, fetcher, signer, breaker: Breaker::default() }),
                cache: Cache::new(CACHE_BYTES_MAX),
                cache_seconds: config.cache.as_secs(),
                flights: Flights::new(),
                allow_when_down: config.allow_when_down,
            })
        };
        Ok(Hooks {
            connect: asker("connect", &config.connect),
            watch: asker("watch", &config.watch),
            publish: asker("publish", &config.publish),
        })
    }

    /// Whether there is such a hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.asker(hook).is_some()
    }

    /// Asks, with JSON that says what about; what nobody is asked about is allowed.
    ///
    /// # Errors
    /// It is not allowed, or not known to be.
    pub async fn ask(&self, hook: Hook, data: String) -> Result<Allowed, Denied> {
        match self.asker(hook) {
            None => Ok(Allowed::default()),
            Some(asker) => asker.ask(data, hook != Hook::Publish, Millis::now().seconds()).await,
        }
    }

    fn asker(&self, hook: Hook) -> Option<&Asker> {
        match hook {
            Hook::Connect => self.connect.as_ref(),
            Hook::Watch => self.watch.as_ref(),
            Hook::Publish => self.publish.as_ref(),
        }
    }
}

impl Asker {
    async fn ask(&self, data: String, keep: bool, now: u64) -> Verdict {
        if data.len() > QUESTION_BYTES_MAX {
            return Err(Denied::TooLarge);
        }
        let digest = Digest::of(&[data.as_bytes()]);
        if keep && let Some(verdict) = self.cache.get(&digest, now) {
            return verdict;
        }
        let verdict = match keep {
            false => self.application.ask(self.name, &data).await,
            true => {
                let (application, name) = (self.application.clone(), self.name);
                let seat = self.flights.board(digest, || Some(async move { application.ask(name, &data).await }));
                match seat {
                    Some(seat) => seat.answer().await.unwrap_or_else(|| Err(Denied::Down("asking broke off".into()))),
                    None => Err(Denied::Down("too many questions at once".into())),
                }
            }
        };
        match verdict {
            Err(Denied::Down(why)) => {
                tracing::warn!(hook = self.name, why = &*why, allowed = self.allow_when_down, "a hook is down");
                if self.allow_when_down { Ok(Allowed::default()) } else { Err(Denied::Down(why)) }
            }
            verdict => {
                if keep && self.cache_seconds > 0 {
                    self.cache.put(digest, verdict.clone(), weight(&verdict), now + self.cache_seconds);
                }
                verdict
            }
        }
    }
}

impl Application {
    async fn ask(&self, name: &str, data: &str) -> Verdict {
        if !self.breaker.admits(Instant::now()) {
            return Err(Denied::Down("it has failed several times in a row; it is tried again in a moment".into()));
        }
        let timestamp = Millis::now().seconds();
        let body = format!(r#"{{"type":"tidegate.{name}","timestamp":{timestamp},"data":{data}}}"#);
        let headers = self.signer.headers(timestamp, &body);
        let answer = self.fetcher.post_json(&self.url, &headers, body).await;
        let verdict = answer.map_err(|error| Denied::Down(error.to_string().into())).and_then(|body| read(&body));
        self.breaker.ended(!matches!(verdict, Err(Denied::Down(_))), Instant::now());
        verdict
    }
}

#[derive(Deserialize)]
struct Answer {
    allow: bool,
    reason: Option<String>,
    #[serde(default)]
    claims: serde_json::Map<String, Value>,
}

fn read(body: &Bytes) -> Verdict {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| Denied::Down(format!("its answer is not {{\"allow\":true}} or the like: {error}").into()))?;
    if answer.allow {
        return Ok(Allowed { claims: answer.claims });
    }
    let plain = |reason: String| reason.chars().filter(|one| !one.is_control()).take(REASON_MAX).collect::<String>();
    Err(Denied::Refused { reason: answer.reason.map(|reason| plain(reason).into()) })
}

fn weight(verdict: &Verdict) -> usize {
    match verdict {
        Ok(allowed) if !allowed.claims.is_empty() => json!(allowed.claims).to_string().len() * 2,
        _ => REASON_MAX,
    }
}
