//! The limit and the reference loop, `src/bin/yardstick.rs`.

use std::sync::Arc;

use super::{Peer, Running};
use crate::place::{Missing, Place, built, free_address};
use crate::subject::{Http, OPENING_MAX, Transport};

pub(crate) const LIMIT: Peer = Peer { name: "limit", title: "limit", start: |place| start(place, "limit") };
pub(crate) const REFERENCE: Peer =
    Peer { name: "reference", title: "reference loop", start: |place| start(place, "reference") };

fn start(place: Place, mode: &str) -> Result<Running, Missing> {
    let address = free_address()?;
    let process = place.start(&[&built("yardstick")?, mode, &address.to_string()], address)?;
    let subject = Http {
        watch: address,
        publish: address,
        transport: Transport::Sse,
        watch_path: "/",
        post: |channel, event| (format!("/{channel}"), event.to_owned()),
        begun: b"\n:\n\n",
        opening_max: OPENING_MAX,
    };
    Ok(Running { subject: Arc::new(subject), process, place })
}
