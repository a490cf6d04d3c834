//! From who fills a tail to the lane that writes it, under every order of their steps: whatever is
//! pushed is seen, though a lane is told once for many chunks and is woken only when it sleeps.
//!
//! The files under test are those of the crate; what they lock is loom's.
#![allow(unreachable_pub, dead_code, reason = "files of the crate, of which not all is used here")]

#[path = "../src/tail/hooks.rs"]
mod hooks;
#[path = "../src/lane/letterbox.rs"]
mod letterbox;
mod sync {
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

use hooks::Hooks;
use letterbox::Letterbox;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A lane: its inbox, and what wakes it. The wake keeps until it is taken, as an eventfd does.
struct Lane {
    letters: Letterbox<u32>,
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Lane {
    fn post(&self, letter: u32) {
        if self.letters.post(letter) {
            *self.woken.lock().expect("woken") = true;
            self.wake.notify_one();
        }
    }

    fn sleep(&self) {
        let mut woken = self.woken.lock().expect("woken");
        while !std::mem::take(&mut *woken) {
            woken = self.wake.wait(woken).expect("woken");
        }
    }
}

struct Tail {
    state: Mutex<(u32, Hooks<Arc<Lane>>)>,
}

impl Tail {
    fn push(&self) {
        let mut calls = Vec::new();
        {
            let mut state = self.state.lock().expect("state");
            state.0 += 1;
            state.1.tell(&mut calls);
        }
        calls.into_iter().for_each(|(lane, number)| lane.post(number));
    }

    fn look(&self, lane: &Arc<Lane>) -> u32 {
        let mut state = self.state.lock().expect("state");
        state.1.look(|own| Arc::ptr_eq(own, lane));
        state.0
    }
}

/// The loop of a lane: it takes what it was told, sleeps if it found nothing at all and has nothing to
/// do, and looks at its tail in a turn of its own, as after a rest. A lost wake would let it sleep
/// for ever, which loom reports.
fn lane(lane: &Arc<Lane>, tail: &Tail, wanted: u32) {
    let (mut seen, mut ready, mut letters) = (0, false, Vec::new());
    while seen < wanted {
        let idle = !ready;
        lane.letters.take(&mut letters, idle);
        let sleepy = idle && letters.is_empty();
        if std::mem::take(&mut ready) {
            seen = tail.look(lane);
        }
        ready |= letters.drain(..).count() > 0;
        if sleepy {
            lane.sleep();
        }
    }
}

fn all_is_seen(pushes: &'static [u32]) {
    loom::model(move || {
        let own = Arc::new(Lane { letters: Letterbox::new(), woken: Mutex::new(false), wake: Condvar::new() });
        let mut hooks = Hooks::new();
        hooks.add(own.clone(), 7);
        let tail = Arc::new(Tail { state: Mutex::new((0, hooks)) });
        let writers: Vec<_> = pushes
            .iter()
            .map(|pushes| {
                let tail = tail.clone();
                thread::spawn(move || (0..*pushes).for_each(|_| tail.push()))
            })
            .collect();
        lane(&own, &tail, pushes.iter().sum());
        for writer in writers {
            writer.join().expect("a writer");
        }
        // The hook's own count of the lane.
        drop(tail);
    });
}

#[test]
fn one_writer_never_leaves_a_lane_asleep() {
    all_is_seen(&[3]);
}

#[test]
fn two_writers_never_leave_a_lane_asleep() {
    all_is_seen(&[1, 1]);
}
