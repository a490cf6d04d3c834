//! Clients that hide no byte.

pub mod ndjson;
pub mod sse;
