//! A source at work on its own thread, and how it is told to stop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::Notify;

use crate::stats::SourceStats;

/// A source at work. Dropping it stops it, too.
pub struct Running {
    name: String,
    stats: Arc<SourceStats>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// Tells the source's thread, and the tasks on it, to stop. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Request>);

#[derive(Default)]
struct Request {
    made: AtomicBool,
    /// Guards nothing but the moment between looking and waiting.
    lock: Mutex<()>,
    threads: Condvar,
    tasks: Notify,
}

impl Running {
    /// Starts `work` on a thread named after the source. It has to return soon after `Stop` says so.
    pub(crate) fn start(
        name: &str,
        stats: Arc<SourceStats>,
        work: impl FnOnce(Stop) + Send + 'static,
    ) -> io::Result<Running> {
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::Builder::new().name(format!("source {name}")).spawn(move || work(told))?;
        Ok(Running { name: name.to_owned(), stats, stop, thread: Some(thread) })
    }

    /// As in the config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its counters.
    pub fn stats(&self) -> &Arc<SourceStats> {
        &self.stats
    }

    /// Returns when the batch in flight is answered and nothing more will be appended.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(source = self.name, "the source panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Stop {
    /// Waits until `deadline`; `false`: stop now.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.threads.wait_timeout_while(guard, left, |()| !self.requested());
        drop(waited);
        !self.requested()
    }

    /// Whether to stop now.
    pub(crate) fn requested(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Returns when it is time to stop. Dropping the future changes nothing.
    #[allow(dead_code, reason = "a build may have no source that runs tasks")]
    pub(crate) async fn wait(&self) {
        // Made before the look, so that a request in between wakes it.
        let told = self.0.tasks.notified();
        if !self.requested() {
            told.await;
        }
    }

    fn request(&self) {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.made.store(true, Ordering::Release);
        drop(guard);
        self.0.threads.notify_all();
        self.0.tasks.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_source_that_waits_stops_at_once() {
        let far = Instant::now() + Duration::from_secs(86_400);
        let stats = Arc::new(SourceStats::default());
        let counted = stats.clone();
        let running = Running::start("patient", stats, move |stop| {
            while stop.wait_until(far) {}
            SourceStats::add(&counted.batches, 1);
        });
        let running = running.expect("a thread");
        let stats = running.stats().clone();
        running.stop();
        assert_eq!(stats.batches.load(Ordering::Relaxed), 1, "stop returns after the work has ended");
    }

    #[test]
    fn tasks_hear_it_before_and_while_they_wait() {
        let stop = Stop::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut early = pin!(stop.wait());
        assert_eq!(early.as_mut().poll(&mut context), Poll::Pending);
        stop.clone().request();
        assert_eq!(early.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(pin!(stop.wait()).poll(&mut context), Poll::Ready(()));
        assert!(stop.requested() && !stop.wait_until(Instant::now() + Duration::from_secs(86_400)));
    }
}
