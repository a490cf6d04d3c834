//! Callers that say who they are, and what happens when that changes while they watch.

mod callers;
mod keys;
mod metadata;
mod reload_file;
mod reload_storm;
mod reloading;
mod renewing;
mod revoking;
mod rig;
mod rights;
mod step_up;
mod tickets;
