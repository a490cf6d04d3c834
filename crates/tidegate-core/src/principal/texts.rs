//! Some texts and what stands behind them, as one piece of memory.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Three texts, by their places, and a rest. A text that is empty is not there, as nothing is vouched for by an empty text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Texts {
    /// Where each ends.
    ends: [u32; 3],
    /// The rest comes last.
    all: Box<str>,
}

impl Texts {
    pub(super) fn new(texts: [Option<&str>; 3], rest: &str) -> Texts {
        let mut all = String::new();
        let ends = texts.map(|text| {
            all.push_str(text.unwrap_or_default());
            u32::try_from(all.len()).expect("what somebody shows is far smaller than 4 GiB")
        });
        all.push_str(rest);
        Texts { ends, all: all.into() }
    }

    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let text = &self.all[begin as usize..self.ends[place] as usize];
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn rest(&self) -> &str {
        &self.all[self.ends[2] as usize..]
    }

    /// How long they are together.
    pub(super) fn bytes(&self) -> usize {
        self.all.len()
    }

    /// The same; one piece for all who have it.
    pub(super) fn share(self) -> Arc<Texts> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.all.get(&self) {
            return known.clone();
        }
        // Each look is paid for by as many that came.
        if shared.all.len() >= SWEEP_FROM.max(2 * shared.held) {
            shared.all.retain(|texts| Arc::strong_count(texts) > 1);
            shared.held = shared.all.len();
            shared.all.shrink_to(4 * SWEEP_FROM);
        }
        let texts = Arc::new(self);
        shared.all.insert(texts.clone());
        texts
    }
}

/// Tokens of one issuer for one audience say the same but for who they are about: that is there once, whoever holds it.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

/// Fewer than these are not worth looking for those that nobody holds any more.
const SWEEP_FROM: usize = 64;

#[derive(Default)]
struct Shared {
    all: HashSet<Arc<Texts>>,
    /// As many were held after the last look.
    held: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let texts = |number: usize| Texts::new([Some("of one test"), None, Some(&number.to_string())], "rest");
        let kept = texts(0).share();
        for number in 1..10_000 {
            assert_eq!(texts(number).share().get(2), Some(&*number.to_string()));
        }
        let known = SHARED.lock().expect("not poisoned").all.len();
        // Those of other tests, too.
        assert!(known < 1_000, "{known}");
        assert!(Arc::ptr_eq(&texts(0).share(), &kept));
        assert_eq!((kept.get(0), kept.get(1), kept.rest()), (Some("of one test"), None, "rest"));
    }
}
