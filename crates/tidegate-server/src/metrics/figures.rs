//! The table of all metrics: name, meaning, and where the figure is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_hub::{Channel, Hub};
use tidegate_log::{Health, SYNC_BUCKETS_US, Stats};
use tidegate_sources::SourceStats;
use tidegate_transports::{AnswerFigures, Gateway};
use tidegate_wire::{Coding, Compressed, Step, Tails, Use, deflated};

use crate::reload::Figures as Reloads;
use crate::tls::Keeper;

/// One metric.
pub(super) struct Figure {
    /// Without the `_total` of counters.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// For the scrape and the reference.
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) read: Read,
}

/// Where the figure is.
pub(super) enum Read {
    /// In the log's figures.
    Log(fn(&Stats) -> Sample),
    /// In the figures of each source.
    Source(fn(&SourceStats) -> &AtomicU64),
    /// The same, where the source knows it; one that does not has no sample.
    Known(fn(&SourceStats) -> &AtomicU64),
    /// In each channel.
    Channel(fn(&Channel) -> u64),
    /// Of the certificate; without one there is no sample.
    Tls(fn(&Keeper) -> u64),
    /// In the figures of the gate.
    Gate(fn(&tidegate_gate::Figures) -> &AtomicU64),
    /// Somewhere else.
    State(fn(&State) -> Vec<Sample>),
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The rooms at the moment of a scrape.
pub(super) struct State<'s> {
    pub(super) gateway: &'s Gateway,
    pub(super) hub: &'s Hub,
    pub(super) tails: &'s Tails,
    pub(super) answers: AnswerFigures,
    pub(super) sources: &'s [(String, Arc<SourceStats>)],
    pub(super) tls: Option<&'s Keeper>,
    pub(super) reloads: &'s Reloads,
    pub(super) log: Stats,
}

pub(super) enum Sample {
    /// Values of the labels in order, and the figure.
    Value(Vec<String>, f64),
    /// Upper bounds with the number in each, not summed up.
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_build_info",
        kind: Kind::Gauge,
        help: "Always 1; the label says which release runs.",
        labels: &["version"],
        read: Read::State(|_| vec![Sample::Value(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)]),
    },
    Figure {
        name: "tidegate_log_health",
        kind: Kind::Gauge,
        help: "0: good. 1: the disk is full, the log recovers by itself. 2: poisoned by a failed sync, restart after repairing the disk.",
        labels: &[],
        read: Read::State(|state| {
            vec![value(match state.hub.log().health() {
                Health::Good => 0,
                Health::Full => 1,
                Health::Poisoned => 2,
            })]
        }),
    },
    log("tidegate_log_batches", Kind::Counter, "Batches that became durable.", |log| value(log.batches)),
    log("tidegate_log_groups", Kind::Counter, "Groups of batches that shared one sync.", |log| value(log.groups)),
    log("tidegate_log_records", Kind::Counter, "Records that became durable.", |log| value(log.records)),
    log("tidegate_log_written_bytes", Kind::Counter, "Bytes written to the journal.", |log| {
        value(log.journal_bytes_written)
    }),
    log(
        "tidegate_log_sync_seconds",
        Kind::Histogram,
        "Duration of the journal's syncs; a publish waits for one.",
        syncs,
    ),
    log("tidegate_log_queued_batches", Kind::Gauge, "Batches that wait for the next sync.", |log| value(log.queued)),
    log(
        "tidegate_log_journal_bytes",
        Kind::Gauge,
        "Journal that is not yet in segments; a restart reads so much.",
        |log| value(log.journal_bytes),
    ),
    log("tidegate_log_memory_records", Kind::Gauge, "Records in memory, not yet in segments.", |log| {
        value(log.hot_records)
    }),
    log("tidegate_log_memory_bytes", Kind::Gauge, "Bytes of these records.", |log| value(log.hot_bytes)),
    log("tidegate_log_segments", Kind::Gauge, "Segments on disk.", |log| value(log.segments)),
    log("tidegate_log_segment_bytes", Kind::Gauge, "Bytes of segments on disk.", |log| value(log.segment_bytes)),
    log("tidegate_log_drains", Kind::Counter, "Times that the journal was moved into segments.", |log| {
        value(log.drains)
    }),
    log("tidegate_log_drains_failed", Kind::Counter, "Times that this failed and will be tried again.", |log| {
        value(log.drains_failed)
    }),
    log("tidegate_log_merges", Kind::Counter, "Merges of segments.", |log| value(log.merges)),
    log("tidegate_log_segments_dropped", Kind::Counter, "Segments dropped by retention.", |log| {
        value(log.segments_dropped)
    }),
    Figure {
        name: "tidegate_channel_head",
        kind: Kind::Gauge,
        help: "Offset of the channel's last record; its rate is at least the channel's event rate.",
        labels: &["channel"],
        read: Read::Channel(|channel| channel.log.head()),
    },
    Figure {
        name: "tidegate_channel_start",
        kind: Kind::Gauge,
        help: "Records after this offset are held; a cursor before it has a gap.",
        labels: &["channel"],
        read: Read::Channel(|channel| channel.log.start()),
    },
    Figure {
        name: "tidegate_channel_loading",
        kind: Kind::Gauge,
        help: "1 while the channel's source has not delivered its first state.",
        labels: &["channel"],
        read: Read::Channel(|channel| channel.loading().into()),
    },
    Figure {
        name: "tidegate_publishes",
        kind: Kind::Counter,
        help: "Publishes: `accepted` are durable, `replayed` were repeats of a durable one, `refused` had no effect.",
        labels: &["outcome"],
        read: Read::State(|state| {
            let counters = state.hub.counters();
            let outcomes =
                [("accepted", &counters.published), ("replayed", &counters.replayed), ("refused", &counters.refused)];
            outcomes.map(|(outcome, counter)| Sample::Value(vec![outcome.to_owned()], load(counter) as f64)).into()
        }),
    },
    Figure {
        name: "tidegate_watches",
        kind: Kind::Gauge,
        help: "Live watches.",
        labels: &["transport"],
        read: Read::State(|state| {
            let live = state.hub.watches().by_transport();
            let count = |transport| live.get(transport).copied().unwrap_or_default() as f64;
            ["ndjson", "sse", "websocket"]
                .map(|transport| Sample::Value(vec![transport.to_owned()], count(transport)))
                .into()
        }),
    },
    Figure {
        name: "tidegate_limited",
        kind: Kind::Counter,
        help: "Times that a limit of `gate.limits` was reached, by whose it is: of an `address`, a `subject` or an `api-key`.",
        labels: &["by", "limit"],
        read: Read::State(|state| {
            let limited = state.gateway.limits.load().refused().into_iter();
            limited
                .map(|(who, limit, times)| {
                    Sample::Value(vec![who.as_str().to_owned(), limit.as_str().to_owned()], times as f64)
                })
                .collect()
        }),
    },
    Figure {
        name: "tidegate_limited_parties",
        kind: Kind::Gauge,
        help: "Addresses, subjects and API keys to which not everything is left, or that have watches at once: by the limit of which they are most.",
        labels: &["by"],
        read: Read::State(|state| {
            let parties = state.gateway.limits.load().parties().into_iter();
            parties.map(|(who, count)| Sample::Value(vec![who.as_str().to_owned()], count as f64)).collect()
        }),
    },
    Figure {
        name: "tidegate_load_level",
        kind: Kind::Gauge,
        help: "Which watches give way under load: 0 none, 1 those of channels with `priority: low`, 2 those with `normal`, too.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.level() as u64)]),
    },
    Figure {
        name: "tidegate_load_level_rises",
        kind: Kind::Counter,
        help: "Times that more watches had to give way.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.tails.load_figures().rises))]),
    },
    Figure {
        name: "tidegate_load_cpu_ratio",
        kind: Kind::Gauge,
        help: "CPU time of the process as a part of the machine's, in the last quarter of a second.",
        labels: &[],
        read: Read::State(|state| {
            let permille = state.tails.load_figures().cpu_permille.load(Ordering::Relaxed);
            vec![Sample::Value(Vec::new(), f64::from(permille) / 1_000.0)]
        }),
    },
    Figure {
        name: "tidegate_load_lag_seconds",
        kind: Kind::Gauge,
        help: "How late the last watcher of an event got it, at the worst in the last quarter of a second.",
        labels: &[],
        read: Read::State(|state| {
            let lag_us = state.tails.load_figures().lag_us.load(Ordering::Relaxed);
            vec![Sample::Value(Vec::new(), lag_us as f64 / 1e6)]
        }),
    },
    Figure {
        name: "tidegate_watches_degraded",
        kind: Kind::Gauge,
        help: "Watches that are told less often, because of load.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.slowed() as u64)]),
    },
    Figure {
        name: "tidegate_watches_turned",
        kind: Kind::Counter,
        help: "Watches that gave way under load: `degraded`, `restored`; and new ones that were `refused` while events were very late.",
        labels: &["how"],
        read: Read::State(|state| {
            let figures = state.tails.load_figures();
            let turned =
                [("degraded", &figures.slowed), ("refused", &figures.refused), ("restored", &figures.restored)];
            turned.map(|(how, counter)| Sample::Value(vec![how.to_owned()], load(counter) as f64)).into()
        }),
    },
    Figure {
        name: "tidegate_gaps",
        kind: Kind::Counter,
        help: "Gaps announced: a cursor was older than what is held, or of another life of the log.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.hub.counters().gaps))]),
    },
    Figure {
        name: "tidegate_resets",
        kind: Kind::Counter,
        help: "Resets announced; each is followed by a snapshot. Every new watch of a keyed channel begins with one.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.hub.counters().resets))]),
    },
    Figure {
        name: "tidegate_tails",
        kind: Kind::Gauge,
        help: "Distinct views that are being watched; watchers of one view share its bytes.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.count() as u64)]),
    },
    Figure {
        name: "tidegate_sent_frames",
        kind: Kind::Counter,
        help: "Frames sent from tails, over all watchers.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.tails.stats().frames))]),
    },
    Figure {
        name: "tidegate_sent_bytes",
        kind: Kind::Counter,
        help: "Bytes sent to watchers, from tails and from the log.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.tails.stats().bytes))]),
    },
    Figure {
        name: "tidegate_watches_behind",
        kind: Kind::Counter,
        help: "Times that a watcher fell behind its tail and went on from the log.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.tails.stats().behind))]),
    },
    Figure {
        name: "tidegate_blocks_read",
        kind: Kind::Counter,
        help: "Blocks of the log that were read and encoded for watchers who are behind.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.block_figures().read)]),
    },
    Figure {
        name: "tidegate_blocks_read_bytes",
        kind: Kind::Counter,
        help: "Bytes of these blocks, encoded.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.block_figures().read_bytes)]),
    },
    Figure {
        name: "tidegate_blocks_shared",
        kind: Kind::Counter,
        help: "Times that a watcher who is behind took a block that another had read.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.block_figures().shared)]),
    },
    Figure {
        name: "tidegate_answers",
        kind: Kind::Counter,
        help: "Answers in JSON to long-polls that had something, and to reads that are no history: `kept` ones of an earlier read, `shared` with another request's read, and those for which the log was `read`.",
        labels: &["from"],
        read: Read::State(|state| {
            let AnswerFigures { kept, shared, read, .. } = state.answers;
            [("kept", kept), ("read", read), ("shared", shared)]
                .map(|(from, count)| Sample::Value(vec![from.to_owned()], count as f64))
                .into()
        }),
    },
    Figure {
        name: "tidegate_polls",
        kind: Kind::Counter,
        help: "Long-polls and catch-up pages answered: by `frames`, or by `nothing` when their wait was over. Behind a cache that collapses requests they are far fewer than its clients'.",
        labels: &["outcome"],
        read: Read::State(|state| {
            let AnswerFigures { polls, polls_empty, .. } = state.answers;
            [("frames", polls), ("nothing", polls_empty)]
                .map(|(outcome, count)| Sample::Value(vec![outcome.to_owned()], count as f64))
                .into()
        }),
    },
    Figure {
        name: "tidegate_answers_held",
        kind: Kind::Gauge,
        help: "Answers that are kept now, for who asks the same.",
        labels: &[],
        read: Read::State(|state| vec![value(state.answers.entries)]),
    },
    Figure {
        name: "tidegate_memory_bytes",
        kind: Kind::Gauge,
        help: "What is held in memory for clients: `rings` of the live views, `blocks` of the log for watchers who are behind, `answers` that are kept for who asks the same, `outputs` for one watcher that are not written yet, large `bodies` and answers, `watches` as estimated. Shared bytes count once.",
        labels: &["use"],
        read: Read::State(|state| {
            let used =
                |what: &Use| Sample::Value(vec![what.as_str().to_owned()], state.tails.memory().used(*what) as f64);
            Use::ALL.iter().map(used).collect()
        }),
    },
    Figure {
        name: "tidegate_memory_max_bytes",
        kind: Kind::Gauge,
        help: "The ceiling over the sum of these, `memory.max`.",
        labels: &[],
        read: Read::State(|state| vec![value(state.tails.memory().max() as u64)]),
    },
    Figure {
        name: "tidegate_memory_shed",
        kind: Kind::Counter,
        help: "What was given up when the ceiling came near, in the order of the steps: `blocks` and kept answers dropped, `rings` made small, `bodies` that waited, new `watches` refused, times that `laggards` waited.",
        labels: &["step"],
        read: Read::State(|state| {
            let shed =
                |step: &Step| Sample::Value(vec![step.as_str().to_owned()], state.tails.memory().shed(*step) as f64);
            Step::ALL.iter().map(shed).collect()
        }),
    },
    Figure {
        name: "tidegate_deflated_messages",
        kind: Kind::Counter,
        help: "WebSocket messages deflated, each once for all watchers that share it.",
        labels: &[],
        read: Read::State(|_| vec![value(deflated().count)]),
    },
    Figure {
        name: "tidegate_deflated_bytes",
        kind: Kind::Counter,
        help: "Bytes of these messages, `before` and `after`; what is saved is that times their watchers.",
        labels: &["when"],
        read: Read::State(|_| {
            let Compressed { bytes_before, bytes_after, .. } = deflated();
            [("before", bytes_before), ("after", bytes_after)]
                .map(|(when, bytes)| Sample::Value(vec![when.to_owned()], bytes as f64))
                .into()
        }),
    },
    Figure {
        name: "tidegate_compressed_runs",
        kind: Kind::Counter,
        help: "Runs of frames of SSE and NDJSON compressed, each once for all watchers that share it.",
        labels: &["coding"],
        read: Read::State(|_| codings(|coding, Compressed { count, .. }| vec![(vec![coding], count)])),
    },
    Figure {
        name: "tidegate_compressed_bytes",
        kind: Kind::Counter,
        help: "Bytes of these runs, `before` and `after`; what is saved is that times their watchers.",
        labels: &["coding", "when"],
        read: Read::State(|_| {
            codings(|coding, Compressed { bytes_before, bytes_after, .. }| {
                vec![(vec![coding, "before"], bytes_before), (vec![coding, "after"], bytes_after)]
            })
        }),
    },
    tls(
        "tidegate_tls_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When the certificate that clients are shown ceases to be good, since 1970; only with `tls`.",
        Keeper::expiry_seconds,
    ),
    tls(
        "tidegate_tls_reloads",
        Kind::Counter,
        "Times that the certificate's files had changed and were taken; only with `tls`.",
        Keeper::reloads,
    ),
    tls(
        "tidegate_tls_reload_failures",
        Kind::Counter,
        "Times that they had changed and were no good, so that the certificate before stayed; only with `tls`.",
        Keeper::failures,
    ),
    Figure {
        name: "tidegate_watches_too_far_behind",
        kind: Kind::Counter,
        help: "Watches closed because they took nothing, or stayed behind the live events, for too long.",
        labels: &[],
        read: Read::State(|state| vec![value(load(&state.tails.stats().too_far_behind))]),
    },
    source("tidegate_source_batches", "Batches that the source appended.", |stats| &stats.batches),
    Figure {
        name: "tidegate_source_last_batch_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the source's last batch became durable, since 1970; 0 before the first.",
        labels: &["source"],
        read: Read::State(|state| {
            let seconds = |stats: &SourceStats| load(&stats.last_batch_ms) as f64 / 1e3;
            state.sources.iter().map(|(name, stats)| Sample::Value(vec![name.clone()], seconds(stats))).collect()
        }),
    },
    source("tidegate_source_events", "Events in them.", |stats| &stats.events),
    source(
        "tidegate_source_unplaced",
        "Events without an address parameter or a key: they became dead letters, or were left out where no channel takes these.",
        |stats| &stats.unplaced,
    ),
    source(
        "tidegate_source_dead_letters",
        "Events that went to the channel of dead letters, with their reason.",
        |stats| &stats.dead_letters,
    ),
    source("tidegate_source_resyncs", "Losses upstream that were healed by comparing everything.", |stats| {
        &stats.resyncs
    }),
    source("tidegate_source_failures", "Reads and appends that failed and were tried again.", |stats| &stats.failures),
    Figure {
        name: "tidegate_source_state",
        kind: Kind::Gauge,
        help: "0: starting. 1: connecting. 2: loading, the first time or after a loss. 3: live. 4: waiting after a failure.",
        labels: &["source"],
        read: Read::State(|state| {
            let figure = |stats: &SourceStats| stats.state() as u8 as f64;
            state.sources.iter().map(|(name, stats)| Sample::Value(vec![name.clone()], figure(stats))).collect()
        }),
    },
    known(
        "tidegate_source_lag_ms",
        "Age of the source's last change when it had reached the log, where upstream says it.",
        |stats| &stats.lag_ms,
    ),
    known(
        "tidegate_source_upstream_lag_bytes",
        "Changes upstream that the source has not confirmed yet, where upstream says it.",
        |stats| &stats.upstream_lag_bytes,
    ),
    known(
        "tidegate_source_upstream_retained_bytes",
        "What upstream keeps on its disk for this source, where it keeps something.",
        |stats| &stats.upstream_retained_bytes,
    ),
];

const fn log(name: &'static str, kind: Kind, help: &'static str, read: fn(&Stats) -> Sample) -> Figure {
    Figure { name, kind, help, labels: &[], read: Read::Log(read) }
}

const fn source(name: &'static str, help: &'static str, read: fn(&SourceStats) -> &AtomicU64) -> Figure {
    Figure { name, kind: Kind::Counter, help, labels: &["source"], read: Read::Source(read) }
}

const fn tls(name: &'static str, kind: Kind, help: &'static str, read: fn(&Keeper) -> u64) -> Figure {
    Figure { name, kind, help, labels: &[], read: Read::Tls(read) }
}

const fn known(name: &'static str, help: &'static str, read: fn(&SourceStats) -> &AtomicU64) -> Figure {
    Figure { name, kind: Kind::Gauge, help, labels: &["source"], read: Read::Known(read) }
}

impl Figure {
    /// What it is now.
    pub(super) fn samples(&self, state: &State) -> Vec<Sample> {
        match self.read {
            Read::Log(read) => vec![read(&state.log)],
            Read::Source(read) => state
                .sources
                .iter()
                .map(|(name, stats)| Sample::Value(vec![name.clone()], load(read(stats)) as f64))
                .collect(),
            Read::Known(read) => state
                .sources
                .iter()
                .filter_map(|(name, stats)| {
                    Some(Sample::Value(vec![name.clone()], SourceStats::known(read(stats))? as f64))
                })
                .collect(),
            Read::Channel(read) => state
                .hub
                .catalog()
                .iter()
                .map(|channel| Sample::Value(vec![channel.config.name.clone()], read(channel) as f64))
                .collect(),
            Read::Tls(read) => state.tls.map(|tls| value(read(tls))).into_iter().collect(),
            Read::Gate(read) => vec![super::gate::sample(state, read)],
            Read::State(read) => read(state),
        }
    }
}

fn syncs(log: &Stats) -> Sample {
    let bounds = SYNC_BUCKETS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
    Sample::Histogram {
        sum: log.sync_us as f64 / 1e6,
        count: log.syncs,
        buckets: bounds.zip(log.sync_buckets).collect(),
    }
}

/// Samples of each content coding: their labels, and the figure.
fn codings(read: impl Fn(&'static str, Compressed) -> Vec<(Vec<&'static str>, u64)>) -> Vec<Sample> {
    let samples = Coding::figures().into_iter().filter_map(|(coding, done)| Some(read(coding.token()?, done)));
    let sample = |(labels, figure): (Vec<&str>, u64)| {
        Sample::Value(labels.into_iter().map(str::to_owned).collect(), figure as f64)
    };
    samples.flatten().map(sample).collect()
}

fn value(value: u64) -> Sample {
    Sample::Value(Vec::new(), value as f64)
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
