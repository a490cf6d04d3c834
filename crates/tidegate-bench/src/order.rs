//! Whether every watcher got every event once and in order.

use std::collections::HashSet;

/// So many holes are remembered, to tell what comes late from what comes twice.
const HOLES_MAX: usize = 1 << 20;

/// What went wrong; all zero if nothing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that a watcher never got.
    pub lost: u64,
    /// Events that a watcher got again.
    pub doubled: u64,
    /// Events that a watcher got after a later one.
    pub reordered: u64,
    /// Frames whose `prev` is not the cursor before.
    pub broken_links: u64,
}

impl Tally {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        *self == Tally::default()
    }
}

/// The number that each watcher expects next in each stream that it sees.
#[derive(Debug, Default)]
pub(crate) struct Order {
    next: Vec<u32>,
    /// Streams that one watcher sees.
    streams: usize,
    holes: HashSet<(usize, u32)>,
    /// Events that came, each counted once for each watcher.
    pub(crate) seen: u64,
    pub(crate) tally: Tally,
}

impl Order {
    pub(crate) fn new(streams: usize) -> Order {
        Order { streams, ..Order::default() }
    }

    pub(crate) fn add_watcher(&mut self) {
        self.next.resize(self.next.len() + self.streams, 0);
    }

    /// A watcher got an event.
    pub(crate) fn see(&mut self, watcher: usize, stream: usize, number: u32) {
        let place = watcher * self.streams + stream;
        let next = &mut self.next[place];
        self.seen += 1;
        if number == *next {
            *next += 1;
        } else if number > *next {
            self.tally.lost += u64::from(number - *next);
            for hole in (*next..number).take(HOLES_MAX.saturating_sub(self.holes.len())) {
                self.holes.insert((place, hole));
            }
            *next = number + 1;
        } else if self.holes.remove(&(place, number)) {
            self.tally.lost -= 1;
            self.tally.reordered += 1;
        } else {
            self.tally.doubled += 1;
            self.seen -= 1;
        }
    }

    /// How many of the `published` events of a stream a watcher has not come to yet.
    pub(crate) fn missing(&self, watcher: usize, stream: usize, published: u32) -> u32 {
        published.saturating_sub(self.next[watcher * self.streams + stream])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_told_apart() {
        let tally = |numbers: &[u32]| {
            let mut order = Order::new(2);
            order.add_watcher();
            order.add_watcher();
            numbers.iter().for_each(|number| order.see(1, 1, *number));
            order.tally.lost += u64::from(order.missing(1, 1, 5));
            (order.tally.lost, order.tally.doubled, order.tally.reordered)
        };
        assert_eq!(tally(&[0, 1, 2, 3, 4]), (0, 0, 0));
        assert_eq!(tally(&[0, 1, 3, 4]), (1, 0, 0));
        assert_eq!(tally(&[0, 1, 2]), (2, 0, 0), "at the end, too");
        assert_eq!(tally(&[0, 1, 1, 2, 3, 4]), (0, 1, 0));
        assert_eq!(tally(&[0, 2, 1, 3, 4]), (0, 0, 1));
        assert_eq!(tally(&[0, 2, 1, 1, 4]), (1, 1, 1));
    }
}
