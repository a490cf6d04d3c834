//! What a source is told of the channels that it writes.

use tidegate_core::{Placement, Template};

/// One channel of a source.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub channel: String,
    /// Which part of the source it takes, as the config has it; sources without tables have none.
    pub table: Option<String>,
    /// What it takes of that.
    pub takes: Takes,
    /// How numbers are written into its data.
    pub numbers: Numbers,
}

/// What a channel takes of its source.
#[derive(Clone, Debug)]
pub enum Takes {
    /// Rows, each to its place. The channel has a key.
    Rows(Placement),
    /// Events that have no place, or cannot be read, each with its reason. A plain channel with one
    /// address: its template has no parameters.
    DeadLetters(Template),
}

/// How numbers are written that not every reader can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Numbers {
    /// As JSON numbers with all their digits.
    #[default]
    Json,
    /// Those that may not fit a double, wide integers and decimals, as strings. For JavaScript.
    Text,
}
