//! What tests hold the real thing against: the reference model, correct clients, real processes,
//! random histories, and faults.
//!
//! Nothing of a release depends on this crate, and nothing here stands in for a part of the
//! server: tests start the real binary and talk to it over sockets.

pub mod client;
pub mod follower;
pub mod histories;
pub mod http2;
pub mod model;
mod port;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod raw;
pub mod replica;
pub mod shim;
pub mod tls;
pub mod token;
