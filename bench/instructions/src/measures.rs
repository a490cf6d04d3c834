//! What is counted: the steps of an event's life, each by itself, and those of the path from a
//! publish to all watchers together. A file a room.

mod append;
mod decode;
mod encode;
mod fanout;
mod publish;
mod world;

/// One thing that is counted.
pub(crate) struct Measure {
    /// As in the file of counts.
    pub(crate) name: &'static str,
    /// What one unit is.
    pub(crate) what: &'static str,
    /// Units of one round of work.
    pub(crate) units: u64,
    /// Prepares, and gives a round.
    pub(crate) prepare: fn() -> Round,
}

/// What is done again and again.
pub(crate) struct Round {
    /// Is not counted.
    pub(crate) before: Box<dyn FnMut()>,
    pub(crate) work: Box<dyn FnMut()>,
}

impl Round {
    fn of(work: impl FnMut() + 'static) -> Round {
        Round { before: Box::new(|| {}), work: Box::new(work) }
    }
}

/// Bytes of the events.
const EVENT_BYTES: usize = 512;

/// All of them, in the order of an event's life.
pub(crate) const MEASURES: &[Measure] = &[
    publish::ONE,
    publish::JUDGED,
    publish::BATCH,
    append::EPHEMERAL,
    append::DURABLE,
    append::KEYED,
    append::GROUP,
    encode::SSE,
    encode::NDJSON,
    encode::WEBSOCKET,
    encode::ELSEWHERE,
    fanout::ONE,
    fanout::HUNDRED,
    decode::FRAME,
];
