//! The one place that knows everything: config, wiring, listeners, admin.

pub mod config;
