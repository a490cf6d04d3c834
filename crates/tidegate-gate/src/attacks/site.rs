//! A server of HTTP that says what an attack wants, and counts how often it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// On a free port of loopback, until the test ends.
pub(super) struct Site {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    pages: Mutex<HashMap<String, String>>,
    hits: AtomicUsize,
    connections: AtomicUsize,
    /// A request takes one before it is answered.
    permits: Semaphore,
    arrived: Semaphore,
}

impl Site {
    pub(super) async fn new() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            pages: Mutex::default(),
            hits: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            permits: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            arrived: Semaphore::new(0),
        });
        let own = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket, Arc::clone(&own)));
            }
        });
        Site { address, state }
    }

    /// Where a path of it is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A path is answered with 200 and this.
    pub(super) fn page(&self, path: &str, body: &str) {
        self.raw(path, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
    }

    /// A path is answered with these bytes, and the end.
    pub(super) fn raw(&self, path: &str, answer: String) {
        self.state.pages.lock().expect("pages").insert(path.to_owned(), answer);
    }

    /// Requests so far.
    pub(super) fn hits(&self) -> usize {
        self.state.hits.load(Ordering::SeqCst)
    }

    /// Connections so far, whatever was said on them.
    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// From now on nothing is answered, until [`release`](Site::release).
    pub(super) fn hold(&self) {
        self.state.permits.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn release(&self) {
        self.state.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Waits for a request that has not been waited for.
    pub(super) async fn arrival(&self) {
        self.state.arrived.acquire().await.expect("never closed").forget();
    }
}

async fn serve(mut socket: TcpStream, state: Arc<State>) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut piece).await {
            Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let answer = state.pages.lock().expect("pages").get(path).cloned();
    state.hits.fetch_add(1, Ordering::SeqCst);
    state.arrived.add_permits(1);
    state.permits.acquire().await.expect("never closed").forget();
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let _ = socket.write_all(answer.unwrap_or(missing).as_bytes()).await;
    let _ = socket.shutdown().await;
}
