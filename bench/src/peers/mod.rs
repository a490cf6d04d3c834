//! The servers that are measured: a file each, which starts it and says how it is talked to.
//! What it is configured with is in `bench/peers/NAME/`.

mod files;
mod guarded;
mod handshake;
mod naive;
mod nats;
mod nchan;
mod pushpin;
mod tidegate;
mod ws;
mod yardstick;

use std::sync::Arc;

use tidegate_bench::Subject;

use crate::place::{Missing, Place};
use crate::process::Process;

pub(crate) use files::Files;
pub(crate) use guarded::{Guarded, SSE as GUARDED_SSE, WEBSOCKET as GUARDED_WEBSOCKET};
pub(crate) use handshake::HANDSHAKE;
pub(crate) use tidegate::{DURABLE, PATIENT, SSE, Server, WEBSOCKET};
pub(crate) use yardstick::{LIMIT, REFERENCE};

/// A column of the table.
pub(crate) struct Peer {
    /// How `--only` calls it.
    pub(crate) name: &'static str,
    /// What stands above its column.
    pub(crate) title: &'static str,
    pub(crate) start: fn(Place) -> Result<Running, Missing>,
}

/// A server that runs; it ends and its folder is removed when this is dropped.
pub(crate) struct Running {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) process: Process,
    /// After the process, which writes into it.
    pub(crate) place: Place,
}

/// The rulers and Tidegate's servers; the ratios of the table are to the first.
pub(crate) const OWN: &[Peer] = &[
    yardstick::LIMIT,
    yardstick::REFERENCE,
    tidegate::SSE,
    tidegate::WEBSOCKET,
    tidegate::DURABLE,
    guarded::SSE,
    guarded::WEBSOCKET,
];

/// What Tidegate is measured beside.
pub(crate) const OTHERS: &[Peer] =
    &[naive::SSE, naive::WEBSOCKET, nchan::SSE, nchan::WEBSOCKET, nats::WEBSOCKET, ws::WEBSOCKET, pushpin::SSE];

/// All, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Peer> {
    OWN.iter().chain(OTHERS)
}
