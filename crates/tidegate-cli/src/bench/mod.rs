//! `tidegate bench`: a load on a server, and what it showed.
//!
//! The load itself is `tidegate-bench`; here are its command line, its progress and its outputs.

mod print;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Subcommand, ValueEnum};
use rustix::process::{Resource, getrlimit};
use tidegate_bench::{EVENT_BYTES_MIN, Error, Options, Pace, Process, Scenario, Target, Transport};

use crate::client::{Refusal, Remote};
use crate::serve::raise_file_limit;
use crate::terminal::say;

/// File descriptors beside those of watchers and publishers.
const OTHER_FILES: u64 = 32;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand)]
enum BenchCommand {
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
    /// Watch and do nothing: what a connection costs.
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
struct Place {
    /// The address of a channel that anyone may watch and publish to, best of its own: what is
    /// published stays there as long as the channel retains it.
    address: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How the watchers watch.
    #[arg(long, value_enum, default_value_t = Wire::Sse)]
    transport: Wire,
    /// Let the server chain its frames, and look at the chain, too.
    #[arg(long)]
    chain: bool,
    /// For how many seconds, after the warm-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = above_zero)]
    time: f64,
    /// What has not come after so many seconds without any news is lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = above_zero)]
    patience: f64,
    /// The server's process, to see its CPU time and its memory; one on loopback is found.
    #[arg(long)]
    pid: Option<u32>,
    /// Print the figures as JSON (docs/bench.schema.json).
    #[arg(long)]
    json: bool,
    /// Draw the latencies and the throughput.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print no progress on stderr.
    #[arg(long)]
    quiet: bool,
}

/// What is published, and how fast.
#[derive(clap::Args)]
struct Events {
    /// Events a second, on a schedule that waits for nobody; `max`: each publisher sends its next
    /// when it has its answer. Default: 10; for `publish` max.
    #[arg(long, value_name = "N", value_parser = pace)]
    rate: Option<Pace>,
    /// Connections that publish, each with one request under way.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    publishers: u32,
    /// Events of one publish.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Bytes of one event, at least 50.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = event_bytes)]
    bytes: usize,
    /// Seconds before it counts.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = zero_or_more)]
    warm_up: f64,
}

/// Over how many addresses.
#[derive(clap::Args)]
struct Spread {
    /// Addresses; `{n}` in ADDRESS becomes a number below this. Watchers and events go round them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    addresses: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wire {
    Sse,
    Websocket,
    Ndjson,
    Poll,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let (scenario, place, load) = arguments.command.load();
    let options = options(&place, &load)?;
    raise_file_limit();
    let live = if let Scenario::Resume { live, .. } = scenario { live } else { 0 };
    has_room(u64::from(load.watchers) + u64::from(live) + u64::from(options.target.publishers))?;
    let mut progress = print::Progress::new(!place.quiet);
    let report = tidegate_bench::run(scenario, &options, |moment| progress.tell(moment)).map_err(explain)?;
    progress.end();
    if let Some(file) = &place.svg {
        std::fs::write(file, tidegate_bench::svg(&report))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if place.json {
        say(serde_json::to_string_pretty(&report)?);
    } else {
        say(print::report(&report));
    }
    if !report.is_clean() {
        bail!(
            "lost {}, doubled {}, reordered {}, broken links {}",
            report.lost,
            report.doubled,
            report.reordered,
            report.broken_links
        );
    }
    Ok(())
}

/// How much, whatever the scenario.
struct Amount {
    events: Option<Events>,
    watchers: u32,
    addresses: u32,
    pace: Pace,
}

impl BenchCommand {
    fn load(self) -> (Scenario, Place, Amount) {
        let amount = |events: Events, watchers, addresses, default| {
            let pace = events.rate.unwrap_or(default);
            Amount { events: Some(events), watchers, addresses, pace }
        };
        let ten = Pace::PerSecond(10.0);
        match self {
            BenchCommand::Fanout { place, events, watchers, spread } => {
                (Scenario::Fanout, place, amount(events, watchers, spread.addresses, ten))
            }
            BenchCommand::Publish { place, events, watchers, spread } => {
                (Scenario::Publish, place, amount(events, watchers, spread.addresses, Pace::Fastest))
            }
            BenchCommand::Idle { place, watchers, addresses } => {
                (Scenario::Idle, place, Amount { events: None, watchers, addresses, pace: ten })
            }
            BenchCommand::Resume { place, events, watchers, backlog, live } => {
                (Scenario::Resume { backlog, live }, place, amount(events, watchers, 1, ten))
            }
            BenchCommand::Churn { place, events, watchers, cuts } => {
                (Scenario::Churn { cuts_per_second: cuts }, place, amount(events, watchers, 1, ten))
            }
            BenchCommand::Slow { place, events, watchers, stalled } => {
                (Scenario::Slow { stalled }, place, amount(events, watchers, 1, ten))
            }
        }
    }
}

fn options(place: &Place, amount: &Amount) -> Result<Options> {
    let remote = Remote::parse(&place.url)?;
    let found = remote.authority().to_socket_addrs().with_context(|| format!("cannot find {}", place.url))?;
    let found: Vec<SocketAddr> = found.collect();
    let server = *found.first().ok_or_else(|| anyhow!("cannot find {}", place.url))?;
    let address = place.address.strip_prefix("/v1/").unwrap_or(&place.address);
    if address.contains("{n}") != (amount.addresses > 1) {
        bail!("`{{n}}` in the address and --addresses go together: rooms/{{n}}/messages --addresses 100");
    }
    // A pattern would see what is not for it.
    let first = address.replace("{n}", "0");
    match crate::client::target(&first).map_err(|error| anyhow!(error))? {
        tidegate_core::Target::Address(_) => {}
        tidegate_core::Target::Pattern(_) => bail!("`{address}` is a pattern; one address is needed, or {{n}}"),
    }
    let target = Target {
        host: remote.authority().to_owned(),
        addresses: amount.addresses,
        transport: place.transport.into(),
        chain: place.chain,
        publishers: amount.events.as_ref().map_or(1, |events| events.publishers),
        batch: amount.events.as_ref().map_or(1, |events| events.batch),
        event_bytes: amount.events.as_ref().map_or(EVENT_BYTES_MIN, |events| events.bytes),
        ..Target::new(server, address)
    };
    Ok(Options {
        target,
        watchers: amount.watchers,
        pace: amount.pace,
        time: Duration::from_secs_f64(place.time),
        warm_up: Duration::from_secs_f64(amount.events.as_ref().map_or(0.0, |events| events.warm_up)),
        patience: Duration::from_secs_f64(place.patience),
        server: match place.pid {
            Some(pid) => Some(known(Process::of(pid))?),
            None => Process::listening_on(server),
        },
    })
}

fn known(process: Process) -> Result<Process> {
    match process.cpu() {
        Some(_) => Ok(process),
        None => bail!("there is no process {}", process.pid()),
    }
}

/// Tells beforehand, not at the 1,024th connection.
fn has_room(connections: u64) -> Result<()> {
    let wanted = connections + OTHER_FILES;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        bail!("{connections} connections are {wanted} open files, and the limit is {limit}: ulimit -n {wanted}");
    }
    Ok(())
}

/// A problem of the server, as the other commands tell it.
fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Refused { status, body } => anyhow!(Refusal::read(status, &body).text),
        error => error.into(),
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
