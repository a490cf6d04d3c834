//! A client reads: bytes of NDJSON into frames, with the decoder of `tidegate watch`.

use super::{EVENT_BYTES, Measure, Round, world};
use frames::{Frame, Lines};

#[allow(dead_code, reason = "all that `tidegate watch` does with a frame")]
#[path = "../../../../crates/tidegate-cli/src/watch/frames.rs"]
mod frames;

const FRAMES: u64 = 256;

pub(super) const FRAME: Measure =
    Measure { name: "decode", what: "a frame of a client, from NDJSON", units: FRAMES, prepare };

fn prepare() -> Round {
    let data = String::from_utf8(world::event(EVENT_BYTES)).expect("text");
    let frame = format!(
        "{{\"op\":\"append\",\"cursor\":\"tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1\",\"address\":\"live/one\",\
         \"time\":\"2027-01-15T08:00:00.000Z\",\"data\":{data}}}\n"
    );
    Round::of(move || {
        let mut lines = Lines::default();
        for _ in 0..FRAMES {
            lines.push(frame.as_bytes()).expect("short enough");
            let line = lines.next().expect("a line");
            let frame = Frame::read(&line).unwrap_or_else(|error| panic!("{error}"));
            std::hint::black_box(frame.cursor());
        }
    })
}
