//! What a watch sees of a channel: all that makes the frames of two watches the same.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_cel::Equality;
use tidegate_core::frame::Row;
use tidegate_core::{Fingerprint, Frame, Kind, Record, Scope, Shown};
use tidegate_log::ViewRow;

use super::lens::Lens;
use super::rate::Rate;
use super::sight::{Image, Sight};
use super::tick::Tick;
use crate::config::ChannelConfig;
use crate::frames::changes;
use crate::policy::RowRule;

/// Watches of one view share bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// Which records.
    pub scope: Scope,
    /// State or history.
    pub kind: Kind,
    /// What it shows of them; `None`: each as it is.
    pub lens: Option<Arc<Lens>>,
}

impl View {
    /// Changed when the meaning of a view changes between releases, so that old cursors reset.
    const VERSION: u8 = 1;

    /// Each record as it is.
    pub fn whole(scope: Scope, kind: Kind) -> View {
        View { scope, kind, lens: None }
    }

    /// A stable hash of what decides which rows a replica holds and with which values, the same on every machine and
    /// in every later release. How changes come, as patches or at a rate, is not in it: a client may change that and
    /// go on.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_of(true)
    }

    /// The same for rows of which some may be newer than their cursor: who holds them cannot be told by patches until
    /// it has caught up. The cursor alone carries that from one request to the next.
    pub fn fuzzy_fingerprint(&self) -> Fingerprint {
        self.fingerprint_of(false)
    }

    fn fingerprint_of(&self, exact: bool) -> Fingerprint {
        let kind = match self.kind {
            Kind::State => b's',
            Kind::History => b'h',
        };
        let version = [Self::VERSION, kind];
        let key = self.scope.key.as_deref();
        let has_key = [u8::from(key.is_some())];
        let mut parts: Vec<&[u8]> =
            vec![&version, self.scope.target.as_str().as_bytes(), &has_key, key.unwrap_or_default().as_bytes()];
        if let Some(lens) = &self.lens {
            // What is not asked for has no part, so that a view without it has the fingerprint it always had.
            for (name, text) in lens.meaning() {
                parts.extend([name.as_bytes(), text.as_bytes()]);
            }
        }
        if !exact {
            parts.push(b"fuzzy");
        }
        Fingerprint::of(&parts)
    }

    /// Whether what it looks up for its rows is still so. Once it is not, nothing more may be shown in it.
    pub fn holds(&self) -> bool {
        self.lens.as_ref().and_then(|lens| lens.rows.as_ref()).is_none_or(RowRule::holds)
    }

    /// Whether it looks up anything for its rows.
    pub fn looks_up(&self) -> bool {
        self.lens.as_ref().and_then(|lens| lens.rows.as_ref()).is_some_and(RowRule::looks_up)
    }

    /// How often it is told, if it is conflated.
    pub fn rate(&self) -> Option<Rate> {
        self.lens.as_ref()?.rate
    }

    /// The same told no more often than this; `None` where it is already, and for a history, of which every event counts.
    pub fn slowed(&self, rate: Rate) -> Option<View> {
        let slow = self.rate().is_some_and(|own| own.period() >= rate.period());
        if self.kind == Kind::History || slow {
            return None;
        }
        let lens = Lens { rate: Some(rate), ..self.lens.as_deref().cloned().unwrap_or_default() };
        Some(View { lens: Some(Arc::new(lens)), ..self.clone() })
    }

    /// What an index can find it by.
    pub fn equality(&self) -> Option<&Equality> {
        self.lens.as_ref()?.equality()
    }

    /// Whether a value in its scope passes its filter.
    pub(super) fn admits(&self, image: &Image<'_>) -> bool {
        self.lens.as_ref().is_none_or(|lens| lens.admits(image))
    }

    /// Whether there are columns that it does not show to anybody.
    pub fn masks(&self) -> bool {
        self.lens.as_ref().is_some_and(|lens| lens.mask.is_some())
    }

    /// Whether a change of what it sees is one of masked columns alone.
    pub(super) fn masks_change(&self, sight: &Sight<'_>) -> bool {
        let Some(lens) = self.lens.as_ref().filter(|lens| lens.mask.is_some()) else { return false };
        let (Some(before), Some(after)) = (sight.before(), sight.after()) else { return false };
        lens.admits(before) && lens.admits(after) && lens.masks_change(before, after)
    }

    /// What it is looked up by when there is something to tell, for people: `key`, or what its filter compares;
    /// `None`: it looks at each event.
    pub fn index(&self) -> Option<String> {
        match &self.scope.key {
            Some(_) => Some("key".to_owned()),
            None => self.equality().map(|equality| equality.path.to_string()),
        }
    }

    /// What it shows of a row in its scope; `None`: nothing.
    pub fn row(&self, row: &ViewRow, config: &ChannelConfig) -> Option<Bytes> {
        self.value(&row.data, || Image::of_row(row, config))
    }

    /// The same of a row as of a past position.
    pub(crate) fn past(&self, row: &Row, config: &ChannelConfig) -> Option<Bytes> {
        self.value(&row.data, || Image::of_past(row, config))
    }

    fn value<'r>(&self, data: &Bytes, image: impl FnOnce() -> Image<'r>) -> Option<Bytes> {
        let Some(lens) = &self.lens else { return Some(data.clone()) };
        match lens.value(&image())? {
            Shown::Data(data) => Some(data),
            _ => None,
        }
    }

    /// Tells records that were read together; those of a conflated view are one tick, which an event that concerns
    /// the whole channel ends.
    pub fn tell(&self, records: &[Arc<Record>], config: &ChannelConfig, mut each: impl FnMut(Frame)) {
        let mut tick = Tick::default();
        for record in records {
            let sight = Sight::new(record, config);
            if self.rate().is_some() && !record.op.is_channel_wide() {
                tick.push(&sight, self);
            } else {
                tick.end(self, config, &mut each);
                changes(&sight, self, true, &mut each);
            }
        }
        tick.end(self, config, &mut each);
    }
}
