//! The limit and the reference loop, `src/bin/yardstick.rs`.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(crate) const LIMIT: Peer =
    Peer { name: "limit", title: "limit", start: |place| start(place, "yardstick", &["limit"], BEGUN) };
pub(crate) const REFERENCE: Peer = Peer {
    name: "reference",
    title: "reference loop",
    start: |place| start(place, "yardstick", &["reference"], BEGUN),
};

const BEGUN: &[u8] = b"\n:\n\n";

/// Starts a ruler of ours: a program of `src/bin/` that takes its address as the last word, and serves
/// SSE at any path.
pub(super) fn start(place: Place, program: &str, words: &[&str], begun: &'static [u8]) -> Result<Running, Missing> {
    let address = free_address()?;
    let (program, at) = (built(program)?, address.to_string());
    let words = [&[program.as_str()], words, &[&at]].concat();
    let process = place.start(&words, address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport: Transport::Sse,
        watch_path: "/",
        post: |channel, event| (format!("/{channel}"), event.to_owned()),
        begun,
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
