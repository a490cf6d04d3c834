//! The one place that knows everything: config, wiring, listeners, admin.
//!
//! ```text
//!   config ─► log ─► hub ─► tails ─► transports      (clients)
//!               ▲                       admin        (health, metrics, watches)
//!            sources
//! ```
//!
//! [`Server::start`] reads as the list of these steps; [`Server::stop`] goes back in reverse.

mod admin;
mod asked;
mod assets;
pub mod config;
pub mod decisions;
pub mod docs;
mod keys;
mod listen;
mod metrics;
mod reload;
mod revoked;
mod server;
pub mod tls;
mod trim;
mod wiring;

pub use listen::ListenError;
pub use server::{Server, StartError};
pub use tidegate_transports::{AUDIT, Action};

/// What is logged where nobody asks for something else.
pub fn log_filter() -> String {
    let quiet = tidegate_sources::QUIET.iter().map(|library| format!(",{library}=off"));
    std::iter::once("info".to_owned()).chain(quiet).collect()
}
