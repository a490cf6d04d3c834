//! What is known of a source at work: figures for metrics, and its state.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Counters of one source since its start, and how it is now.
#[derive(Debug)]
pub struct SourceStats {
    /// Batches that are in the log.
    pub batches: AtomicU64,
    /// Events in them.
    pub events: AtomicU64,
    /// When the last one was, in milliseconds since 1970; 0: none yet.
    pub last_batch_ms: AtomicU64,
    /// Events without a place, which were left out or became dead letters.
    pub unplaced: AtomicU64,
    /// Events that became dead letters.
    pub dead_letters: AtomicU64,
    /// Losses upstream that were healed by comparing everything.
    pub resyncs: AtomicU64,
    /// Reads and appends that failed and were tried again.
    pub failures: AtomicU64,
    /// Age of the last change when it had reached the log, in milliseconds; [`UNKNOWN`](Self::UNKNOWN).
    pub lag_ms: AtomicU64,
    /// Bytes that upstream keeps on its disk because of us; [`UNKNOWN`](Self::UNKNOWN).
    pub upstream_retained_bytes: AtomicU64,
    /// Bytes of changes upstream that we have not confirmed; [`UNKNOWN`](Self::UNKNOWN).
    pub upstream_lag_bytes: AtomicU64,
    state: AtomicU8,
}

/// Where a source is in its life.
///
/// ```text
///   starting ─► connecting ─► loading ─► live
///                   ▲    └──────────────► │
///                   │                     │ failure (any time)
///                   └────── waiting ◄─────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum SourceState {
    /// Nothing has happened yet.
    #[default]
    Starting = 0,
    /// It reaches for upstream.
    Connecting = 1,
    /// It reads what is there now, the first time or after a loss.
    Loading = 2,
    /// Changes arrive as they happen.
    Live = 3,
    /// Something failed; it will try again.
    Waiting = 4,
}

impl SourceState {
    /// All of them, in the order of their figures.
    pub const ALL: [SourceState; 5] =
        [SourceState::Starting, SourceState::Connecting, SourceState::Loading, SourceState::Live, SourceState::Waiting];

    /// The word for people and for the admin side.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Starting => "starting",
            SourceState::Connecting => "connecting",
            SourceState::Loading => "loading",
            SourceState::Live => "live",
            SourceState::Waiting => "waiting",
        }
    }
}

impl SourceStats {
    /// What a gauge holds that the source cannot know, or does not know yet.
    pub const UNKNOWN: u64 = u64::MAX;

    /// Where the source is.
    pub fn state(&self) -> SourceState {
        let figure = self.state.load(Ordering::Relaxed);
        SourceState::ALL.into_iter().find(|state| *state as u8 == figure).unwrap_or_default()
    }

    /// What a gauge says; `None` where it is not known.
    pub fn known(gauge: &AtomicU64) -> Option<u64> {
        match gauge.load(Ordering::Relaxed) {
            SourceStats::UNKNOWN => None,
            figure => Some(figure),
        }
    }

    pub(crate) fn set_state(&self, state: SourceState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Default for SourceStats {
    fn default() -> SourceStats {
        SourceStats {
            batches: AtomicU64::new(0),
            events: AtomicU64::new(0),
            last_batch_ms: AtomicU64::new(0),
            unplaced: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            resyncs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            lag_ms: AtomicU64::new(SourceStats::UNKNOWN),
            upstream_retained_bytes: AtomicU64::new(SourceStats::UNKNOWN),
            upstream_lag_bytes: AtomicU64::new(SourceStats::UNKNOWN),
            state: AtomicU8::new(SourceState::Starting as u8),
        }
    }
}
