//! `tidegate serve`: one server until a signal.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_server::Server;
use tidegate_server::config::{Config, Environment};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;
use crate::terminal::say;
use crate::url::{self, Behind};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Serve what stands behind a URL instead, with a config made of it: postgres://user@host/database.
    #[arg(value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    #[command(flatten)]
    with_url: url::Options,
    /// The config.
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.yaml")]
    config: PathBuf,
    /// Listen beyond loopback, too: whoever reaches the port may do what `access` opens to all.
    #[arg(long)]
    insecure: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let behind = match &arguments.url {
        Some(url) => Some(Behind::look(url, arguments.with_url.listen, &arguments.with_url.data)?),
        None => None,
    };
    let config = match &behind {
        Some(behind) => behind.config()?.clone(),
        None => load(&arguments.config)?,
    };
    let _audit = logging::start(config.audit.file.as_deref())?;
    raise_file_limit();
    runtime()?.block_on(async {
        let signals = Signals::listen()?;
        let server = Server::start(config, arguments.insecure, Vec::new()).await?;
        announce(&server);
        if let Some(behind) = behind {
            say(behind.introduction(server.address()));
        }
        signals.first().await;
        server.stop().await;
        Ok(())
    })
}

/// Reads a config; without a file of the default name it tells what to do.
pub(crate) fn load(path: &Path) -> Result<Config> {
    if !path.exists() {
        anyhow::bail!(
            "there is no config `{}`.\nName one with --config, write the URL of a database instead, or run `tidegate demo`, \
             which brings its own",
            path.display()
        );
    }
    Ok(Config::load(path, &Environment::of_process())?)
}

/// The lines that scripts and tests wait for.
pub(crate) fn announce(server: &Server) {
    say(format!("listening on {}://{}", server.scheme(), server.address()));
    say(format!("admin on http://{}", server.admin_address()));
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no async runtime")
}

/// A watcher is a file descriptor; the soft limit of most systems is 1,024.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// SIGTERM and SIGINT: the first stops in order, the second at once.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?,
        })
    }

    /// Returns at the first signal; from then on a second one ends the process.
    pub(crate) async fn first(mut self) {
        self.any().await;
        tokio::spawn(async move {
            self.any().await;
            tracing::warn!("a second signal: out at once; what was acknowledged is durable");
            at_once();
        });
    }

    /// Returns at each signal.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal asks for exactly this: no drops, no waiting")]
pub(crate) fn at_once() {
    std::process::exit(130);
}
