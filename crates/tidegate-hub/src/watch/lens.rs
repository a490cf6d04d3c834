//! What a watch sees of each record: which ones, which part of their values, and how it is told of a change.
//!
//! On keyed channels the value before and the value after decide: what comes into the filter is an upsert, what
//! leaves it is a delete. Both values are in the record, so that a watch that resumes decides as a live one did.

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_cel::Equality;
use tidegate_core::{ErrorCode, Fields, Mask, Problem, Shown, equal, json_patch, merge_patch};

use super::filter::Filter;
use super::rate::Rate;
use super::sight::Image;
use crate::policy::RowRule;

/// What is between the records and a watch.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Lens {
    /// Which values its caller may see.
    pub rows: Option<RowRule>,
    /// Which columns nobody sees.
    pub mask: Option<Arc<Mask>>,
    /// `filter=`: which of them it wants.
    pub filter: Option<Filter>,
    /// `fields=`: which part of them.
    pub fields: Option<Fields>,
    /// `mode=`: how an upsert of a row that it has shown is told.
    pub mode: Mode,
    /// `rate=`: how often it is told.
    pub rate: Option<Rate>,
}

/// How an upsert is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    /// By the new value.
    #[default]
    Full,
    /// By a JSON Merge Patch (RFC 7396), where it can say the change and is smaller.
    Patch,
    /// By a JSON Patch (RFC 6902), where it is smaller.
    JsonPatch,
}

impl Lens {
    /// Whether there is nothing in it.
    pub fn is_clear(&self) -> bool {
        *self == Lens::default()
    }

    /// Whether what the client asked for shows nothing of what is masked.
    ///
    /// # Errors
    /// `invalid`: it would.
    pub(super) fn spares_the_mask(&self) -> Result<(), Problem> {
        let Some(mask) = &self.mask else { return Ok(()) };
        self.filter.as_ref().map_or(Ok(()), |filter| filter.spare(mask))?;
        match self.fields.as_ref().and_then(|fields| mask.hides(fields)) {
            None => Ok(()),
            Some(hidden) => {
                Err(Problem::new(ErrorCode::Invalid, format!("`fields` asks for `{hidden}`, which is masked"))
                    .hint("ask only for members that the channel shows"))
            }
        }
    }

    /// What decides which rows a replica holds, and with which values: names and canonical texts.
    pub(super) fn meaning(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let filter = self.filter.as_ref().map(|filter| ("filter", filter.as_str()));
        let fields = self.fields.as_ref().map(|fields| ("fields", fields.as_str()));
        let rows = self.rows.as_ref().map(|rows| ("rows", rows.as_str()));
        let mask = self.mask.as_ref().map(|mask| ("mask", mask.as_str()));
        let found = self.rows.as_ref().and_then(RowRule::digest).map(|digest| ("found", digest));
        filter.into_iter().chain(fields).chain(rows).chain(mask).chain(found)
    }

    /// What is shown of a value of its own, such as a row of a snapshot or a plain event; `None`: nothing.
    pub fn value(&self, image: &Image<'_>) -> Option<Shown> {
        self.admits(image).then(|| self.full(image))
    }

    /// What is shown of a change of a key; `None`: nothing. `patches`: whether the watch holds what it was shown
    /// before, which it does not surely within an unfinished snapshot.
    pub fn change(&self, before: Option<&Image<'_>>, after: Option<&Image<'_>>, patches: bool) -> Option<Shown> {
        let before = before.filter(|image| self.admits(image));
        let after = after.filter(|image| self.admits(image));
        match (before, after) {
            (None, None) => None,
            (Some(_), None) => Some(Shown::Gone),
            (None, Some(after)) => Some(self.full(after)),
            (Some(before), Some(after)) => self.update(before, after, patches),
        }
    }

    pub(super) fn admits(&self, image: &Image<'_>) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.admits(image))
            && self.filter.as_ref().is_none_or(|filter| filter.admits(image))
    }

    /// What an index can find it by: both its rules must hold, so the one that says more will do.
    pub(super) fn equality(&self) -> Option<&Equality> {
        let rows = self.rows.as_ref().and_then(RowRule::equality);
        let filter = self.filter.as_ref().and_then(Filter::equality);
        filter.into_iter().chain(rows).min_by_key(|equality| equality.keys.len())
    }

    /// Whether a change between two values that are both seen is one of what is masked alone.
    pub(super) fn masks_change(&self, before: &Image<'_>, after: &Image<'_>) -> bool {
        self.mask.is_some() && equal(&self.open(before), &self.open(after))
    }

    /// What anybody may see of a value.
    fn open(&self, image: &Image<'_>) -> Bytes {
        match &self.mask {
            None => image.data().clone(),
            Some(mask) => mask.hide(image.data()),
        }
    }

    /// What the watch shows of it.
    fn part(&self, image: &Image<'_>) -> Bytes {
        match &self.fields {
            None => self.open(image),
            Some(fields) if self.mask.is_none() => fields.project(image.data()),
            Some(fields) => fields.project(&self.open(image)),
        }
    }

    fn full(&self, image: &Image<'_>) -> Shown {
        Shown::Data(self.part(image))
    }

    /// An upsert of which nothing is to be seen is not told.
    fn update(&self, before: &Image<'_>, after: &Image<'_>, patches: bool) -> Option<Shown> {
        let (was, is) = (self.part(before), self.part(after));
        if (self.fields.is_some() || self.mask.is_some()) && equal(&was, &is) {
            return None;
        }
        let patch = match self.mode {
            Mode::Patch if patches => merge_patch(&was, &is).map(|patch| Shown::Patch(patch.into())),
            Mode::JsonPatch if patches => {
                json_patch(&was, &is, &after.place().config.items).map(|patch| Shown::Patches(patch.into()))
            }
            _ => None,
        };
        Some(patch.unwrap_or(Shown::Data(is)))
    }
}
