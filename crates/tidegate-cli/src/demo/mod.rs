//! `tidegate demo`: live data with nothing but this binary, and a button that kills it.
//!
//! Two processes: the one that was started keeps the port and starts the other, which serves; when
//! that one is killed it is started again at once, as a service manager would do.

mod market;
mod serving;
mod supervisor;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use tidegate_server::{ListenError, StartError};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where clients connect; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the data is kept.
    #[arg(long, value_name = "DIR", default_value = "./tidegate-data")]
    data: PathBuf,
    /// This process is the one that serves, for the so-manieth time.
    #[arg(long, value_name = "N", hide = true)]
    life: Option<u32>,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match arguments.life {
        None => supervisor::run(&arguments),
        Some(life) => serving::run(&arguments, life),
    }
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
