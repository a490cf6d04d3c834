//! How streams are served.

use std::time::Duration;

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
    /// The ceiling of what clients make the server hold in memory, in bytes.
    pub memory_max: usize,
    /// What a watch and its connection take beside what they send, about, in bytes.
    pub watch_bytes: usize,
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
            memory_max: 2 * 1024 * 1024 * 1024,
            watch_bytes: WATCH_BYTES,
        }
    }
}

/// A watch, its entry on the list, its socket and its place in a lane: 878 bytes as `tidegate bench
/// idle` has it for 5,000 over SSE.
const WATCH_BYTES: usize = 1024;
/// More threads than this do not help: the kernel's network stack is the limit by then.
const LANES_MAX: usize = 64;
