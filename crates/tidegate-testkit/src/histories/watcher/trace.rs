//! The last things that happened to a watcher, for people.

use std::collections::VecDeque;

use super::Watcher;

/// Lines kept for the report of a difference.
const LINES: usize = 200;
/// Of a line, in bytes.
const LINE_MAX: usize = 400;

/// Newest last.
#[derive(Default)]
pub(super) struct Trace(VecDeque<String>);

impl Watcher {
    pub(super) fn note(&mut self, text: String) {
        if self.trace.0.len() == LINES {
            self.trace.0.pop_front();
        }
        let text = text.replace("é\\\"x\\\\", ""); // the filling says nothing
        let mut end = text.len().min(LINE_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.trace.0.push_back(text[..end].to_owned());
    }

    /// Reports a difference with all that led to it.
    pub(super) fn tell(&mut self, difference: &str) {
        let trace: String = self.trace.0.iter().map(|line| format!("\n      {line}")).collect();
        self.report.differences.push(format!(
            "history {} watcher {:?} (channel keyed {}, retain {}): {difference}{trace}",
            self.plan.number, self.spec, self.plan.keyed, self.plan.retain
        ));
    }
}
