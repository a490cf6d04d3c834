//! How streams are served.

use std::time::Duration;

use crate::load::LoadOptions;

/// Limits and intervals of streams.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Threads that write to sockets; one for each processor, unless told otherwise.
    pub lanes: usize,
    /// A busy tail is written out at most this often; what comes meanwhile joins the next write. An
    /// event that comes alone waits for nothing.
    pub batch_delay: Duration,
    /// Sockets are written to by io_uring, where the kernel allows it: many with one system call.
    pub io_uring: bool,
    /// What clients accept compressed is compressed: bodies, and messages of WebSockets.
    pub compress: bool,
    /// A watcher whose socket takes no byte for so long is closed. Long enough for a client that
    /// pauses, short enough to free what a dead one holds.
    pub write_timeout: Duration,
    /// A watcher that stays behind the live tail for so long is closed.
    pub lag_max: Duration,
    /// A connection that is this old, give or take a tenth, is closed, and its client comes back: so no deploy meets
    /// only old connections. At most 30 days.
    pub age_max: Option<Duration>,
    /// When watches of less important channels give way.
    pub load: LoadOptions,
    /// The ceiling of what clients make the server hold in memory, in bytes.
    pub memory_max: usize,
    /// What a watch and its connection take beside what they send, about, in bytes.
    pub watch_bytes: usize,
}

impl StreamOptions {
    /// How old one connection may become: each another age, or all that came together would come back together.
    /// `seed` is a number of its own.
    pub fn age(&self, seed: u32) -> Option<Duration> {
        // The bits of a number that rises by one, spread evenly (Knuth's multiplicative hash).
        let part = f64::from(seed.wrapping_mul(2_654_435_769)) / f64::from(u32::MAX);
        self.age_max.map(|max| max.mul_f64(1.0 - AGE_JITTER + 2.0 * AGE_JITTER * part))
    }
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions {
            lanes: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(LANES_MAX),
            batch_delay: Duration::from_millis(1),
            io_uring: true,
            compress: true,
            write_timeout: Duration::from_secs(5 * 60),
            lag_max: Duration::from_secs(60 * 60),
            age_max: None,
            load: LoadOptions::default(),
            memory_max: 2 * 1024 * 1024 * 1024,
            watch_bytes: WATCH_BYTES,
        }
    }
}

/// A watch, its entry on the list, its socket and its place in a lane: 878 bytes as `tidegate bench
/// idle` has it for 5,000 over SSE.
const WATCH_BYTES: usize = 1024;
/// Connections live so much longer or shorter than `age_max`.
const AGE_JITTER: f64 = 0.1;
/// More threads than this do not help: the kernel's network stack is the limit by then.
const LANES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_over_a_fifth() {
        let hour = Duration::from_secs(3_600);
        let options = StreamOptions { age_max: Some(hour), ..StreamOptions::default() };
        let mut ages: Vec<Duration> = (0..1_000).filter_map(|seed| options.age(seed)).collect();
        ages.sort_unstable();
        assert!(ages[0] >= hour.mul_f64(0.9) && ages[999] <= hour.mul_f64(1.1));
        // Of those who came one after the other, a tenth goes in each tenth of the time.
        let early = ages.iter().filter(|age| **age < hour.mul_f64(0.92)).count();
        assert!((80..120).contains(&early), "{early}");
        assert_eq!(StreamOptions::default().age(1), None);
    }
}
