//! TLS and HTTP/2 as other people's programs see them: openssl, curl, our own commands, and a client
//! that sends any frames it is told to.

mod clients;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod http2;
mod renewal;
mod requests;
mod rig;
mod slow;
mod versions;
