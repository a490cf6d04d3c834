//! The request side of every way to watch and publish: HTTP/1.1 requests in, answers out, and
//! sockets handed to streams.
//!
//! A transport reads what the client wants, asks the hub whether and from where, and either
//! answers or hands the socket over. It never reads the log, and never knows a source.

mod action;
mod answer;
mod budget;
mod connection;
mod door;
mod list;
mod negotiate;
mod options;
mod page;
mod patient;
mod poll;
mod problems;
mod publish;
mod read;
mod route;
mod stream;
mod websocket;

pub use action::Action;
pub use budget::Budget;
pub use connection::serve;
pub use door::Allowed;
pub use page::{Asset, Assets};
#[cfg(any(test, feature = "fuzzed"))]
#[doc(hidden)]
pub use websocket::fuzzed;

use tidegate_hub::Hub;
use tidegate_wire::Tails;

/// What every request needs.
pub struct Gateway {
    /// Channels, publishing, watches.
    pub hub: Hub,
    /// Live bytes.
    pub tails: Tails,
    /// Host names and origins.
    pub allowed: Allowed,
    /// The page and its parts.
    pub assets: Assets,
    /// What its buttons set off.
    pub actions: Vec<Action>,
    /// Memory for large bodies and answers.
    pub budget: Budget,
}
