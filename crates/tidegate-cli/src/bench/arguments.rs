//! The command line of `tidegate bench`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use tidegate_bench::{EVENT_BYTES_MIN, Pace, Scenario, Transport};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: BenchCommand,
}

#[derive(Subcommand)]
pub(super) enum BenchCommand {
    /// Publish events, each of which goes to all watchers of its address.
    Fanout {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        /// Watchers.
        #[arg(long, value_name = "N", default_value_t = 100)]
        watchers: u32,
        #[command(flatten)]
        spread: Spread,
    },
    /// Publish as fast as it goes, or at a rate, and time the acknowledgements.
    Publish {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        /// Watchers, which see whether everything arrives.
        #[arg(long, value_name = "N", default_value_t = 1)]
        watchers: u32,
        #[command(flatten)]
        spread: Spread,
    },
    /// Watch and do nothing: what a connection costs, on a server that has had fewer so far.
    Idle {
        #[command(flatten)]
        place: Place,
        /// Watchers.
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        watchers: u32,
        /// Addresses; `{n}` in ADDRESS becomes a number below this.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        addresses: u32,
    },
    /// Let watchers come back that have missed many events, while others watch live.
    Resume {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        /// Watchers that come back.
        #[arg(long, value_name = "N", default_value_t = 100)]
        watchers: u32,
        /// Events that they have missed.
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        backlog: u32,
        /// Watchers that watch live; the latencies are theirs.
        #[arg(long, value_name = "N", default_value_t = 10)]
        live: u32,
    },
    /// Cut watchers off, at any byte, and let them come back with their cursors.
    Churn {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        /// Watchers.
        #[arg(long, value_name = "N", default_value_t = 100)]
        watchers: u32,
        /// Cuts a second.
        #[arg(long, value_name = "N", default_value_t = 50.0, value_parser = above_zero)]
        cuts: f64,
    },
    /// Let some watchers stop reading for half of the time, and see whether the others notice.
    Slow {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        /// Watchers, those that stop reading among them.
        #[arg(long, value_name = "N", default_value_t = 100)]
        watchers: u32,
        /// Watchers that stop reading.
        #[arg(long, value_name = "N", default_value_t = 10)]
        stalled: u32,
    },
}

/// Where, for how long, and what becomes of the figures.
#[derive(clap::Args)]
pub(super) struct Place {
    /// The address of a channel that anyone may watch and publish to, best of its own: what is
    /// published stays there as long as the channel retains it.
    pub(super) address: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(super) url: String,
    /// How the watchers watch.
    #[arg(long, value_enum, default_value_t = Wire::Sse)]
    pub(super) transport: Wire,
    /// Let the server chain its frames, and look at the chain, too.
    #[arg(long)]
    pub(super) chain: bool,
    /// For how many seconds, after the warm-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = above_zero)]
    pub(super) time: f64,
    /// What has not come after so many seconds without any news is lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = above_zero)]
    pub(super) patience: f64,
    /// The server's process, to see its CPU time and its memory; one on loopback is found.
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// Print the figures as JSON (docs/bench.schema.json).
    #[arg(long)]
    pub(super) json: bool,
    /// Draw the latencies and the throughput.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Print no progress on stderr.
    #[arg(long)]
    pub(super) quiet: bool,
}

/// What is published, and how fast.
#[derive(clap::Args)]
pub(super) struct Events {
    /// Events a second, on a schedule that waits for nobody; `max`: each publisher sends its next
    /// when it has its answer. Default: 10; for `publish` max.
    #[arg(long, value_name = "N", value_parser = pace)]
    pub(super) rate: Option<Pace>,
    /// Connections that publish, each with one request under way.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) publishers: u32,
    /// Events of one publish.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) batch: u32,
    /// Bytes of one event, at least 50.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = event_bytes)]
    pub(super) bytes: usize,
    /// Seconds before it counts.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = zero_or_more)]
    pub(super) warm_up: f64,
}

/// Over how many addresses.
#[derive(clap::Args)]
pub(super) struct Spread {
    /// Addresses; `{n}` in ADDRESS becomes a number below this. Watchers and events go round them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) addresses: u32,
    /// The events of one publish (--batch) are each at another address, in envelopes that name it:
    /// for plain channels.
    #[arg(long)]
    pub(super) spread: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Wire {
    Sse,
    Websocket,
    Ndjson,
    Poll,
}

/// How much, whatever the scenario.
pub(super) struct Amount {
    pub(super) events: Option<Events>,
    pub(super) watchers: u32,
    pub(super) addresses: u32,
    pub(super) spread: bool,
    pub(super) pace: Pace,
}

impl BenchCommand {
    pub(super) fn load(self) -> (Scenario, Place, Amount) {
        let amount = |events: Events, watchers, spread: Option<Spread>, default| {
            let pace = events.rate.unwrap_or(default);
            let (addresses, spread) = spread.map_or((1, false), |spread| (spread.addresses, spread.spread));
            Amount { events: Some(events), watchers, addresses, spread, pace }
        };
        let ten = Pace::PerSecond(10.0);
        match self {
            BenchCommand::Fanout { place, events, watchers, spread } => {
                (Scenario::Fanout, place, amount(events, watchers, Some(spread), ten))
            }
            BenchCommand::Publish { place, events, watchers, spread } => {
                (Scenario::Publish, place, amount(events, watchers, Some(spread), Pace::Fastest))
            }
            BenchCommand::Idle { place, watchers, addresses } => {
                (Scenario::Idle, place, Amount { events: None, watchers, addresses, spread: false, pace: ten })
            }
            BenchCommand::Resume { place, events, watchers, backlog, live } => {
                (Scenario::Resume { backlog, live }, place, amount(events, watchers, None, ten))
            }
            BenchCommand::Churn { place, events, watchers, cuts } => {
                (Scenario::Churn { cuts_per_second: cuts }, place, amount(events, watchers, None, ten))
            }
            BenchCommand::Slow { place, events, watchers, stalled } => {
                (Scenario::Slow { stalled }, place, amount(events, watchers, None, ten))
            }
        }
    }
}

impl From<Wire> for Transport {
    fn from(wire: Wire) -> Transport {
        match wire {
            Wire::Sse => Transport::Sse,
            Wire::Websocket => Transport::WebSocket,
            Wire::Ndjson => Transport::Ndjson,
            Wire::Poll => Transport::Poll,
        }
    }
}

fn pace(text: &str) -> Result<Pace, String> {
    if text == "max" {
        return Ok(Pace::Fastest);
    }
    above_zero(text).map(Pace::PerSecond).map_err(|error| format!("{error}, or max"))
}

fn above_zero(text: &str) -> Result<f64, String> {
    zero_or_more(text).ok().filter(|number| *number > 0.0).ok_or_else(|| "write a number above 0".to_owned())
}

/// A day, or a million a second, is as much as makes sense anywhere here.
fn zero_or_more(text: &str) -> Result<f64, String> {
    const MAX: f64 = 1e6;
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 0 to {MAX}"))
}

fn event_bytes(text: &str) -> Result<usize, String> {
    const MAX: usize = 1 << 20;
    let bytes = text.parse::<usize>().ok().filter(|bytes| (EVENT_BYTES_MIN..=MAX).contains(bytes));
    bytes.ok_or_else(|| format!("write a number from {EVENT_BYTES_MIN} to {MAX}"))
}
