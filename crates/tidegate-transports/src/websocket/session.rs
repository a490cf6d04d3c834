//! One open WebSocket: frames out, messages in, and an orderly end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_wire::{End, Sink, Watcher, follow, websocket_text};
use tokio::sync::Semaphore;

use super::codec::{Decoder, Message, Violation, close_frame, control_frame};
use super::command;
use crate::Gateway;
use crate::socket::Socket;

/// A client that sends so many messages that are none of the protocol is not one of ours.
const NONSENSE_MAX: u32 = 10;
/// After our close frame the client has this long to send its own.
const CLOSING: Duration = Duration::from_secs(2);

/// Lives on the socket until one side ends it.
pub(crate) async fn run(gateway: &Gateway, watcher: &Watcher, socket: &impl Socket, head: Bytes, read: Bytes) {
    let writer = Writer { socket, turn: Semaphore::new(1), broken: AtomicBool::new(false) };
    if writer.write(&[head]).await.is_err() {
        return;
    }
    let target = watcher.plan.view.scope.target.clone();
    let mut reader = Reader { socket, decoder: Decoder::default(), read };
    let mut sink = &writer;
    let goodbye = tokio::select! {
        // First, so that `begin` is the first frame whatever the client has said already.
        biased;
        end = follow(&gateway.tails, watcher, &mut sink) => match end {
            End::Closed(code) => Some(Goodbye { code: code.close_code(), reason: code.as_str(), answered: false }),
            End::Gone(_) => None,
        },
        end = listen(gateway, &target, &mut reader, &writer) => end,
    };
    let Some(Goodbye { code, reason, answered }) = goodbye else { return };
    if writer.whole() && writer.write(&[close_frame(code, reason).into()]).await.is_ok() && !answered {
        let _ = tokio::time::timeout(CLOSING, reader.until_closed()).await;
    }
}

/// How to end in order.
struct Goodbye {
    code: u16,
    reason: &'static str,
    /// The client said goodbye first, and waits for ours.
    answered: bool,
}

/// Answers messages until the client leaves or breaks the protocol. Returns how to say goodbye.
async fn listen<S: Socket>(
    gateway: &Gateway,
    target: &Target,
    reader: &mut Reader<'_, S>,
    writer: &Writer<'_, S>,
) -> Option<Goodbye> {
    let mut nonsense = 0;
    loop {
        let answer = match reader.next().await {
            Ok(Some(Message::Text(text))) => command::answer(gateway, target, &text).await,
            Ok(Some(Message::Binary)) => {
                let problem = Problem::new(ErrorCode::Invalid, "messages of the protocol are text");
                Err(command::refuse(None, &problem))
            }
            Ok(Some(Message::Ping(payload))) => {
                writer.write(&[control_frame(10, &payload).into()]).await.ok()?;
                continue;
            }
            Ok(Some(Message::Pong)) => continue,
            Ok(Some(Message::Close(code))) => {
                return Some(Goodbye { code: code.unwrap_or(1000), reason: "", answered: true });
            }
            Ok(None) => return None,
            Err(Violation { code, reason }) => return Some(Goodbye { code, reason, answered: false }),
        };
        let text = answer.unwrap_or_else(|refusal| {
            nonsense += 1;
            refusal
        });
        let mut frame = Vec::with_capacity(text.len() + 10);
        websocket_text(text.as_bytes(), &mut frame);
        writer.write(&[frame.into()]).await.ok()?;
        if nonsense >= NONSENSE_MAX {
            let reason = "too many messages that are none of the protocol";
            return Some(Goodbye { code: ErrorCode::Invalid.close_code(), reason, answered: false });
        }
    }
}

/// The socket's writing side, for frames and answers in turn.
struct Writer<'s, S> {
    socket: &'s S,
    /// One place: whose turn it is to write whole frames.
    turn: Semaphore,
    /// A write was given up in the middle of a frame.
    broken: AtomicBool,
}

impl<S: Socket> Writer<'_, S> {
    async fn write(&self, chunks: &[Bytes]) -> io::Result<()> {
        let _turn = self.turn.acquire().await.map_err(io::Error::other)?;
        self.broken.store(true, Ordering::Relaxed);
        self.socket.write_all(chunks).await?;
        self.broken.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a further frame would begin at a frame's beginning.
    fn whole(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }
}

impl<S: Socket> Sink for &Writer<'_, S> {
    async fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        Writer::write(self, chunks).await
    }
}

/// The socket's reading side.
struct Reader<'s, S> {
    socket: &'s S,
    decoder: Decoder,
    /// What came with the handshake.
    read: Bytes,
}

impl<S: Socket> Reader<'_, S> {
    /// The next message; `None` when the client has gone.
    async fn next(&mut self) -> Result<Option<Message>, Violation> {
        loop {
            if !self.read.is_empty() {
                self.decoder.push(&std::mem::take(&mut self.read));
            }
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            let decoder = &mut self.decoder;
            if !matches!(self.socket.read(|bytes| decoder.push(bytes)).await, Ok(1..)) {
                return Ok(None);
            }
        }
    }

    async fn until_closed(&mut self) {
        while let Ok(Some(message)) = self.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
    }
}
