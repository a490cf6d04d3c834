//! `tidegate bench`: a load on a server, and what it showed.
//!
//! The load itself is `tidegate-bench`; here are its command line, its progress and its outputs.

mod arguments;
mod print;

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Resource, getrlimit};
use tidegate_bench::{EVENT_BYTES_MIN, Error, Options, Process, Scenario, Target};

use self::arguments::{Amount, Place};
use crate::client::{Refusal, Remote};
use crate::serve::raise_file_limit;
use crate::terminal::say;

pub(crate) use self::arguments::Arguments;

/// File descriptors beside those of watchers and publishers.
const OTHER_FILES: u64 = 32;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let (scenario, place, load) = arguments.command.load();
    let options = options(&place, &load)?;
    raise_file_limit();
    let live = if let Scenario::Resume { live, .. } = scenario { live } else { 0 };
    has_room(u64::from(load.watchers) + u64::from(live) + u64::from(options.target.publishers))?;
    // Before the load, which may take long.
    let picture = match &place.svg {
        Some(file) => Some(File::create(file).with_context(|| format!("cannot write {}", file.display()))?),
        None => None,
    };
    let mut progress = print::Progress::new(!place.quiet);
    let report = tidegate_bench::run(scenario, &options, |moment| progress.tell(moment)).map_err(explain)?;
    progress.end();
    if let Some(mut picture) = picture {
        picture.write_all(tidegate_bench::svg(&report).as_bytes()).context("cannot write the picture")?;
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

fn options(place: &Place, amount: &Amount) -> Result<Options> {
    let remote = Remote::parse(&place.url, None)?;
    if remote.encrypted() {
        bail!("the load goes over plain HTTP: put http:// and the address of the server itself");
    }
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
        spread: amount.spread,
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
        Error::Refused { status, body } => anyhow!("{}", Refusal::read(status, &body)),
        error => error.into(),
    }
}
