//! One server, from its config to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tidegate_gate::{Gate, Hooks, Limits};
use tidegate_hub::{Drain, Hub};
use tidegate_log::{Log, OpenError};
use tidegate_sources::Running;
use tidegate_transports::{Action, Answers, Audit, Budget, Clients, Gateway, Hooked, Multiplexed};
use tidegate_wire::Tails;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admin::{Admin, SourceEntry};
use crate::asked;
use crate::assets::assets;
use crate::config::Config;
use crate::keys;
use crate::listen::{ListenError, listen};
use crate::metrics::Metrics;
use crate::reload::Reloader;
use crate::revoked;
use crate::tls::{Keeper, PairError, Watch, authorities};
use crate::trim;
use crate::wiring;

/// After the pace of a drain, watchers that take no bytes are given this long.
const STRAGGLERS: Duration = Duration::from_secs(5);
/// How often a drain looks whether the last watcher has left.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// A server at work. [`Server::stop`] ends it in order; dropping it does not.
pub struct Server {
    address: SocketAddr,
    admin_address: SocketAddr,
    secure: bool,
    multiplexed: Multiplexed,
    hub: Hub,
    log: Log,
    tails: Tails,
    sources: Vec<Running>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate is no good.
    #[error(transparent)]
    Certificate(#[from] PairError),
    /// TLS does not work on this machine.
    #[error("TLS cannot be spoken: {0}")]
    Tls(#[from] rustls::Error),
    /// The gate cannot be what the config says.
    #[error("the gate does not open: {0}")]
    Gate(#[from] tidegate_gate::ConfigError),
    /// What the log keeps beside events cannot be read.
    #[error("what was kept cannot be read: {0}")]
    Kept(#[from] tidegate_log::ReadError),
    /// The log does not open.
    #[error("the log does not open: {0}")]
    Log(#[from] OpenError),
    /// The threads that write to clients do not start.
    #[error("the lanes do not start: {0}")]
    Lanes(std::io::Error),
    /// A source does not start.
    #[error("the source `{name}` does not start: {error}")]
    Source {
        /// As in the config.
        name: String,
        /// Why.
        error: tidegate_sources::StartError,
    },
    /// A thread panicked.
    #[error("starting panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

impl Server {
    /// Listens, opens the log, starts the sources and serves. With `insecure` it listens beyond
    /// loopback, too. `actions` are what its page may set off.
    pub async fn start(config: Config, insecure: bool, actions: Vec<Action>) -> Result<Server, StartError> {
        let tls = config.tls.clone().map(Watch::begin).transpose()?;
        let keeper = tls.as_ref().map(Watch::keeper);
        let encryption = encryption(&config, keeper.clone())?;
        let guarded = config.guarded();
        let (clients, address) = listen("listen", config.listen, guarded || insecure).await?;
        let (operators, admin_address) = listen("admin.listen", config.admin, insecure).await?;

        if !address.ip().is_loopback() && !guarded {
            tracing::warn!(%address, "everyone who reaches this address may do what `access` opens to everybody");
        }

        let options = wiring::log_options(&config);
        let specs = config.channels.iter().map(wiring::log_channel).collect();
        let log = tokio::task::spawn_blocking(move || Log::open(options, specs)).await??;

        let channels = config.channels.iter().map(wiring::hub_channel).collect();
        let hub = Hub::new(log.clone(), channels, wiring::hub_options(config.heartbeat));
        let tails = Tails::start(hub.clone(), wiring::stream_options(&config)).map_err(StartError::Lanes)?;
        let (keys, revocations) = (keys::restore(&hub).await?, revoked::restore(&hub).await?);
        let gate = Arc::new(Gate::new(&config.gate, keys.clone())?.with_revocations(revocations.clone()));
        // From now on no watch of whom is revoked stays on the list.
        let asked = gate.clone();
        hub.watches().refuse_by(move |principal| asked.check(principal).map_err(|refusal| refusal.problem()));
        gate.warm().await;
        let hooks = match &config.hooks {
            Some(hooks) => Hooked::new(Hooks::new(hooks, &config.gate.fetch)?, hooks),
            None => Hooked::none(),
        };
        let allowed = wiring::allowed(&config);
        let multiplexed = Multiplexed::default();
        let gateway = Arc::new(Gateway {
            hub: hub.clone(),
            tails: tails.clone(),
            gate: gate.clone(),
            hooks,
            audit: Audit::new(config.audit.allows),
            limits: ArcSwap::from_pointee(Limits::new(config.limits)),
            proxies: config.proxies.clone(),
            allowed: ArcSwap::from_pointee(allowed),
            resource: wiring::resource(&config.gate),
            assets: assets(),
            actions,
            budget: Budget::of(tails.memory().clone()),
            answers: Answers::of(tails.memory().clone()),
            multiplexed: multiplexed.clone(),
        });

        let reloader = Arc::new(Reloader::new(gateway.clone(), config.clone()));
        let hosts = config.hosts.clone();
        let kinds: Vec<&'static str> = config.sources.iter().map(|source| source.kind).collect();
        let sources = match start_sources(config, &log).await {
            Ok(sources) => sources,
            Err(error) => {
                // The tails hold the log, so it has to be told.
                tokio::task::spawn_blocking(move || log.close()).await?;
                return Err(error);
            }
        };
        let metrics = Metrics::new(gateway.clone(), &sources, keeper, reloader.clone());
        let listed = sources.iter().zip(kinds).map(|(source, kind)| SourceEntry {
            name: source.name().to_owned(),
            kind,
            stats: source.stats().clone(),
        });
        let admin = Admin {
            hub: hub.clone(),
            metrics,
            sources: listed.collect(),
            keys,
            revocations,
            reloader: reloader.clone(),
            hosts,
        };
        let secure = encryption.is_some();
        let (asked_again, idle) = (asked::again(gate, hub.clone()), trim::idle(gateway.clone()));
        let mut tasks = vec![
            tokio::spawn(tidegate_transports::serve(clients, gateway, encryption)),
            tokio::spawn(admin.serve(operators)),
            tokio::spawn(trim::after_storms(tails.clone())),
            tokio::spawn(idle),
            tokio::spawn(asked_again),
            tokio::spawn(reloader.run()),
        ];
        tasks.extend(tls.map(|tls| tokio::spawn(tls.run())));
        Ok(Server { address, admin_address, secure, multiplexed, hub, log, tails, sources, tasks })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https`, or `http` without a certificate.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Where the admin side listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The middle of it, for publishers in the same process.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Stops in order: publishes are refused, watches are closed at a pace and told when to come
    /// back, sources end, what is queued becomes durable, the folder is released.
    pub async fn stop(self) {
        let Server { hub, log, tails, sources, tasks, multiplexed, .. } = self;
        let drain = Drain::for_watches(hub.watches().count());
        tracing::info!(watches = hub.watches().count(), pace_ms = drain.pace.as_millis() as u64, "draining");
        hub.drain().begin(drain);
        // Answers to what was accepted before go out meanwhile; new connections hear `draining`.
        tokio::time::sleep(drain.pace).await;
        let deadline = Instant::now() + STRAGGLERS;
        // A socket of many watches that has none is told, too; and the last frames on a connection of
        // many requests are on their way when it has ended.
        let left = || hub.watches().count() + tails.lanes().sockets() + multiplexed.count();
        while left() > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        for task in &tasks {
            task.abort();
        }
        let closed = tokio::task::spawn_blocking(move || {
            sources.into_iter().for_each(Running::stop);
            log.close();
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the log panicked");
        }
        tracing::info!("stopped");
    }
}

/// What connections speak, where there is a certificate to show.
fn encryption(config: &Config, keeper: Option<Arc<Keeper>>) -> Result<Option<Arc<ServerConfig>>, StartError> {
    let (Some(keeper), Some(tls)) = (keeper, &config.tls) else { return Ok(None) };
    let clients = tls.clients.as_ref().map(|clients| {
        let authorities = authorities(&clients.ca)?;
        Ok::<_, StartError>(Clients { authorities, required: clients.required })
    });
    Ok(Some(tidegate_transports::server_config(keeper, tls.min_version, tls.ciphers.clone(), clients.transpose()?)?))
}

/// A source reads the view before it starts, which may take a while.
async fn start_sources(config: Config, log: &Log) -> Result<Vec<Running>, StartError> {
    let log = log.clone();
    let started = tokio::task::spawn_blocking(move || {
        let start = |configured: &crate::config::SourceConfig| {
            let targets = config.targets(&configured.name);
            configured
                .source
                .start(&configured.name, log.clone(), targets)
                .map_err(|error| StartError::Source { name: configured.name.clone(), error })
        };
        config.sources.iter().map(start).collect()
    });
    started.await?
}
