//! Publishing: a body becomes entries of one batch, all or nothing, acknowledged when durable.

mod batch;
mod body;
mod condition;
mod idempotency;
mod key;
mod place;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Op, Problem, Target};
use tidegate_log::{AppendError, Appended, Batch, ReadError};
use tokio::sync::oneshot;

pub use body::Format;
pub use condition::Precondition;
pub use idempotency::Idempotency;
pub use key::key_text;

use crate::Hub;
use crate::channel::Channel;
use crate::policy::{Caller, Policies, may_publish};
use crate::query::blocking;
use batch::batch;
use condition::Tells;
use place::quoted;

/// Batches that may wait for the log at once; more publishers wait for a place. The log's own
/// queue is as long, so that handing over never blocks a thread.
pub(crate) const IN_FLIGHT_MAX: usize = 4_096;
/// Hashing and parsing a larger body would hold up a worker of the runtime, up to tens of
/// milliseconds for 8 MiB; below, handing over to another thread costs more than it saves.
const INLINE_BYTES_MAX: usize = 64 * 1024;

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

    /// What is [kept](Hub::keep) of a kind, in order of name.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn kept(&self, kind: &'static str) -> Result<Vec<(String, Bytes)>, ReadError> {
        let log = self.log().clone();
        blocking(move || log.kept(kind)).await
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

#[cfg(test)]
mod tests;
