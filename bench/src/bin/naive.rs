//! The server that anybody writes first: axum, one tokio broadcast channel per name, a task per
//! watcher. It is what one saves by not having a gateway, so it is as plain as it can be and has
//! no trick; tuned it would be another program.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::stream::Stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

/// Events that a slow watcher may be behind before it loses some.
const CAPACITY: usize = 1_024;

#[derive(Clone, Default)]
struct Channels(Arc<Mutex<HashMap<String, broadcast::Sender<String>>>>);

impl Channels {
    fn sender(&self, name: String) -> broadcast::Sender<String> {
        let mut channels = self.0.lock().expect("no holder of this lock panics");
        channels.entry(name).or_insert_with(|| broadcast::channel(CAPACITY).0).clone()
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let router = Router::new()
        .route("/sse/{channel}", get(sse))
        .route("/ws/{channel}", get(websocket))
        .route("/publish/{channel}", post(publish))
        .with_state(Channels::default());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, router).await
}

async fn publish(State(channels): State<Channels>, Path(channel): Path<String>, event: String) -> StatusCode {
    // An error says that nobody watches.
    let _ = channels.sender(channel).send(event);
    StatusCode::OK
}

async fn sse(
    State(channels): State<Channels>,
    Path(channel): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(channels.sender(channel).subscribe());
    let frames = events.filter_map(Result::ok).map(|event| Ok(Event::default().data(event)));
    Sse::new(frames).keep_alive(KeepAlive::default())
}

async fn websocket(
    State(channels): State<Channels>,
    Path(channel): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let events = channels.sender(channel).subscribe();
    upgrade.on_upgrade(move |socket| follow(socket, events))
}

async fn follow(mut socket: WebSocket, mut events: broadcast::Receiver<String>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if socket.send(Message::text(event)).await.is_err() {
                    return;
                }
            }
            // What it was too slow for is lost, as in the stream above.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
