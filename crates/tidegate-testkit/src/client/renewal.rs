//! A fresh token for a watch that goes on.

use std::net::SocketAddr;

use serde_json::json;

use super::Ended;
use super::http::{Answer, ask};
use super::http2::Connection;

/// The reference of the message that shows one.
pub const TOKEN: u64 = 4;

/// The message of a WebSocket.
pub(super) fn fresh_token(token: &str) -> String {
    json!({ "do": "token", "ref": TOKEN, "token": token }).to_string()
}

/// Gives a watch a token by a request of its own, as whoever cannot speak on the connection of the watch; `None` shows nothing.
///
/// # Errors
/// No connection, or one that broke before the answer.
pub async fn by_request(server: SocketAddr, watch: &str, token: Option<&str>) -> Result<Answer, Ended> {
    ask(server, "POST", &url(watch), &shown(token), b"").await
}

/// The same as another stream of a connection, such as that of the watch.
///
/// # Errors
/// As there.
pub async fn by_stream(
    connection: &Connection,
    server: SocketAddr,
    watch: &str,
    token: Option<&str>,
) -> Result<Answer, Ended> {
    connection.ask(server, "POST", &url(watch), &shown(token)).await?.answer().await
}

fn url(watch: &str) -> String {
    format!("/v1/_watches/{watch}/token")
}

fn shown(token: Option<&str>) -> Vec<String> {
    token.map(|token| format!("Authorization: Bearer {token}")).into_iter().collect()
}
