//! Publishing: a body becomes entries of one batch, all or nothing, acknowledged when durable.

mod body;
mod key;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidegate_core::{Address, ErrorCode, Key, Millis, Op, Problem, Scope, Target, View};
use tidegate_log::{AppendError, Appended, Batch, Entry};
use tokio::sync::oneshot;

pub use body::Format;
pub use key::key_text;

use crate::Hub;
use crate::channel::Channel;
use body::Line;

/// Batches that may wait for the log at once; more publishers wait for a place. The log's own
/// queue is as long, so that handing over never blocks a thread.
pub(crate) const IN_FLIGHT_MAX: usize = 4_096;
/// One event may have this many bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// One batch may have this many events.
const EVENTS_MAX: usize = 100_000;
/// An `Idempotency-Key` may have this many bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// One publish, read from its transport.
pub struct Publish {
    /// Where; a pattern is refused.
    pub target: Target,
    /// What is done.
    pub action: Action,
    /// The client's name for this attempt.
    pub idempotency: Option<Idempotency>,
}

/// What is done.
pub enum Action {
    /// Append, or upsert by the key in the data.
    Post {
        /// How the body is written.
        format: Format,
        /// The body.
        body: Bytes,
    },
    /// Upsert one key.
    Put {
        /// The key, as in the URL.
        key: String,
        /// The value.
        body: Bytes,
    },
    /// Delete one key.
    Delete {
        /// The key, as in the URL.
        key: String,
    },
}

/// An `Idempotency-Key` and whose it is.
pub struct Idempotency {
    /// The principal.
    pub principal: String,
    /// The key.
    pub key: String,
}

/// A publish that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Of the last record, in the view of the whole address.
    pub cursor: String,
    /// Events of the batch.
    pub count: u64,
    /// The answer of an earlier publish with the same idempotency key.
    pub replayed: bool,
}

impl Action {
    fn method(&self) -> &'static str {
        match self {
            Action::Post { .. } => "POST",
            Action::Put { .. } => "PUT",
            Action::Delete { .. } => "DELETE",
        }
    }
}

impl Hub {
    /// The channel that may be published to at `target`, before a body is read.
    ///
    /// # Errors
    /// `invalid` for a pattern, `channel-not-found`, `method-not-allowed`, `forbidden`, `draining`.
    pub fn publishable(&self, target: &Target, method: &str) -> Result<Arc<Channel>, Problem> {
        if let Target::Pattern(pattern) = target {
            return Err(Problem::new(ErrorCode::Invalid, format!("`{}` is a pattern", pattern.as_str()))
                .hint("a publish goes to one address: write out every segment"));
        }
        let channel = self.catalog().resolve(target)?;
        let name = &channel.config.name;
        if let Some(source) = &channel.config.source {
            return Err(Problem::new(
                ErrorCode::MethodNotAllowed,
                format!("the channel `{name}` is written by its source `{source}`"),
            ));
        }
        if method != "POST" && !channel.keyed() {
            return Err(Problem::new(ErrorCode::MethodNotAllowed, format!("the channel `{name}` has no keys"))
                .hint("publish plain events with POST"));
        }
        if !channel.config.access.publish {
            return Err(Problem::new(ErrorCode::Forbidden, format!("the channel `{name}` may not be published to"))
                .hint(format!("the operator allows it with `access: {{ publish: \"true\" }}` on channel `{name}`")));
        }
        if self.drain().draining() {
            return Err(Problem::new(ErrorCode::Draining, "the server is about to stop"));
        }
        Ok(channel.clone())
    }

    /// Publishes, and returns when it is durable and visible.
    ///
    /// # Errors
    /// Those of [`Hub::publishable`], and what the body or the log gives cause for. Whatever the
    /// error, nothing was accepted, but for a connection that ends before the answer: then the
    /// publisher cannot know, and repeats with the same idempotency key.
    pub async fn publish(&self, publish: Publish) -> Result<Published, Problem> {
        let answer = self.publish_counted(publish).await;
        let counters = self.counters();
        let counter = match &answer {
            Ok(published) if published.replayed => &counters.replayed,
            Ok(_) => &counters.published,
            Err(_) => &counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn publish_counted(&self, publish: Publish) -> Result<Published, Problem> {
        let channel = self.publishable(&publish.target, publish.action.method())?;
        let Target::Address(address) = &publish.target else { unreachable!("a pattern is not publishable") };
        let idempotency =
            publish.idempotency.map(|own| own.into_log(&channel, address, &publish.action)).transpose()?;
        let entries = entries(&channel, address, publish.action)?;
        let count = entries.len() as u64;
        let batch = Batch { entries, checkpoint: None, idempotency, tx: None };
        let appended = self.append(batch).await?;
        let view = View { scope: Scope::address(address.clone()), kind: channel.default_kind() };
        let offset = appended.offset(channel.log.id()).unwrap_or_default();
        let count = if appended.replayed { appended.count } else { count };
        Ok(Published { cursor: channel.cursor(&view, offset).to_string(), count, replayed: appended.replayed })
    }

    async fn append(&self, batch: Batch) -> Result<Appended, Problem> {
        let internal = |_| Problem::new(ErrorCode::Internal, "the log has stopped");
        let _place = self.shared.publishing.acquire().await.map_err(|_| internal(()))?;
        let (done, answer) = oneshot::channel();
        self.log().submit(batch, move |result| {
            let _ = done.send(result);
        });
        answer.await.map_err(|_| internal(()))?.map_err(append_problem)
    }
}

fn append_problem(error: AppendError) -> Problem {
    let code = match &error {
        AppendError::Full => ErrorCode::LogFull,
        AppendError::Poisoned => ErrorCode::LogPoisoned,
        AppendError::Closed => ErrorCode::Draining,
        AppendError::TooLarge => ErrorCode::TooLarge,
        AppendError::IdempotencyMismatch => {
            return Problem::new(ErrorCode::Unprocessable, "this Idempotency-Key was used with another body")
                .hint("use a fresh key for each new publish; repeat a key only with the very same request");
        }
        AppendError::Unfit(_) => ErrorCode::Unprocessable,
        AppendError::UnknownChannel | AppendError::State => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string())
}

impl Idempotency {
    fn into_log(
        self,
        channel: &Channel,
        address: &Address,
        action: &Action,
    ) -> Result<tidegate_log::Idempotency, Problem> {
        if self.key.is_empty() || self.key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(Problem::new(
                ErrorCode::Invalid,
                format!("an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes"),
            ));
        }
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(action.method().as_bytes());
        part(address.as_str().as_bytes());
        match action {
            Action::Post { format, body } => {
                part(format.name().as_bytes());
                part(body);
            }
            Action::Put { key, body } => {
                part(key.as_bytes());
                part(body);
            }
            Action::Delete { key } => part(key.as_bytes()),
        }
        Ok(tidegate_log::Idempotency {
            channel: channel.log.id(),
            principal: self.principal,
            key: self.key,
            body_hash: hash.finalize().into(),
        })
    }
}

/// Reads the body into entries; nothing is accepted if any line is wrong.
fn entries(channel: &Channel, address: &Address, action: Action) -> Result<Vec<Entry>, Problem> {
    let (lines, url_key) = match action {
        Action::Post { format, body } => (body::lines(format, &body)?, None),
        Action::Put { key, body } => (vec![body::single(&body)?], Some(key_text(channel, &key)?)),
        Action::Delete { key } => (vec![Line::delete()], Some(key_text(channel, &key)?)),
    };
    if lines.is_empty() {
        return Err(Problem::new(ErrorCode::Invalid, "the body has no event")
            .hint("send one JSON value, a JSON array of them, or one on each line as application/x-ndjson"));
    }
    if lines.len() > EVENTS_MAX {
        return Err(Problem::new(ErrorCode::TooLarge, format!("a batch has at most {EVENTS_MAX} events")));
    }
    let now = Millis::now();
    let single = lines.len() == 1;
    lines
        .into_iter()
        .map(|line| {
            let number = line.number;
            entry(channel, address, line, url_key.as_ref(), now)
                .map_err(|problem| if single { problem } else { nothing_accepted(problem, number) })
        })
        .collect()
}

/// Names the line, and says what became of the others.
fn nothing_accepted(problem: Problem, line: usize) -> Problem {
    let detail = format!("line {line}: {}; nothing was accepted", problem.detail);
    Problem { detail, ..problem }.line(line)
}

fn entry(channel: &Channel, url: &Address, line: Line, url_key: Option<&Key>, time: Millis) -> Result<Entry, Problem> {
    if line.data.len() > EVENT_BYTES_MAX {
        return Err(Problem::new(ErrorCode::TooLarge, format!("an event has at most {EVENT_BYTES_MAX} bytes")));
    }
    let address = line_address(channel, url, line.address.as_deref())?;
    let op = match line.op {
        Some(op) => op,
        None if channel.keyed() => Op::Upsert,
        None => Op::Append,
    };
    if channel.keyed() == (op == Op::Append) {
        let wanted = if channel.keyed() { "`upsert` or `delete`" } else { "`append`" };
        return Err(Problem::new(ErrorCode::Unprocessable, format!("op `{}` does not fit the channel", op.as_str()))
            .hint(format!("the channel `{}` takes {wanted}", channel.config.name)));
    }
    let key = key::of_line(channel, &line, op, url_key)?;
    if op != Op::Delete {
        parameters_agree(channel, &address, &line.data)?;
    }
    Ok(Entry { channel: channel.log.id(), op, address, key, time, data: line.data })
}

fn line_address(channel: &Channel, url: &Address, own: Option<&str>) -> Result<Address, Problem> {
    let Some(text) = own else { return Ok(url.clone()) };
    let address = Address::parse(text)
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("the address `{text}`: {error}")))?;
    if !channel.fits(&address) {
        return Err(Problem::new(
            ErrorCode::Unprocessable,
            format!("the address `{text}` is not one of the channel `{}`", channel.config.name),
        )
        .hint(format!("a batch is for one channel; its addresses fit `{}`", channel.config.template.as_str())));
    }
    Ok(address)
}

/// Data that names an address parameter must say what the address says; nothing is injected.
fn parameters_agree(channel: &Channel, address: &Address, data: &[u8]) -> Result<(), Problem> {
    for (name, value) in channel.config.template.extract(address).unwrap_or_default() {
        let said = tidegate_core::json::member(data, name).and_then(tidegate_core::json::scalar_text);
        if let Some(said) = said.filter(|said| *said != value) {
            let detail = format!("the data says `{name}` is `{said}`, the address says `{value}`");
            return Err(Problem::new(ErrorCode::Conflict, detail));
        }
    }
    Ok(())
}
