//! `tidegate publish`: one event from the command line, or a stream of them from stdin.
//!
//! Each publish has an `Idempotency-Key`, made here unless given, so that it may be tried again
//! after a cut without ever doubling.

use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use hyper::Method;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use tidegate_core::Target;
use tokio::sync::mpsc;

use crate::client::{self, Failure, Remote};
use crate::serve::runtime;
use crate::terminal::say;

/// Lines of one batch; what else has come by then goes with the next.
const BATCH_LINES_MAX: usize = 1_000;
/// Bytes of one batch; the server's default allows sixteen times as many.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// One event; the server takes no larger ones.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// One publish is tried for so long, well within the ten minutes for which a server remembers keys.
const TRIED_FOR: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where, such as rooms/lobby/messages.
    #[arg(value_parser = client::target)]
    address: Target,
    /// One event as JSON; without it, or with `-`, each line of stdin is one.
    data: Option<String>,
    #[command(flatten)]
    server: client::Server,
    /// Set the value of one key of a keyed channel.
    #[arg(long)]
    key: Option<String>,
    /// Names this publish; a repeat under the same name has no second effect.
    #[arg(long, value_name = "NAME")]
    idempotency_key: Option<String>,
    /// Only if nothing came after this: the ETag or cursor of what you have seen last of the address, or of the key.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    /// Only if there is nothing yet: `If-None-Match: *`.
    #[arg(long, conflicts_with = "if_match")]
    create: bool,
}

/// Publishes to one address.
struct Publisher {
    remote: Remote,
    target: Target,
    key: Option<String>,
    /// What must hold.
    condition: Option<(HeaderName, String)>,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let remote = Remote::of(&arguments.server)?;
    let name = arguments.idempotency_key.unwrap_or_else(|| format!("cli-{:016x}", rand::random::<u64>()));
    let condition = match (arguments.create, arguments.if_match) {
        (true, _) => Some((IF_NONE_MATCH, "*".to_owned())),
        (false, etag) => etag.map(|etag| (IF_MATCH, quoted(etag))),
    };
    let publisher = Publisher { remote, target: arguments.address, key: arguments.key, condition };
    runtime()?.block_on(async {
        match arguments.data.filter(|data| data != "-") {
            Some(data) => publisher.publish(data.into(), "application/json", &name).await,
            None if publisher.key.is_some() => bail!("--key goes with one event on the command line"),
            None if publisher.condition.is_some() => {
                bail!("--if-match and --create go with one event on the command line")
            }
            None => publisher.publish_lines(&name).await,
        }
    })
}

impl Publisher {
    /// Publishes what has come, in order, until stdin ends.
    async fn publish_lines(&self, name: &str) -> Result<()> {
        let (sender, mut lines) = mpsc::channel(BATCH_LINES_MAX);
        // Reading blocks until somebody types, which no task of the runtime may do.
        let reading = std::thread::spawn(move || read_lines(&mut std::io::stdin().lock(), &sender));
        let mut batches = 0;
        while let Some(first) = lines.recv().await {
            let mut body = first + "\n";
            let mut count = 1;
            while count < BATCH_LINES_MAX && body.len() < BATCH_BYTES_MAX {
                let Ok(line) = lines.try_recv() else { break };
                body.push_str(&line);
                body.push('\n');
                count += 1;
            }
            batches += 1;
            self.publish(body.into(), "application/x-ndjson", &format!("{name}-{batches}")).await?;
        }
        reading.join().map_err(|_| anyhow!("reading stdin panicked"))?
    }

    /// Publishes one body, again and again until it is accepted or refused for good, and prints
    /// the answer.
    async fn publish(&self, body: Bytes, content_type: &'static str, name: &str) -> Result<()> {
        let (method, options) = match &self.key {
            Some(key) => (Method::PUT, vec![("key", key.as_str())]),
            None => (Method::POST, Vec::new()),
        };
        let path = client::path(&self.target, &options);
        let started = Instant::now();
        let mut failures = 0;
        loop {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(&path)
                .header(CONTENT_TYPE, content_type)
                .header("idempotency-key", name);
            if let Some((name, value)) = &self.condition {
                request = request.header(name, value);
            }
            let answer = match self.remote.send(request, body.clone()).await {
                Ok(response) => client::read(response).await.map_err(Failure::Unreachable),
                Err(failure) => Err(failure),
            };
            let (wait, why) = match answer {
                Ok(answer) => {
                    say(answer.trim_end());
                    return Ok(());
                }
                Err(Failure::Refused(refusal)) => match refusal.retry {
                    Some(retry) => (retry, refusal.what),
                    None => return Err(anyhow!("{refusal}")),
                },
                Err(Failure::Unreachable(error)) => (Duration::ZERO, format!("{error:#}")),
            };
            if started.elapsed() > TRIED_FOR {
                bail!("given up after {} s: {why}", TRIED_FOR.as_secs());
            }
            eprintln!("{why}; trying again");
            tokio::time::sleep(wait.max(client::backoff(failures))).await;
            failures += 1;
        }
    }
}

/// An answer's `cursor` is an ETag but for its quotes.
fn quoted(etag: String) -> String {
    if etag == "*" || etag.contains('"') { etag } else { format!("\"{etag}\"") }
}

/// Hands over lines until the input or the receiver ends.
fn read_lines(input: &mut impl BufRead, lines: &mpsc::Sender<String>) -> Result<()> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_BYTES_MAX {
            bail!("line {number} of stdin is longer than {LINE_BYTES_MAX} bytes");
        }
        let line = String::from_utf8(line).map_err(|_| anyhow!("line {number} of stdin is not UTF-8"))?;
        let line = line.trim_end();
        if !line.is_empty() && lines.blocking_send(line.to_owned()).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_blank_ones_left_out() {
        let (sender, mut lines) = mpsc::channel(8);
        read_lines(&mut &b"1\r\n\n 2\n3"[..], &sender).expect("read");
        drop(sender);
        let read: Vec<String> = std::iter::from_fn(|| lines.blocking_recv()).collect();
        assert_eq!(read, ["1", " 2", "3"]);

        let (sender, _lines) = mpsc::channel(8);
        let long = vec![b'x'; LINE_BYTES_MAX as usize + 1];
        assert!(read_lines(&mut &long[..], &sender).is_err());
        assert!(read_lines(&mut &b"\xff\n"[..], &sender).is_err());
    }
}
