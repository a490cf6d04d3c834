//! A fresh token for a watch that goes on.

use std::net::SocketAddr;

use serde_json::json;

use super::Ended;
use super::http::{Answer, Wire, request};

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
    let headers: Vec<String> = token.map(|token| format!("Authorization: Bearer {token}")).into_iter().collect();
    let mut wire = Wire::connect(server, None).await?;
    wire.send(&request(server, "POST", &format!("/v1/_watches/{watch}/token"), &headers, b"")).await?;
    wire.answer().await
}
