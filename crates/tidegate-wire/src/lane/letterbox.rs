//! What is handed to a sleeper who is woken only if it sleeps: how a lane is told, without its wake.
//!
//! A test runs this file, and `hooks`, under every order of the threads' steps.

use super::sync::{Mutex, MutexGuard};

/// Letters for one taker.
pub(crate) struct Letterbox<L> {
    state: Mutex<State<L>>,
}

struct State<L> {
    letters: Vec<L>,
    asleep: bool,
}

impl<L> Letterbox<L> {
    pub(crate) fn new() -> Letterbox<L> {
        Letterbox { state: Mutex::new(State { letters: Vec::new(), asleep: false }) }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Leaves a letter. Returns whether the taker has to be woken.
    #[must_use]
    pub(crate) fn post(&self, letter: L) -> bool {
        let mut state = self.lock();
        state.letters.push(letter);
        std::mem::take(&mut state.asleep)
    }

    /// Takes all letters into `letters`, which is empty. Without any, and if the taker has nothing
    /// else to do, it may sleep: who posts the next one wakes it.
    pub(crate) fn take(&self, letters: &mut Vec<L>, idle: bool) {
        let mut state = self.lock();
        std::mem::swap(&mut state.letters, letters);
        state.asleep = idle && letters.is_empty();
    }
}
