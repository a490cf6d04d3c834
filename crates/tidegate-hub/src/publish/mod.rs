//! Publishing: a body becomes entries of one batch, all or nothing, acknowledged when durable.

mod body;
mod condition;
mod key;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidegate_core::{Address, Cursor, ErrorCode, Key, Millis, Offset, Op, Problem, Scope, Target, json};
use tidegate_log::{AppendError, Appended, Batch, Entry};
use tokio::sync::oneshot;

pub use body::Format;
pub use condition::Precondition;
pub use key::key_text;

use crate::Hub;
use crate::channel::Channel;
use crate::policy::{Caller, Policies, may_publish, may_write};
use crate::query::blocking;
use crate::watch::View;
use body::{Line, Text};
use condition::Tells;

/// Batches that may wait for the log at once; more publishers wait for a place. The log's own
/// queue is as long, so that handing over never blocks a thread.
pub(crate) const IN_FLIGHT_MAX: usize = 4_096;
/// One event may have this many bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// One batch may have this many events.
const EVENTS_MAX: usize = 100_000;
/// Hashing and parsing a larger body would hold up a worker of the runtime, up to tens of
/// milliseconds for 8 MiB; below, handing over to another thread costs more than it saves.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Smaller values are always copied out of their body: a body may lie in a buffer of a connection.
const SHARED_BYTES_MIN: usize = 64 * 1024;
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
    /// What must hold for it to be accepted.
    pub condition: Option<Precondition>,
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
    /// That of the place after the write, as in the header: with its quotes. A batch over several addresses has none, nor has
    /// what only deletes: a key without a value has no ETag.
    pub etag: Option<String>,
}

/// What the URL of a publish names: what its condition and its ETag are of.
#[derive(Clone)]
struct Place {
    address: Address,
    /// Else the address as a whole.
    key: Option<Key>,
}

impl Action {
    /// The method of HTTP that says it.
    pub fn method(&self) -> &'static str {
        match self {
            Action::Post { .. } => "POST",
            Action::Put { .. } => "PUT",
            Action::Delete { .. } => "DELETE",
        }
    }

    fn body_len(&self) -> usize {
        match self {
            Action::Post { body, .. } | Action::Put { body, .. } => body.len(),
            Action::Delete { .. } => 0,
        }
    }
}

impl Hub {
    /// The channel that may be published to at `target`, before a body is read; whether its events may be is judged then.
    ///
    /// # Errors
    /// `invalid` for a pattern, `channel-not-found`, `method-not-allowed`, `unauthenticated`, `forbidden`, `draining`.
    pub fn publishable(&self, target: &Target, method: &str, caller: &Caller) -> Result<Arc<Channel>, Problem> {
        self.publishable_by(target, method, caller, None).map(|(channel, _)| channel)
    }

    /// The same by these policies, or those in force: by them its events are judged, whichever are in force by then.
    fn publishable_by(
        &self,
        target: &Target,
        method: &str,
        caller: &Caller,
        policies: Option<Arc<Policies>>,
    ) -> Result<(Arc<Channel>, Arc<Policies>), Problem> {
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
        let policies = policies.unwrap_or_else(|| channel.policies());
        may_publish(&channel.config, &policies, target, caller)?;
        if self.drain().draining() {
            return Err(self.draining_problem());
        }
        Ok((channel.clone(), policies))
    }

    /// Publishes, and returns when it is durable and visible.
    ///
    /// # Errors
    /// Those of [`Hub::publishable`], and what the body or the log gives cause for. Whatever the
    /// error, nothing was accepted, but for a connection that ends before the answer: then the
    /// publisher cannot know, and repeats with the same idempotency key.
    pub async fn publish(&self, publish: Publish, caller: &Caller) -> Result<Published, Problem> {
        self.publish_by(publish, caller, None).await
    }

    /// The same by the policies of its channel as they were when it came, where somebody has asked them already.
    ///
    /// # Errors
    /// Those of [`Hub::publish`].
    pub async fn publish_by(
        &self,
        publish: Publish,
        caller: &Caller,
        policies: Option<Arc<Policies>>,
    ) -> Result<Published, Problem> {
        let answer = self.publish_counted(publish, caller, policies).await;
        let counters = self.counters();
        let counter = match &answer {
            Ok(published) if published.replayed => &counters.replayed,
            Ok(_) => &counters.published,
            Err(_) => &counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn publish_counted(
        &self,
        publish: Publish,
        caller: &Caller,
        policies: Option<Arc<Policies>>,
    ) -> Result<Published, Problem> {
        let (channel, policies) = self.publishable_by(&publish.target, publish.action.method(), caller, policies)?;
        let told =
            publish.condition.as_ref().map(|condition| condition.tells((&channel, &policies), &publish.target, caller));
        let tells = told.transpose()?.unwrap_or(Tells::All);
        let Publish { target: Target::Address(address), action, idempotency, condition } = publish else {
            unreachable!("a pattern is not publishable")
        };
        let large = action.body_len() > INLINE_BYTES_MAX;
        let read = {
            let (channel, condition, caller) = (channel.clone(), condition.clone(), caller.clone());
            move || batch((&channel, &policies), &caller, address, action, idempotency, condition.as_ref())
        };
        let (batch, place) = if large { blocking(read).await? } else { read()? };
        let count = batch.entries.len() as u64;
        let tagged = batch.entries.iter().all(|entry| entry.address == place.address)
            && batch.entries.iter().any(|entry| entry.op != Op::Delete);
        let refused = |error| match (error, &condition) {
            (AppendError::Closed, _) => self.draining_problem(),
            (AppendError::Unexpected(standing), Some(condition)) => condition.failed(&channel, &place, standing, tells),
            (error, _) => append_problem(error),
        };
        let appended = self.append(batch).await?.map_err(refused)?;
        let offset = appended.offset(channel.log.id()).unwrap_or_default();
        let count = if appended.replayed { appended.count } else { count };
        let cursor = place.cursor(&channel, None, offset).to_string();
        let etag = tagged.then(|| match &place.key {
            Some(_) => place.etag(&channel, offset),
            None => quoted(&cursor),
        });
        Ok(Published { etag, cursor, count, replayed: appended.replayed })
    }

    /// Keeps or forgets what is no event, as durably as one.
    ///
    /// # Errors
    /// As a publish has them: the log takes nothing now.
    pub async fn keep(&self, batch: Batch) -> Result<(), Problem> {
        let refused = |error| match error {
            AppendError::Closed => self.draining_problem(),
            error => append_problem(error),
        };
        self.append(batch).await?.map(|_| ()).map_err(refused)
    }

    /// The outer error: the log has stopped, and what became of the batch is not known.
    async fn append(&self, batch: Batch) -> Result<Result<Appended, AppendError>, Problem> {
        let stopped = || Problem::new(ErrorCode::Internal, "the log has stopped");
        let _place = self.shared.publishing.acquire().await.map_err(|_| stopped())?;
        let (done, answer) = oneshot::channel();
        self.log().submit(batch, move |result| {
            let _ = done.send(result);
        });
        answer.await.map_err(|_| stopped())
    }
}

impl Place {
    /// The cursor that an answer to a `GET` of the place would have, of one key or of the whole address.
    fn cursor(&self, channel: &Channel, key: Option<&Key>, offset: Offset) -> Cursor {
        let scope = Scope { key: key.cloned(), ..Scope::address(self.address.clone()) };
        channel.cursor(&View::whole(scope, channel.default_kind()), offset)
    }

    /// The ETag of what was last changed by the record at `offset`, as in the header.
    fn etag(&self, channel: &Channel, offset: Offset) -> String {
        quoted(&self.cursor(channel, self.key.as_ref(), offset).to_string())
    }
}

/// A strong ETag. By hand: every publish is answered with one, and formatting costs several times as much.
fn quoted(cursor: &str) -> String {
    let mut etag = String::with_capacity(cursor.len() + 2);
    etag.push('"');
    etag.push_str(cursor);
    etag.push('"');
    etag
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
        AppendError::Unexpected(_) => ErrorCode::PreconditionFailed,
        AppendError::UnknownChannel | AppendError::State | AppendError::Busy => ErrorCode::Internal,
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

/// Hashes and reads the body; nothing is accepted if any line is wrong.
fn batch(
    (channel, policies): (&Channel, &Policies),
    caller: &Caller,
    address: Address,
    action: Action,
    idempotency: Option<Idempotency>,
    condition: Option<&Precondition>,
) -> Result<(Batch, Place), Problem> {
    // The condition is no part of what is repeated: a repeat asks what became of the first, which was judged.
    let idempotency = idempotency.map(|own| own.into_log(channel, &address, &action)).transpose()?;
    let key = match &action {
        Action::Put { key, .. } | Action::Delete { key } => Some(key_text(channel, key)?),
        Action::Post { .. } => None,
    };
    let place = Place { address, key };
    let entries = entries((channel, policies), caller, &place, action, condition.is_some())?;
    let expect = condition.map(|condition| condition.expect(channel, &place));
    Ok((Batch { entries, checkpoints: Vec::new(), idempotency, expect, tx: None }, place))
}

fn entries(
    (channel, policies): (&Channel, &Policies),
    caller: &Caller,
    place: &Place,
    action: Action,
    conditional: bool,
) -> Result<Vec<Entry>, Problem> {
    let now = Millis::now();
    let body_len = action.body_len();
    let read = |line| {
        let entry = entry(channel, place, line, now, body_len)?;
        let written = (entry.op, &entry.address, entry.key.as_deref(), &*entry.data);
        may_write(&channel.config, policies, caller, now, written)?;
        Ok(entry)
    };
    let (format, body) = match action {
        Action::Put { body, .. } => {
            let json = body::single(&body)?;
            return Ok(vec![read(Line::read(Format::Json, json)?)?]);
        }
        Action::Delete { .. } => return Ok(vec![read(Line::delete())?]),
        Action::Post { format, body } => (format, body),
    };
    let texts = body::texts(format, &body)?;
    if texts.is_empty() {
        return Err(Problem::new(ErrorCode::Invalid, "the body has no event")
            .hint("send one JSON value, a JSON array of them, or one on each line as application/x-ndjson"));
    }
    let single = texts.len() == 1;
    texts
        .into_iter()
        .map(|Text { number, json }| {
            Line::read(format, json)
                .and_then(read)
                .and_then(|entry| if conditional { of_the_place(place, entry) } else { Ok(entry) })
                .map_err(|problem| if single { problem } else { nothing_accepted(problem, number) })
        })
        .collect()
}

/// Names the line, and says what became of the others.
fn nothing_accepted(problem: Problem, line: usize) -> Problem {
    let detail = format!("line {line}: {}; nothing was accepted", problem.detail);
    Problem { detail, ..problem }.line(line)
}

/// What a condition says nothing of must not be written under it.
fn of_the_place(place: &Place, entry: Entry) -> Result<Entry, Problem> {
    if entry.address == place.address {
        return Ok(entry);
    }
    let detail = format!("a condition is of one address, and this is at `{}`", entry.address.as_str());
    Err(Problem::new(ErrorCode::Invalid, detail)
        .hint("leave `address` out of the envelopes, or leave the condition out"))
}

fn entry(channel: &Channel, place: &Place, line: Line, time: Millis, body_len: usize) -> Result<Entry, Problem> {
    if line.data.len() > EVENT_BYTES_MAX {
        return Err(Problem::new(ErrorCode::TooLarge, format!("an event has at most {EVENT_BYTES_MAX} bytes")));
    }
    let address = line_address(channel, &place.address, line.address.as_deref())?;
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
    let key = key::of_line(channel, &line, op, place.key.as_ref())?;
    if op != Op::Delete {
        parameters_agree(channel, &address, &line.data)?;
    }
    Ok(Entry { channel: channel.log.id(), op, address, key, time, data: kept(line.data, body_len) })
}

/// The value as the log keeps it in memory while the record is hot. A slice keeps its whole body
/// alive, and the log counts only the slice, so one is kept only if it is at least half of the body:
/// then what is pinned is at most twice what is counted (four times, where the buffer of the body
/// has doubled just before its end). All else is copied, which together is at
/// most the body once more, for as long as the publish lasts.
fn kept(data: Bytes, body_len: usize) -> Bytes {
    let share = data.len() >= SHARED_BYTES_MIN && data.len() >= body_len / 2;
    if share { data } else { Bytes::copy_from_slice(&data) }
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
        let Some(raw) = json::member(data, name).filter(|raw| *raw != b"null") else { continue };
        let detail = match json::scalar_text(raw) {
            Some(said) if said == value => continue,
            Some(said) => format!("the data says `{name}` is `{said}`, the address says `{value}`"),
            None => format!("the data's `{name}` is no string and no number, the address says `{value}`"),
        };
        return Err(Problem::new(ErrorCode::Conflict, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
