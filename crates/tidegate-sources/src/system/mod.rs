//! This machine's figures: CPU, memory, disks, network, processes and load.
//!
//! A sample is a set of rows, each `{"group":…,"name":…, figures…}`. What changed since the last
//! sample is appended as one batch.
//!
//! **Guarantee:** the figures of the past cannot be had again, so this source does not replay: at a
//! start it compares its first sample with the view and appends the differences.

mod proc;
mod reading;
mod rows;
mod run;
mod settings;

use std::sync::Arc;

pub use settings::System;

use crate::Kind;

/// `kind: system`.
pub const KIND: Kind = Kind {
    name: "system",
    about: "This machine's figures: CPU, memory, disks, network, processes and load, as rows with `group` and `name`.",
    schema: settings::schema,
    configure: |settings| Ok(Arc::new(System::configure(settings)?)),
    members: &["group", "name"],
    tables: false,
    schemes: &[],
    discover: crate::discovery::nothing,
};
