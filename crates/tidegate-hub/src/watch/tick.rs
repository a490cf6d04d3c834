//! What a conflated watch is told at once: every key that changed, once, with its newest value.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tidegate_core::{Frame, Offset, Record};

use super::sight::Sight;
use super::view::View;
use crate::config::ChannelConfig;
use crate::frames::shown;

/// So many changes wait to be merged by key. An event goes to thousands of conflated tails one after another, and to look a
/// key up in the table of each would find none of them in the processor's cache; so each tail merges many at a time.
const MERGED_AT_ONCE: usize = 256;

/// Changes since the last tick, merged by key: of plain channels by address.
#[derive(Default)]
pub struct Tick {
    /// Those that are not merged yet, in their order.
    came: Vec<Arc<Record>>,
    keys: HashMap<First, Pending>,
    /// The last of the changes.
    last: Offset,
}

/// The first change of a key in the tick, by its key; it knows what the key had before.
struct First(Arc<Record>);

impl First {
    fn name(&self) -> (&str, Option<&str>) {
        (self.0.address.as_str(), self.0.key.as_deref())
    }
}

impl PartialEq for First {
    fn eq(&self, other: &First) -> bool {
        self.name() == other.name()
    }
}

impl Eq for First {}

impl Hash for First {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

struct Pending {
    newest: Arc<Record>,
    count: u32,
}

impl Tick {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.came.is_empty() && self.keys.is_empty()
    }

    /// How many keys have changed, or a few more.
    pub fn len(&self) -> usize {
        self.keys.len() + self.came.len()
    }

    /// Adds a change, later than those before, if the view sees it; not one that concerns the whole channel, which has
    /// its own place in the order of frames.
    pub fn push(&mut self, sight: &Sight<'_>, view: &View) {
        let record = sight.record();
        if !view.scope.matches(record.address.as_str(), record.key.as_deref()) {
            return;
        }
        // An event that does not pass must not stand for one that did, and nothing, not even a time, may say that a row
        // changes which is not seen.
        if ![sight.after(), sight.before()].into_iter().flatten().any(|image| view.admits(image)) {
            return;
        }
        // Else a count would tell of it. Told again after a cut, it shows nothing either.
        if view.masks_change(sight) {
            return;
        }
        self.last = record.offset;
        self.came.push(record.clone());
        if self.came.len() >= MERGED_AT_ONCE {
            self.merge();
        }
    }

    fn merge(&mut self) {
        for record in self.came.drain(..) {
            match self.keys.entry(First(record.clone())) {
                Entry::Occupied(mut known) => {
                    let pending = known.get_mut();
                    pending.newest = record;
                    pending.count += 1;
                }
                Entry::Vacant(free) => {
                    free.insert(Pending { newest: record, count: 1 });
                }
            }
        }
    }

    /// Ends the tick: its frames in the order of the newest changes. The last one has the cursor, since between two of
    /// them some changes have been told whose records come later. It is that of the last change even if that is not
    /// shown: else the changes behind it would be told again, from a value that nobody was shown.
    pub fn end(&mut self, view: &View, config: &ChannelConfig, mut each: impl FnMut(Frame)) {
        if self.is_empty() {
            return;
        }
        self.merge();
        let Tick { keys, last, .. } = std::mem::take(self);
        let mut changed: Vec<(First, Pending)> = keys.into_iter().collect();
        changed.sort_unstable_by_key(|(_, pending)| pending.newest.offset);
        let mut held = None;
        for (First(first), Pending { newest, count }) in changed {
            let sight = Sight::since(&newest, first.before.as_ref(), config);
            let Some(shown) = shown(&sight, view, true) else { continue };
            let frame = |cursor| Frame::Change { record: newest.clone(), shown, conflated: Some(count), cursor };
            if let Some(before) = held.replace(frame(None)) {
                each(before);
            }
        }
        if let Some(Frame::Change { record, shown, conflated, .. }) = held {
            each(Frame::Change { record, shown, conflated, cursor: Some(last) });
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_log::ReadLimit;

    use super::*;
    use crate::testing::{TestHub, target};
    use crate::watch::WatchRequest;
    use crate::{Format, Plan};

    /// What a watch at a rate is told of everything that was published, as one tick: data and cursors.
    fn told(hub: &TestHub, path: &str, request: impl FnOnce(&mut WatchRequest)) -> Vec<(String, Option<Offset>)> {
        told_after(hub, 0, path, request)
    }

    fn told_after(
        hub: &TestHub,
        after: Offset,
        path: &str,
        request: impl FnOnce(&mut WatchRequest),
    ) -> Vec<(String, Option<Offset>)> {
        let mut asked = WatchRequest::new(target(path));
        asked.rate = Some("1/s".parse().expect("a rate"));
        request(&mut asked);
        let Plan { channel, view, .. } = hub.plan(&asked, &crate::Caller::anonymous()).expect("a plan");
        let limit = ReadLimit { records: 100, bytes: 100_000 };
        let page = channel.log.read(after, channel.log.head(), &view.scope, limit).expect("records");
        let mut found = Vec::new();
        view.tell(&page.records, &channel.config, |frame| {
            let cursor = frame.cursor();
            let Frame::Change { record, .. } = frame else { panic!("{frame:?}") };
            found.push((String::from_utf8_lossy(&record.data).into_owned(), cursor));
        });
        found
    }

    #[tokio::test]
    async fn the_cursor_of_a_tick_is_behind_all_that_came_and_went_in_it() {
        let hub = TestHub::new();
        let rows = r#"[{"id":"k","n":1},{"id":"j","n":2},{"id":"k","n":5}]"#;
        hub.post("kv/eu", Format::Json, rows).await.expect("published");
        let told = told(&hub, "kv/eu", |request| request.filter = Some("data.n < 4".into()));
        // At 2 the state has `k`, which the watch is not told of: resumed there it would hear of its end.
        assert_eq!(told, [(r#"{"id":"j","n":2}"#.to_owned(), Some(3))]);
    }

    #[tokio::test]
    async fn a_row_that_is_not_seen_changes_in_silence() {
        let hub = TestHub::new();
        let rows = r#"[{"id":"k","n":1},{"id":"k","n":5},{"id":"k","n":6},{"id":"j","n":2}]"#;
        hub.post("kv/eu", Format::Json, r#"{"id":"k","n":0}"#).await.expect("published");
        let before = hub.head("kv");
        hub.post("kv/eu", Format::Json, rows).await.expect("published");
        let told = told_after(&hub, before, "kv/eu", |request| request.filter = Some("data.n < 4".into()));
        // It left at 3, before the other came at 5, and what was at 4 is nobody's business.
        assert_eq!(told, [(r#"{"id":"k","n":5}"#.to_owned(), None), (r#"{"id":"j","n":2}"#.to_owned(), Some(5))]);
    }

    #[tokio::test]
    async fn an_event_that_does_not_pass_stands_for_none_that_did() {
        let hub = TestHub::new();
        for event in [r#"{"n":5}"#, r#"{"n":6}"#, r#"{"n":1}"#] {
            hub.post("chat/a", Format::Json, event).await.expect("published");
        }
        let told = told(&hub, "chat/*", |request| request.filter = Some("data.n > 4".into()));
        assert_eq!(told, [(r#"{"n":6}"#.to_owned(), Some(2))]);
    }
}
