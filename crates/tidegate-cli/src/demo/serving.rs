//! The process that serves, until it is told to stop, or killed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Signal, getpid, kill_process};
use tidegate_server::config::{Config, Environment};
use tidegate_server::{Action, Server};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::{Arguments, explain, market};
use crate::logging;
use crate::serve::{Signals, announce, raise_file_limit, runtime};
use crate::terminal::say;

const CONFIG: &str = include_str!("demo.yaml");

/// Serves; the first life introduces itself.
pub(super) fn run(arguments: &Arguments, life: u32) -> Result<()> {
    let mut config = Config::parse("demo.yaml", CONFIG, Path::new("."), &Environment::of(&[]))
        .map_err(|report| anyhow!("the demo's own config: {report}"))?;
    config.listen = arguments.listen;
    std::fs::create_dir_all(&arguments.data)
        .with_context(|| format!("cannot make the folder {}", arguments.data.display()))?;
    config.log.path = arguments.data.canonicalize()?;
    let folder = config.log.path.clone();
    logging::start(None)?;
    raise_file_limit();
    runtime()?.block_on(async {
        let signals = Signals::listen()?;
        let server = Server::start(config, false, vec![kill()]).await.map_err(explain)?;
        let market = tokio::spawn(market::run(server.hub().clone()));
        announce(&server);
        if life == 1 {
            say(introduction(server.address(), &folder));
        }
        tokio::select! {
            () = signals.first() => {}
            let_go = let_go() => let_go?,
        }
        market.abort();
        server.stop().await;
        Ok(())
    })
}

/// The button of the page. Nothing is flushed, nobody is told: not even the page gets an answer.
fn kill() -> Action {
    let pid = getpid();
    let run = move || {
        if let Err(error) = kill_process(pid, Signal::KILL) {
            tracing::error!(%error, "the server could not kill itself");
        }
    };
    Action { path: "/_demo/kill", title: format!("kill -9 {pid}"), run: Box::new(run) }
}

/// Returns when the supervisor lets go of our input: it wants an end in order, or it is gone.
async fn let_go() -> io::Result<()> {
    let mut input = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    while input.read(&mut [0]).await? > 0 {}
    Ok(())
}

fn introduction(address: SocketAddr, folder: &Path) -> String {
    let url = format!("http://{address}");
    format!(
        "
Tidegate demo. Data is kept in {folder}; delete the folder to start afresh.

  machine   this machine's CPU, memory, disks, network and processes, live
  market    SYNTHETIC prices, made up by this program
  chat      rooms that anyone here may publish to

Open {url}/ in a browser. Its red button ends this server with kill -9; it is started
again at once, and the page counts what was lost meanwhile: nothing. Or try:

  curl -N -H 'Accept: text/event-stream' '{url}/v1/machine/cpu'
  curl '{url}/v1/machine/memory'
  curl -H 'Content-Type: application/json' -d '{{\"from\":\"me\",\"text\":\"hello\"}}' '{url}/v1/rooms/lobby/messages'

and, in another terminal, to see what is said there:

  curl -N -H 'Accept: text/event-stream' '{url}/v1/rooms/lobby/messages'
",
        folder = folder.display()
    )
}
