//! `tidegate watch`: prints what an address yields, through cuts.
//!
//! ```text
//!   connect ─► stream ─► frames ─► print ─► cursor (memory, and a file if asked)
//!      ▲          │ cut, or `close` with retry_ms
//!      └── wait ◄─┘
//! ```

mod frames;
mod print;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use tidegate_core::Target;
use tokio::time::timeout;

use crate::client::{self, Failure, Remote};
use crate::serve::{Signals, runtime};
use frames::{Frame, Lines};
use print::Printer;

/// A stream that is silent for so many heartbeats is dead, whatever TCP thinks.
const SILENT_HEARTBEATS_MAX: u32 = 3;
/// Until `begin` tells the heartbeat.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to watch: an address such as machine/cpu, or a pattern such as machine/*.
    #[arg(value_parser = client::target)]
    address: Target,
    #[command(flatten)]
    server: client::Server,
    /// Keep the cursor in this file, and go on from there the next time.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// Go on after this cursor; one in the cursor file beats it.
    #[arg(long, value_name = "CURSOR", conflicts_with = "from")]
    after: Option<String>,
    /// Begin at `start`, `now` or a time such as 2026-11-21T12:00:00Z.
    #[arg(long, value_name = "WHERE")]
    from: Option<String>,
    /// Watch one key.
    #[arg(long)]
    key: Option<String>,
    /// End after so many data frames.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print JSON lines on a terminal, too, as in a pipe.
    #[arg(long)]
    json: bool,
}

/// One watch, through any number of connections.
struct Watch {
    remote: Remote,
    target: Target,
    from: Option<String>,
    key: Option<String>,
    cursor: Option<String>,
    cursor_file: Option<PathBuf>,
    left: Option<u64>,
    printer: Printer,
    /// The server was reached once, so it will be again.
    reached: bool,
    /// Connections in a row that gave nothing.
    failures: u32,
}

/// How a connection ended.
enum End {
    /// Come back, after this time at least.
    Cut(Duration, String),
    /// All that was wanted has come, or nobody reads any more.
    Done,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let kept = arguments.cursor_file.as_deref().map(read_cursor).transpose()?.flatten();
    let mut watch = Watch {
        remote: Remote::of(&arguments.server)?,
        target: arguments.address,
        from: arguments.from,
        key: arguments.key,
        cursor: kept.or(arguments.after),
        cursor_file: arguments.cursor_file,
        left: arguments.count,
        printer: Printer::new(arguments.json),
        reached: false,
        failures: 0,
    };
    runtime()?.block_on(async {
        let signals = Signals::listen()?;
        tokio::select! {
            ended = watch.run() => ended,
            () = signals.first() => Ok(()),
        }
    })
}

impl Watch {
    async fn run(&mut self) -> Result<()> {
        while self.left != Some(0) {
            match self.connection().await? {
                End::Done => return Ok(()),
                End::Cut(at_least, why) => {
                    let wait = at_least + client::backoff(self.failures);
                    self.failures += 1;
                    self.printer.aside(&format!("{why}; back in {:.1} s", wait.as_secs_f64()));
                    tokio::time::sleep(wait).await;
                }
            }
        }
        Ok(())
    }

    /// One connection to its end.
    async fn connection(&mut self) -> Result<End> {
        let response = match self.remote.send(self.request(), Bytes::new()).await {
            Ok(response) => response,
            Err(Failure::Unreachable(error)) if self.reached => {
                return Ok(End::Cut(Duration::ZERO, format!("{error:#}")));
            }
            Err(Failure::Refused(refusal)) => match refusal.retry {
                Some(retry) => return Ok(End::Cut(retry, refusal.text.lines().next().unwrap_or_default().to_owned())),
                None => return Err(anyhow!(refusal.text)),
            },
            Err(failure) => return Err(failure.into()),
        };
        self.reached = true;
        let mut body: Incoming = response.into_body();
        let mut lines = Lines::default();
        let mut silence_max = FIRST_FRAME_TIMEOUT;
        loop {
            let chunk = match timeout(silence_max, body.frame()).await {
                Err(_) => return Ok(End::Cut(Duration::ZERO, "the stream is silent".to_owned())),
                Ok(None) => return Ok(End::Cut(Duration::ZERO, "the connection was cut".to_owned())),
                Ok(Some(Err(error))) => {
                    return Ok(End::Cut(Duration::ZERO, format!("the connection was cut: {error}")));
                }
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            lines.push(&chunk)?;
            while let Some(line) = lines.next() {
                let frame =
                    Frame::read(&line).with_context(|| format!("no frame: {}", String::from_utf8_lossy(&line)))?;
                if let Some(heartbeat) = frame.heartbeat() {
                    silence_max = heartbeat * SILENT_HEARTBEATS_MAX;
                }
                if let Some(end) = self.take(&frame, &line)? {
                    self.settle()?;
                    return Ok(end);
                }
            }
            if !self.settle()? {
                return Ok(End::Done);
            }
        }
    }

    /// Prints a frame and keeps its cursor.
    fn take(&mut self, frame: &Frame, line: &[u8]) -> Result<Option<End>> {
        self.printer.frame(frame, line);
        if let Some(cursor) = frame.cursor() {
            self.cursor = Some(cursor.to_owned());
            self.failures = 0;
        }
        if let Some((retry, message)) = frame.close() {
            return match retry {
                Some(retry) => Ok(Some(End::Cut(retry, message))),
                None => Err(anyhow!(message)),
            };
        }
        if let (true, Some(left)) = (frame.is_data(), &mut self.left) {
            *left -= 1;
            if *left == 0 {
                return Ok(Some(End::Done));
            }
        }
        Ok(None)
    }

    /// What was printed leaves the process before its cursor is kept, so a crash repeats a frame
    /// and never loses one. `false`: nobody reads any more.
    fn settle(&mut self) -> Result<bool> {
        if !self.printer.flush()? {
            return Ok(false);
        }
        if let (Some(file), Some(cursor)) = (&self.cursor_file, &self.cursor) {
            keep_cursor(file, cursor)?;
        }
        Ok(true)
    }

    fn request(&self) -> hyper::http::request::Builder {
        let mut options = Vec::new();
        if let Some(key) = &self.key {
            options.push(("key", key.as_str()));
        }
        match (&self.cursor, &self.from) {
            (Some(cursor), from) => {
                options.push(("after", cursor.as_str()));
                if from.is_some() {
                    // The watch began as a history of changes and goes on as one.
                    options.push(("snapshot", "false"));
                }
            }
            (None, Some(from)) => options.push(("from", from.as_str())),
            (None, None) => {}
        }
        Request::builder().uri(client::path(&self.target, &options)).header(ACCEPT, "application/x-ndjson")
    }
}

fn read_cursor(file: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => bail!("cannot read the cursor file {}: {error}", file.display()),
    }
}

/// Replaces the file whole, so that a crash leaves the old cursor or the new one.
fn keep_cursor(file: &Path, cursor: &str) -> Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, format!("{cursor}\n"))
        .and_then(|()| std::fs::rename(&fresh, file))
        .with_context(|| format!("cannot write the cursor file {}", file.display()))
}
