//! What a read brought: events and cursors, and what follows from them.

use super::Watcher;
use crate::gauge::Gauge;
use crate::head::Cursor;
use crate::load::Context;
use crate::mark::Mark;
use crate::order::Order;
use crate::scan::{Found, Of, Scanner};

/// What one read is taken in with.
pub(super) struct Reading<'r> {
    pub(super) context: &'r Context,
    pub(super) number: usize,
    pub(super) now_us: u64,
    pub(super) scanner: &'r Scanner,
    pub(super) order: &'r mut Order,
    pub(super) gauge: &'r mut Gauge,
    pub(super) behind: &'r mut u32,
}

impl Reading<'_> {
    /// Takes in frames; returns how many bytes need not be seen again.
    pub(super) fn read(&mut self, watcher: &mut Watcher, bytes: &[u8]) -> usize {
        let scanner = self.scanner;
        scanner.scan(bytes, |found| match found {
            Found::Mark(mark) => self.event(watcher, mark),
            Found::Cursor { text, prev, of } => self.cursor(watcher, text, prev, of),
        })
    }

    /// A watch has begun.
    pub(super) fn opened(&mut self, watcher: &mut Watcher, opening: &mut u32, begun: &mut u32) {
        if std::mem::take(&mut watcher.opening) {
            self.gauge.opening.record(self.now_us - watcher.opened_us);
            *opening -= 1;
        }
        if !std::mem::replace(&mut watcher.begun, true) {
            *begun += 1;
        }
    }

    /// The number of the address that is watched.
    pub(super) fn address(&self) -> u32 {
        self.number as u32 % self.context.target.addresses
    }

    fn event(&mut self, watcher: &mut Watcher, mark: Mark) {
        let target = &self.context.target;
        let (first, step) = target.seen_by(self.number as u32);
        if mark.stream >= target.streams() || mark.stream % step != first {
            // Of another address: the watch is wider than the load.
            return;
        }
        if !watcher.pending.is_none() {
            watcher.held = watcher.pending.take();
        }
        self.gauge.deliveries += 1;
        self.order.see(self.number, (mark.stream / step) as usize, mark.number);
        if watcher.timed {
            self.gauge.delivered(mark.at_us, self.now_us);
        }
        if watcher.behind > 0 {
            watcher.behind -= 1;
            if watcher.behind == 0 {
                *self.behind -= 1;
                self.gauge.catch_up.record(self.now_us - watcher.opened_us);
            }
        }
    }

    fn cursor(&mut self, watcher: &mut Watcher, text: &[u8], prev: Option<&[u8]>, of: Of) {
        let last = if watcher.pending.is_none() { watcher.held } else { watcher.pending };
        let links = matches!(of, Of::Control | Of::Data) && self.context.target.chain && !last.is_none();
        if links && prev.is_none_or(|prev| Cursor::of(prev) != last) {
            self.order.tally.broken_links += 1;
        }
        let cursor = Cursor::of(text);
        if of == Of::Data {
            // The event before was not one of ours, and it is whole.
            if !watcher.pending.is_none() {
                watcher.held = watcher.pending;
            }
            watcher.pending = cursor;
        } else {
            (watcher.held, watcher.pending) = (cursor, Cursor::NONE);
        }
    }
}
