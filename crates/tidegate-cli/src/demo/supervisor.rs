//! The process that starts the one that serves, and starts it again when it was killed.
//!
//! ```text
//!   start ─► serving ─┬─ ended by a signal ─► start again, at once
//!                     ├─ ended by itself ───► we end as it did
//!                     └─ a signal to us ────► let go of its input; it stops in order
//! ```
//!
//! The input of the process that serves is a pipe whose other end is here: it also ends when this
//! process is gone, however that came about.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_server::{ListenError, StartError};
use tokio::net::TcpSocket;
use tokio::process::{Child, ChildStdin, Command};

use super::{Arguments, explain};
use crate::logging;
use crate::serve::{Signals, at_once};

/// A life that lasted so long was a good one, whatever ended it.
const GOOD_LIFE: Duration = Duration::from_secs(1);
/// So many lives in a row may be short: a server that dies by itself at each start is given up.
const SHORT_LIVES_MAX: u32 = 20;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    logging::start(None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no async runtime")?;
    runtime.block_on(supervise(arguments))
}

async fn supervise(arguments: &Arguments) -> Result<()> {
    let mut signals = Signals::listen()?;
    let port = hold(arguments.listen).map_err(|error| explain(StartError::Listen(error)))?;
    let listen = port.local_addr()?;
    let mut short_lives = 0;
    for life in 1.. {
        let born = Instant::now();
        let mut serving = start(arguments, listen, life)?;
        // Taken out, because waiting for a child lets go of its input.
        let input = serving.stdin.take();
        let ended = tokio::select! {
            ended = serving.wait() => ended?,
            () = signals.any() => return stop(serving, input, signals).await,
        };
        let Some(signal) = ended.signal() else {
            if ended.success() {
                return Ok(());
            }
            bail!("the server ended by itself, with {ended}");
        };
        short_lives = if born.elapsed() < GOOD_LIFE { short_lives + 1 } else { 0 };
        if short_lives > SHORT_LIVES_MAX {
            bail!("the server was ended by signal {signal}, {short_lives} times in a row soon after its start");
        }
        tracing::warn!(signal, life, "the server was killed; it is started again");
    }
    Ok(())
}

/// Takes the port without listening on it: nobody else is given it while the server is away. Both
/// sockets say SO_REUSEADDR, so the one that listens may have it as well.
fn hold(address: SocketAddr) -> Result<TcpSocket, ListenError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let held = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    });
    held.map_err(|error| ListenError::of("listen", address, error))
}

fn start(arguments: &Arguments, listen: SocketAddr, life: u32) -> Result<Child> {
    // This very binary, also when the file was replaced meanwhile.
    Command::new("/proc/self/exe")
        .arg("demo")
        .args(["--listen", &listen.to_string(), "--life", &life.to_string(), "--data"])
        .arg(&arguments.data)
        .stdin(Stdio::piped())
        // Ctrl-C of a terminal reaches a whole group; the server is to hear of it from us alone.
        .process_group(0)
        .spawn()
        .context("the server cannot be started")
}

/// Ends the server in order; at a second signal at once.
async fn stop(mut serving: Child, input: Option<ChildStdin>, mut signals: Signals) -> Result<()> {
    drop(input);
    tokio::select! {
        ended = serving.wait() => {
            let ended = ended?;
            if !ended.success() {
                bail!("the server ended with {ended}");
            }
        }
        () = signals.any() => {
            serving.kill().await?;
            at_once();
        }
    }
    Ok(())
}
