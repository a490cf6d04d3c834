//! One at a time: who asks for what somebody is asking for already waits for the same answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// More distinct questions at once are not asked.
const FLIGHTS_MAX: usize = 1_024;

/// Questions that are being asked, each once. An answer is for those who asked before it came;
/// nothing is kept. A question goes on when who asked it has gone.
pub(crate) struct Flights<K, V> {
    running: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

/// The answer, when it comes.
pub(crate) struct Seat<V>(watch::Receiver<Option<V>>);

impl<V: Clone> Seat<V> {
    /// `None`: it came to no answer.
    pub(crate) async fn answer(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Arc<Flights<K, V>> {
        Arc::new(Flights { running: Mutex::default() })
    }

    /// A seat in the flight for `key`. If there is none, `start` decides whether there will be one;
    /// it is called under a lock, so that two callers cannot both decide.
    pub(crate) fn board<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> Option<F>) -> Option<Seat<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = running.get(&key) {
            return Some(Seat(answer.clone()));
        }
        if running.len() >= FLIGHTS_MAX {
            return None;
        }
        let work = start()?;
        let (tell, answer) = watch::channel(None);
        running.insert(key.clone(), answer.clone());
        let landing = Landing { flights: Arc::clone(self), key };
        tokio::spawn(async move {
            let value = work.await;
            // First off the list: whoever asks after the answer asks anew.
            drop(landing);
            tell.send_replace(Some(value));
        });
        Some(Seat(answer))
    }
}

/// Takes a flight off the list, however it ends.
struct Landing<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn all_who_ask_meanwhile_get_the_one_answer() {
        let flights = Flights::new();
        let (tell, told) = oneshot::channel::<u32>();
        let first = flights.board("q", || Some(async move { told.await.unwrap_or(0) })).expect("a seat");
        let others: Vec<_> = (0..10)
            .map(|_| {
                flights.board("q", || -> Option<std::future::Ready<u32>> { panic!("asked twice") }).expect("a seat")
            })
            .collect();
        tell.send(7).expect("somebody waits");
        assert_eq!(first.answer().await, Some(7));
        for other in others {
            assert_eq!(other.answer().await, Some(7));
        }
        let again = flights.board("q", || Some(std::future::ready(8))).expect("a seat");
        assert_eq!(again.answer().await, Some(8));
    }

    #[tokio::test]
    async fn one_that_breaks_frees_its_place() {
        let flights: Arc<Flights<&str, u32>> = Flights::new();
        let broken = flights
            .board("q", || Some(std::future::poll_fn(|_| -> std::task::Poll<u32> { panic!("on purpose") })))
            .expect("a seat");
        assert_eq!(broken.answer().await, None);
        let next = flights.board("q", || Some(std::future::ready(1))).expect("a seat");
        assert_eq!(next.answer().await, Some(1));
    }

    #[tokio::test]
    async fn there_are_never_too_many() {
        let flights: Arc<Flights<usize, ()>> = Flights::new();
        let seats: Vec<_> = (0..=FLIGHTS_MAX).map(|key| flights.board(key, || Some(std::future::pending()))).collect();
        assert!(seats[FLIGHTS_MAX - 1].is_some());
        assert!(seats[FLIGHTS_MAX].is_none());
    }
}
