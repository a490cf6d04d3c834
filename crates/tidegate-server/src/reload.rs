//! The config is read again while the server runs.
//!
//! ```text
//!   SIGHUP, POST /reload ─► read, all checks ─► no good: nothing changes, and it is told where and why
//!                             └─► compare with what runs ─► some of it needs a restart: nothing changes, and it is named
//!                                   └─► put in force: policies, and who watches is judged anew
//! ```
//!
//! All or nothing: what runs is always one config as a whole, which is what a restart with the file would run.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::Limits;
use tidegate_transports::{Gateway, Rejudged};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::config::{Config, Difference, Environment};
use crate::wiring;

/// Reads the config again.
pub(crate) struct Reloader {
    gateway: Arc<Gateway>,
    /// `None`: what runs was made, and there is nothing to read.
    file: Option<PathBuf>,
    /// What runs. One reload at a time.
    running: Mutex<Config>,
    figures: Figures,
}

/// How often the config was read again, and what came of it.
#[derive(Default)]
pub(crate) struct Figures {
    applied: AtomicU64,
    mistaken: AtomicU64,
    restart: AtomicU64,
    /// When what runs was read, in milliseconds since 1970.
    read_ms: AtomicU64,
}

/// What a reload has changed.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// All that is written otherwise than before.
    pub(crate) changed: Vec<Difference>,
    /// Channels whose policies are others.
    pub(crate) channels: Vec<String>,
    /// Their watches.
    pub(crate) watches: Rejudged,
}

impl Reloader {
    pub(crate) fn new(gateway: Arc<Gateway>, running: Config) -> Reloader {
        let figures = Figures { read_ms: AtomicU64::new(Millis::now().0), ..Figures::default() };
        Reloader { gateway, file: running.file.clone(), running: Mutex::new(running), figures }
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Reloads whenever SIGHUP comes. Without a file it is left alone: then it ends the process, as its terminal closes.
    pub(crate) async fn run(self: Arc<Reloader>) {
        if self.file.is_none() {
            return;
        }
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!(%error, "SIGHUP cannot be heard; POST /reload on the admin side can"),
        };
        while hangup.recv().await.is_some() {
            // What came of it is in the log.
            let _ = self.clone().reload().await;
        }
    }

    /// Reads the file, and runs what it says. Once begun it comes to its end, whoever waits for it.
    ///
    /// # Errors
    /// `unprocessable` if it has mistakes, `conflict` if some of it needs a restart, `not-built` without a file. Then
    /// nothing has changed.
    pub(crate) async fn reload(self: Arc<Reloader>) -> Result<Reloaded, Problem> {
        let reloaded = spawn_blocking(move || self.reload_now()).await;
        reloaded.unwrap_or_else(|error| Err(Problem::new(ErrorCode::Internal, format!("the reload panicked: {error}"))))
    }

    fn reload_now(&self) -> Result<Reloaded, Problem> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let reloaded = self.reload_from(&mut running);
        match &reloaded {
            Ok(reloaded) => {
                self.figures.applied.fetch_add(1, Ordering::Relaxed);
                self.figures.read_ms.store(Millis::now().0, Ordering::Relaxed);
                self.gateway.audit.reloaded(Ok(reloaded));
                tracing::info!("the config was read again: {reloaded}");
            }
            Err(problem) => {
                let restart = problem.code == ErrorCode::Conflict;
                let figure = if restart { &self.figures.restart } else { &self.figures.mistaken };
                figure.fetch_add(1, Ordering::Relaxed);
                self.gateway.audit.reloaded(Err(problem));
                let Problem { detail, hint, .. } = problem;
                tracing::error!("the config was read again, and nothing has changed: {detail}\n{hint}");
            }
        }
        reloaded
    }

    fn reload_from(&self, running: &mut Config) -> Result<Reloaded, Problem> {
        let Some(file) = &self.file else {
            return Err(Problem::new(
                ErrorCode::NotBuilt,
                "this server runs a config that was made, not one of a file",
            )
            .hint("write it to a file, and start with `tidegate serve --config FILE`"));
        };
        let config = Config::load(file, &Environment::of_process()).map_err(|error| {
            Problem::new(ErrorCode::Unprocessable, error.to_string())
                .hint("put the file right and reload; `tidegate check` says the same without a reload")
        })?;
        let changed = config.written.differences(&running.written);
        let fixed: Vec<String> =
            changed.iter().filter(|difference| !is_applied(&difference.path())).map(place).collect();
        if !fixed.is_empty() {
            let detail = format!("{}: only a restart changes {}", file.display(), fixed.join(", "));
            return Err(Problem::new(ErrorCode::Conflict, detail).hint(
                "restart the server, or put these back and reload: a reload does all that the file says, or nothing",
            ));
        }
        let Gateway { limits, allowed, audit, .. } = &*self.gateway;
        audit.tell_share(config.audit.allows);
        if config.origins != running.origins {
            allowed.store(Arc::new(wiring::allowed(&config)));
        }
        if config.limits != running.limits {
            limits.store(Arc::new(Limits::new(config.limits)));
        }
        let policies = config.channels.iter().map(|channel| (&*channel.name, &channel.access)).collect();
        let revision = self.gateway.hub.revise(&policies);
        let channels = revision.channels().map(|channel| channel.config.name.clone()).collect();
        let told = Handle::current().block_on(self.gateway.ask_applications(&revision));
        let watches = self.gateway.put_in_force(revision, told);
        *running = config;
        Ok(Reloaded { changed, channels, watches })
    }
}

/// Whether a reload changes what stands there.
fn is_applied(path: &[&str]) -> bool {
    matches!(path, ["channels", _, "access", ..] | ["gate", "limits", ..] | ["origins", ..] | ["audit", "allows"])
}

fn place(difference: &Difference) -> String {
    match difference.line() {
        Some(line) => format!("`{difference}` (line {line})"),
        None => format!("`{difference}` (not there any more)"),
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changed.is_empty() {
            return f.write_str("it is as it was");
        }
        let Rejudged { judged, changed, closed } = self.watches;
        let names: Vec<String> = self.changed.iter().map(|difference| format!("`{difference}`")).collect();
        write!(
            f,
            "{}; of {judged} watches of such channels {changed} see something else, {closed} are closed",
            names.join(", ")
        )
    }
}

impl Figures {
    /// How often, by result.
    pub(crate) fn results(&self) -> [(&'static str, u64); 3] {
        [("applied", &self.applied), ("mistaken", &self.mistaken), ("restart", &self.restart)]
            .map(|(result, count)| (result, count.load(Ordering::Relaxed)))
    }

    /// When what runs was read, in seconds since 1970.
    pub(crate) fn read_seconds(&self) -> u64 {
        self.read_ms.load(Ordering::Relaxed) / 1_000
    }
}
