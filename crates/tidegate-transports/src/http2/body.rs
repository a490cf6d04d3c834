//! The body of an answer on HTTP/2, given in pieces as the client's windows take them.
//!
//! A watch lives in its body: when hyper asks for more, the watch goes on until it has written
//! something; while the client takes nothing, the watch stands still and is a place in the log. It
//! holds what it wrote last, which is shared with all watchers of its view, and one piece of that on
//! its way. When the client resets the stream, hyper drops the body, and the watch with it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tidegate_core::Cursor;
use tidegate_wire::{Reins, Sink, follow};

use super::clock::Ticket;
use crate::Gateway;
use crate::patient::PATIENCE;
use crate::stream::Stream;

/// So much is given at once: what a client that stops to read makes us hold beyond its windows.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// See the module.
pub(super) enum Body {
    /// All of it is there.
    Whole {
        /// As it was made, and what is left of it.
        whole: Full<Bytes>,
        left: Bytes,
        ticket: Ticket,
    },
    /// A watch.
    Watch {
        /// What was written, and not given yet.
        written: Written,
        /// The watch itself, until it has ended.
        life: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        /// The client may take nothing for so long.
        patience: Duration,
        ticket: Ticket,
    },
}

/// What a watch has written.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<VecDeque<Bytes>>>);

impl Body {
    /// An answer that is there.
    pub(super) fn whole(whole: Full<Bytes>, ticket: Ticket) -> Body {
        Body::Whole { whole, left: Bytes::new(), ticket }
    }

    /// A watch, which begins when the body is asked for.
    pub(super) fn watch(gateway: Arc<Gateway>, stream: Stream, ticket: Ticket) -> Body {
        let written = Written::default();
        let mut sink = written.clone();
        let patience = gateway.tails.options().write_timeout;
        let reins = Reins::new();
        let Stream { watch, head, .. } = stream;
        // Before its head is sent, which names it.
        let listed = watch.map(|(mut watcher, entry)| {
            let (id, place) = (entry.id, watcher.place.take());
            (watcher, id, gateway.hub.watches().enter(entry, place, reins.handle()))
        });
        let life = async move {
            let Some((watcher, id, listed)) = listed else { return };
            sink.lock().push_back(head);
            let end = follow(&gateway.tails, &watcher, &reins, Some(&listed), &mut sink).await;
            tracing::debug!(%id, ?end, "a watch ended");
        };
        Body::Watch { written, life: Some(Box::pin(life)), patience, ticket }
    }

    /// The next piece; `None` at the end.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Body::Whole { whole, left, .. } => {
                if left.is_empty()
                    && let Poll::Ready(Some(Ok(frame))) = Pin::new(whole).poll_frame(context)
                {
                    *left = frame.into_data().unwrap_or_default();
                }
                Poll::Ready((!left.is_empty()).then(|| piece_of(left)))
            }
            Body::Watch { written, life, .. } => loop {
                if let Some(piece) = written.piece() {
                    return Poll::Ready(Some(piece));
                }
                match life.as_mut().map(|life| life.as_mut().poll(context)) {
                    None => return Poll::Ready(None),
                    Some(Poll::Ready(())) => *life = None,
                    Some(Poll::Pending) if written.lock().is_empty() => return Poll::Pending,
                    Some(Poll::Pending) => {}
                }
            },
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (patience, ticket) = match &*self {
            Body::Whole { ticket, .. } => (PATIENCE, ticket),
            Body::Watch { patience, ticket, .. } => (*patience, ticket),
        };
        ticket.taken();
        let next = self.next(context);
        if let (Poll::Ready(Some(_)), Body::Whole { ticket, .. } | Body::Watch { ticket, .. }) = (&next, &*self) {
            ticket.gave(patience);
        }
        next.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole { whole, left, .. } => left.is_empty() && whole.is_end_stream(),
            Body::Watch { written, life, .. } => life.is_none() && written.lock().is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole { whole, left, .. } => {
                SizeHint::with_exact(left.len() as u64 + whole.size_hint().exact().unwrap_or_default())
            }
            Body::Watch { .. } => SizeHint::default(),
        }
    }
}

impl Written {
    fn piece(&self) -> Option<Bytes> {
        let mut written = self.lock();
        while written.front().is_some_and(Bytes::is_empty) {
            written.pop_front();
        }
        written.front_mut().map(piece_of)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Sink for Written {
    /// Returns when the client's windows have taken all of it. Who asks for more polls the watch
    /// again, so there is nobody to wake.
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        self.lock().extend(chunks.iter().cloned());
        std::future::poll_fn(|_| match self.lock().iter().all(Bytes::is_empty) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        })
        .await
    }
}

fn piece_of(bytes: &mut Bytes) -> Bytes {
    bytes.split_to(bytes.len().min(PIECE_BYTES_MAX))
}
