//! What a metric is: its name, what it means, and where it is read. Each room has a table of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_hub::Hub;
use tidegate_log::Stats;
use tidegate_sources::SourceStats;
use tidegate_transports::{AnswerFigures, Gateway};
use tidegate_wire::Tails;

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

/// What is read.
pub(super) enum Read {
    /// One number, without labels.
    One(fn(&State) -> u64),
    /// A sample for each value of the labels; none where there is nothing to tell.
    Each(fn(&State) -> Vec<Sample>),
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

impl Figure {
    pub(super) const fn counter(name: &'static str, help: &'static str, read: fn(&State) -> u64) -> Figure {
        Figure { name, kind: Kind::Counter, help, labels: &[], read: Read::One(read) }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str, read: fn(&State) -> u64) -> Figure {
        Figure { name, kind: Kind::Gauge, help, labels: &[], read: Read::One(read) }
    }

    /// What it is now.
    pub(super) fn samples(&self, state: &State) -> Vec<Sample> {
        match self.read {
            Read::One(read) => vec![Sample::one(read(state) as f64)],
            Read::Each(read) => read(state),
        }
    }
}

impl Sample {
    /// Without labels.
    pub(super) fn one(figure: f64) -> Sample {
        Sample::Value(Vec::new(), figure)
    }

    /// With this value of the one label.
    pub(super) fn of(label: &str, figure: f64) -> Sample {
        Sample::Value(vec![label.to_owned()], figure)
    }

    /// One for each of these values of the one label.
    pub(super) fn each<const N: usize>(figures: [(&str, u64); N]) -> Vec<Sample> {
        figures.map(|(label, figure)| Sample::of(label, figure as f64)).into()
    }
}

/// What a counter of a room says.
pub(super) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
