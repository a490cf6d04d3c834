//! The request side of every way to watch and publish: requests of HTTP/1.1 and HTTP/2 in, plain
//! or encrypted, answers out, and sockets handed to streams.
//!
//! A transport reads what the client wants, asks the hub whether and from where, and either
//! answers or hands the socket over. It never reads the log, and never knows a source.

mod action;
mod answer;
mod audit;
mod budget;
mod cache;
mod caller;
mod coding;
mod compress;
mod connection;
mod door;
mod hooks;
mod http2;
mod list;
mod negotiate;
mod opening;
mod options;
mod page;
mod patient;
mod poll;
mod problems;
mod proxies;
mod publish;
mod read;
mod renew;
mod resource;
mod revise;
mod route;
mod stream;
mod tickets;
mod tls;
mod visitor;
mod websocket;

pub use action::Action;
pub use audit::{AUDIT, Audit};
pub use budget::Budget;
pub use connection::serve;
pub use door::Allowed;
pub use hooks::Hooked;
pub use http2::Multiplexed;
pub use page::{Asset, Assets};
pub use proxies::{ForwardedBy, IpNet, Proxies};
pub use read::{AnswerFigures, Answers};
pub use resource::Resource;
pub use revise::{Rejudged, Told};
pub use tls::{Clients, server_config, suite_name, suites};
#[cfg(any(test, feature = "fuzzed"))]
#[doc(hidden)]
pub use websocket::fuzzed;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_gate::{Gate, Limits};
use tidegate_hub::Hub;
use tidegate_wire::Tails;

/// What every request needs.
pub struct Gateway {
    /// Channels, publishing, watches.
    pub hub: Hub,
    /// Live bytes.
    pub tails: Tails,
    /// Who callers are.
    pub gate: Arc<Gate>,
    /// Applications that are asked.
    pub hooks: Hooked,
    /// What the gate decides, counted and told.
    pub audit: Audit,
    /// How fast they may be.
    pub limits: ArcSwap<Limits>,
    /// Whom a request is from.
    pub proxies: Proxies,
    /// Host names and origins.
    pub allowed: ArcSwap<Allowed>,
    /// Where tokens come from.
    pub resource: Resource,
    /// The page and its parts.
    pub assets: Assets,
    /// What its buttons set off.
    pub actions: Vec<Action>,
    /// Memory for large bodies and answers.
    pub budget: Budget,
    /// Answers that are kept for who asks the same.
    pub answers: Answers,
    /// Connections that carry many requests at once.
    pub multiplexed: Multiplexed,
}
