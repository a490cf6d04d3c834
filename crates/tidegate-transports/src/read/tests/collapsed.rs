//! What many ask for at once is read once; who wrote meanwhile has it read again.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;

use super::*;
use crate::read::answers::AnswerFigures;

const URL: &str = "rows/0";

/// Reads of one URL that end only when they may.
struct Gate<'r> {
    rig: &'r Rig,
    reading: Reading<'r>,
    may_end: Semaphore,
    begun: AtomicUsize,
}

impl<'r> Gate<'r> {
    fn new(rig: &'r Rig) -> Gate<'r> {
        rig.upsert(URL, "k", "1".to_owned());
        Gate { rig, reading: rig.reading(URL), may_end: Semaphore::new(0), begun: AtomicUsize::new(0) }
    }

    async fn get(&self) -> Arc<Made> {
        let Reading { channel, asked, .. } = &self.reading;
        let read = async {
            let made = self.reading.read().await;
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.may_end.acquire().await.expect("never closed").forget();
            made
        };
        self.rig.gateway.answers.get(channel, asked, read).await.expect("an answer")
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Goes on with a request until it has read.
    async fn until_begun(&self, get: &mut (impl Future<Output = Arc<Made>> + Unpin), reads: usize) {
        while self.begun() < reads {
            assert!(now(get).is_pending());
            tokio::task::yield_now().await;
        }
    }

    fn figures(&self) -> AnswerFigures {
        self.rig.gateway.answers.figures()
    }
}

fn now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn body(made: &Made) -> &str {
    std::str::from_utf8(&made.body).expect("text")
}

#[tokio::test]
async fn a_thousand_who_ask_at_once_cost_one_read() {
    let rig = Rig::new(64 * MIB);
    let gate = Gate::new(&rig);
    let mut all: Vec<_> = (0..1_000).map(|_| Box::pin(gate.get())).collect();
    gate.until_begun(&mut all[0], 1).await;
    for one in &mut all {
        assert!(now(one).is_pending());
    }
    gate.may_end.add_permits(1);
    let first = all.remove(0).await;
    for one in all {
        assert!(Arc::ptr_eq(&one.await, &first));
    }
    assert_eq!(
        (gate.begun(), gate.figures()),
        (1, AnswerFigures { kept: 0, shared: 999, read: 1, entries: 1, ..AnswerFigures::default() })
    );
    assert!(Arc::ptr_eq(&gate.get().await, &first));
    assert_eq!(gate.figures().kept, 1);
}

/// Two wait for a read that misses what one of them wrote before it asked.
#[tokio::test]
async fn who_wrote_meanwhile_does_not_get_what_was_read_before() {
    let rig = Rig::new(64 * MIB);
    let gate = Gate::new(&rig);
    let mut first = Box::pin(gate.get());
    gate.until_begun(&mut first, 1).await;
    rig.upsert(URL, "k", "2".to_owned());
    let mut later: Vec<_> = (0..3).map(|_| Box::pin(gate.get())).collect();
    for one in &mut later {
        assert!(now(one).is_pending());
    }
    gate.may_end.add_permits(2);
    let first = first.await;
    assert!(body(&first).contains("\"data\":1"));
    for one in later {
        let made = one.await;
        assert!(body(&made).contains("\"data\":2"));
    }
    // The second read was begun after all three had asked.
    assert_eq!(gate.begun(), 2);
}

/// A write to another address is none of their business, but for the cursor.
#[tokio::test]
async fn a_write_elsewhere_costs_no_read() {
    let rig = Rig::new(64 * MIB);
    let gate = Gate::new(&rig);
    let mut first = Box::pin(gate.get());
    gate.until_begun(&mut first, 1).await;
    let second = Box::pin(gate.get());
    rig.upsert("rows/1", "k", "2".to_owned());
    gate.may_end.add_permits(1);
    let (first, second) = (first.await, second.await);
    assert_eq!((gate.begun(), first.at + 1, &first.etag), (1, second.at, &second.etag));
    assert_eq!(body(&second), body(&rig.reading(URL).read().await.expect("read")));
}

#[tokio::test]
async fn who_reads_and_goes_away_leaves_it_to_the_next() {
    let rig = Rig::new(64 * MIB);
    let gate = Gate::new(&rig);
    let mut first = Box::pin(gate.get());
    gate.until_begun(&mut first, 1).await;
    let mut second = Box::pin(gate.get());
    assert!(now(&mut second).is_pending());
    drop(first);
    gate.until_begun(&mut second, 2).await;
    gate.may_end.add_permits(1);
    let second = second.await;
    assert!(body(&second).contains("\"data\":1"));
}
