//! `tidegate demo`: live data with nothing but this binary.

mod market;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tidegate_server::config::{Config, Environment};
use tidegate_server::{ListenError, Server, StartError};

use crate::serve::{Signals, announce, raise_file_limit, runtime, start_logging};
use crate::terminal::say;

const CONFIG: &str = include_str!("demo.yaml");

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where clients connect; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the data is kept.
    #[arg(long, value_name = "DIR", default_value = "./tidegate-data")]
    data: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut config = Config::parse("demo.yaml", CONFIG, Path::new("."), &Environment::of(&[]))
        .map_err(|report| anyhow!("the demo's own config: {report}"))?;
    config.listen = arguments.listen;
    std::fs::create_dir_all(&arguments.data)
        .with_context(|| format!("cannot make the folder {}", arguments.data.display()))?;
    config.log.path = arguments.data.canonicalize()?;
    let folder = config.log.path.clone();
    start_logging();
    raise_file_limit();
    runtime()?.block_on(async {
        let signals = Signals::listen()?;
        let server = Server::start(config, false).await.map_err(explain)?;
        let market = tokio::spawn(market::run(server.hub().clone()));
        announce(&server);
        say(introduction(server.address(), &folder));
        signals.first().await;
        market.abort();
        server.stop().await;
        Ok(())
    })
}

fn explain(error: StartError) -> anyhow::Error {
    match error {
        StartError::Listen(ListenError::Taken { address, .. }) => anyhow!(
            "another program listens on {address}.\nStop it, or take another port: tidegate demo --listen 127.0.0.1:0 \
             picks a free one"
        ),
        StartError::Listen(ListenError::Exposed { address, .. }) => anyhow!(
            "{address} can be reached from other machines, and the demo has no gate: use an address of 127.0.0.0/8"
        ),
        error => error.into(),
    }
}

fn introduction(address: SocketAddr, folder: &Path) -> String {
    let url = format!("http://{address}");
    format!(
        "
Tidegate demo. Data is kept in {folder}; delete the folder to start afresh.

  machine   this machine's CPU, memory, disks, network and processes, live
  market    SYNTHETIC prices, made up by this program
  chat      rooms that anyone here may publish to

Open {url}/ in a browser, or try:

  curl -N -H 'Accept: text/event-stream' '{url}/v1/machine/cpu'
  curl '{url}/v1/machine/memory'
  curl -H 'Content-Type: application/json' -d '{{\"from\":\"me\",\"text\":\"hello\"}}' '{url}/v1/rooms/lobby/messages'

and, in another terminal, to see what is said there:

  curl -N -H 'Accept: text/event-stream' '{url}/v1/rooms/lobby/messages'
",
        folder = folder.display()
    )
}
