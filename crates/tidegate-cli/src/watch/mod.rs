//! `tidegate watch`: prints what an address yields, through cuts.
//!
//! ```text
//!   connect ─► stream ─► frames ─► print ─► cursor (memory, and a file if asked)
//!      ▲          │ cut, or `close` with retry_ms
//!      └── wait ◄─┘
//! ```

mod frames;
mod place;
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

use crate::client::{self, Failure, Refusal, Remote};
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
    /// Begin with the rows of a keyed address as of a time such as 2026-11-21T12:00:00Z, and go on with what came since.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "after"])]
    at: Option<String>,
    #[command(flatten)]
    view: View,
    /// End after so many data frames.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print JSON lines on a terminal, too, as in a pipe.
    #[arg(long)]
    json: bool,
}

/// What is watched of the address, and how: the options of the protocol, by their names there.
#[derive(clap::Args)]
struct View {
    /// Watch one key.
    #[arg(long)]
    key: Option<String>,
    /// `false`: changes of a keyed address from now on, without its rows.
    #[arg(long, value_name = "BOOL")]
    snapshot: Option<bool>,
    /// Which rows or events, as a CEL expression such as 'data.price > 100.0 && params.region == "eu"'.
    #[arg(long, value_name = "CEL", allow_hyphen_values = true)]
    filter: Option<String>,
    /// Which members of the data, such as id,customer.name.
    #[arg(long, value_name = "PATHS")]
    fields: Option<String>,
    /// How the change of a row is told: full, patch (RFC 7396) or json-patch (RFC 6902).
    #[arg(long)]
    mode: Option<String>,
    /// How often: at ticks, each changed key once, such as 2/s or 10/m.
    #[arg(long)]
    rate: Option<String>,
    /// Each cursor with the one before it, so that a hole would show.
    #[arg(long)]
    chain: bool,
}

/// One watch, through any number of connections.
struct Watch {
    remote: Remote,
    target: Target,
    from: Option<String>,
    at: Option<String>,
    view: View,
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
        at: arguments.at,
        view: arguments.view,
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
                Some(retry) => return Ok(End::Cut(retry, refusal.what)),
                None => return Err(self.refused(&refusal)),
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

    /// A refusal for people: a mistake in the filter is shown where it stands.
    fn refused(&self, refusal: &Refusal) -> anyhow::Error {
        match (&self.view.filter, refusal.column) {
            (Some(filter), Some(column)) => {
                anyhow!("{}\n\n{}\n\n{}", refusal.what, place::marked(filter, column), refusal.hint)
            }
            _ => anyhow!("{refusal}"),
        }
    }

    fn request(&self) -> hyper::http::request::Builder {
        let view = &self.view;
        // What began as a history of changes goes on as one.
        let history = (self.cursor.is_some() && self.from.is_some()).then_some(false);
        let snapshot = view.snapshot.or(history).map(|whole| whole.to_string());
        let options = [
            ("after", self.cursor.as_deref()),
            ("from", self.from.as_deref().filter(|_| self.cursor.is_none())),
            ("at", self.at.as_deref().filter(|_| self.cursor.is_none())),
            ("key", view.key.as_deref()),
            ("snapshot", snapshot.as_deref()),
            ("filter", view.filter.as_deref()),
            ("fields", view.fields.as_deref()),
            ("mode", view.mode.as_deref()),
            ("rate", view.rate.as_deref()),
            ("chain", view.chain.then_some("true")),
        ];
        let options: Vec<_> = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
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
