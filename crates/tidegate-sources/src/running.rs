//! A source at work on its own thread, and what is known of it from outside.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// A source at work. Dropping it stops it, too.
pub struct Running {
    name: String,
    stats: Arc<SourceStats>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Counters of one source since its start.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Batches that are in the log.
    pub batches: AtomicU64,
    /// Events in them.
    pub events: AtomicU64,
    /// When the last one was, in milliseconds since 1970; 0: none yet.
    pub last_batch_ms: AtomicU64,
    /// Events without a place, which were left out.
    pub unplaced: AtomicU64,
    /// Reads and appends that failed and were tried again.
    pub failures: AtomicU64,
}

/// Tells the source's thread to stop.
pub(crate) struct Stop(Receiver<()>);

impl Running {
    /// Starts `work` on a thread named after the source. It has to return soon after `Stop` says so.
    pub(crate) fn start(
        name: &str,
        stats: Arc<SourceStats>,
        work: impl FnOnce(Stop) + Send + 'static,
    ) -> io::Result<Running> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("source {name}")).spawn(move || work(Stop(stopped)))?;
        Ok(Running { name: name.to_owned(), stats, stop: Some(stop), thread: Some(thread) })
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
        drop(self.stop.take());
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

impl SourceStats {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Stop {
    /// Waits until `deadline`; `false`: stop now.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    }
}

#[cfg(test)]
mod tests {
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
}
