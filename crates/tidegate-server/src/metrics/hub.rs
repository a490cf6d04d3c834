//! Metrics of the hub: channels, publishes, watches.

use tidegate_hub::Channel;

use super::figures::{Figure, Kind, Read, Sample, State, load};

pub(super) const FIGURES: &[Figure] = &[
    channel(
        "tidegate_channel_head",
        "Offset of the channel's last record; its rate is at least the channel's event rate.",
        |state| channels(state, |channel| channel.log.head()),
    ),
    channel("tidegate_channel_start", "Records after this offset are held; a cursor before it has a gap.", |state| {
        channels(state, |channel| channel.log.start())
    }),
    channel("tidegate_channel_loading", "1 while the channel's source has not delivered its first state.", |state| {
        channels(state, |channel| channel.loading().into())
    }),
    Figure {
        name: "tidegate_publishes",
        kind: Kind::Counter,
        help: "Publishes: `accepted` are durable, `replayed` were repeats of a durable one, `refused` had no effect.",
        labels: &["outcome"],
        read: Read::Each(|state| {
            let counters = state.hub.counters();
            Sample::each([
                ("accepted", load(&counters.published)),
                ("replayed", load(&counters.replayed)),
                ("refused", load(&counters.refused)),
            ])
        }),
    },
    Figure {
        name: "tidegate_watches",
        kind: Kind::Gauge,
        help: "Live watches.",
        labels: &["transport"],
        read: Read::Each(|state| {
            let live = state.hub.watches().by_transport();
            let count = |transport| live.get(transport).copied().unwrap_or_default() as u64;
            Sample::each(["ndjson", "sse", "websocket"].map(|transport| (transport, count(transport))))
        }),
    },
    Figure::counter(
        "tidegate_gaps",
        "Gaps announced: a cursor was older than what is held, or of another life of the log.",
        |state| load(&state.hub.counters().gaps),
    ),
    Figure::counter(
        "tidegate_resets",
        "Resets announced; each is followed by a snapshot. Every new watch of a keyed channel begins with one.",
        |state| load(&state.hub.counters().resets),
    ),
];

const fn channel(name: &'static str, help: &'static str, read: fn(&State) -> Vec<Sample>) -> Figure {
    Figure { name, kind: Kind::Gauge, help, labels: &["channel"], read: Read::Each(read) }
}

fn channels(state: &State, read: impl Fn(&Channel) -> u64) -> Vec<Sample> {
    let channels = state.hub.catalog().iter();
    channels.map(|channel| Sample::of(&channel.config.name, read(channel) as f64)).collect()
}
