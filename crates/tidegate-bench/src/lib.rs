//! A load generator that costs little beside the server it loads.
//!
//! One thread and one epoll for all its connections, so that it can share a machine with the
//! server: a watcher is a socket and 160 bytes. `tidegate bench` runs the
//! [scenarios](Scenario), and so do tests and measurements.
//!
//! Each event carries a [`Mark`]: its stream, its number there, and the time at which it was *to
//! be* sent. From that follow the latencies (a late publisher hides nothing: what waited for it
//! counts) and whether anything was lost, doubled or reordered.
//!
//! ```text
//!   schedule ─► publishers ─► server ─► watchers ─► scan ─┬─► order    lost, doubled, reordered
//!                                          ▲              └─► gauge    latencies, samples
//!                                          └── cut: come back with the cursor held
//! ```

mod gauge;
mod head;
mod kernel;
mod load;
mod mark;
mod number;
mod order;
mod process;
mod publishers;
mod report;
mod scan;
mod scenario;
mod socket;
mod subject;
mod svg;
mod target;
mod watchers;

pub use gauge::Moment;
pub use load::Load;
pub use mark::{Clock, EVENT_BYTES_MIN, Mark, Run};
pub use number::grouped;
pub use order::Tally;
pub use process::Process;
pub use publishers::Pace;
pub use report::{Latency, Point, Report, Sample, ServerCost, Stalled, schema};
pub use scenario::{Options, Scenario, run};
pub use socket::{Trust, trusting};
pub use subject::{Acknowledged, Step, Subject};
pub use svg::svg;
pub use target::{Target, Transport};

/// Why a load cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses: no more file descriptors, no route, nobody there.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The server refuses.
    #[error("the server answered {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its problem, as JSON, as far as it was read.
        body: String,
    },
    /// The server ended a connection in the middle of a request, so nobody knows what became of it.
    #[error("the server closed a connection before it answered")]
    Gone,
    /// What came is no HTTP.
    #[error("what came is no answer in HTTP: {0}")]
    Strange(&'static str),
    /// Nothing came any more while something was waited for.
    #[error("nothing came for {seconds} s: {open} of {wanted} watchers had begun")]
    Silence {
        /// Patience.
        seconds: u64,
        /// Watchers that had begun.
        open: u32,
        /// Watchers that should have.
        wanted: u32,
    },
}

impl Error {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |error| Error::System { what, error }
    }

    pub(crate) fn errno(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
        move |error| Error::System { what, error: error.into() }
    }
}
