//! What became of an array: by the keys of its items, or by their places.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::operations::{Operations, Said, Stop};
use super::same;
use crate::json;
use crate::json::walker::Walker;
use crate::path::Tree;

/// Where more items than this have changed their order, the array is replaced: each move shifts all
/// items between.
const MOVES_MAX: usize = 32;
/// What it costs to hold an item and to look it up, in bytes read.
const ITEM_BYTES: usize = 64;

/// A key of an item in one spelling: a number, or the text of a string behind a quote.
type Id<'t> = Cow<'t, [u8]>;

impl Operations {
    pub(super) fn array(&mut self, before: &[u8], after: &[u8], keys: Option<&Tree<Box<str>>>) -> Said {
        self.spend(before.len() + after.len())?;
        let old: Vec<&[u8]> = Walker::elements(before).collect();
        let new: Vec<&[u8]> = Walker::elements(after).collect();
        self.spend((old.len() + new.len()) * ITEM_BYTES)?;
        if let Some(member) = keys.and_then(|keys| keys.here.as_deref()) {
            self.spend(before.len() + after.len())?;
            if let (Some(old_ids), Some(new_ids)) = (ids(&old, member), ids(&new, member)) {
                return self.by_key((&old, &old_ids), (&new, &new_ids), keys);
            }
        }
        self.by_place(&old, &new, keys)
    }

    /// What both begin and end with stays; the rest is compared place by place.
    fn by_place(&mut self, old: &[&[u8]], new: &[&[u8]], keys: Option<&Tree<Box<str>>>) -> Said {
        let both = old.len().min(new.len());
        let begin = self.alike(both, |at| (old[at], new[at]))?;
        let end = self.alike(both - begin, |at| (old[old.len() - 1 - at], new[new.len() - 1 - at]))?;
        let (old, new) = (&old[begin..old.len() - end], &new[begin..new.len() - end]);
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            self.at(begin + at, |here| here.value(old, new, keys))?;
        }
        for at in (new.len()..old.len()).rev() {
            self.at(begin + at, |here| here.say("remove", None, None))?;
        }
        for (at, item) in new.iter().enumerate().skip(old.len()) {
            self.at(begin + at, |here| here.say("add", None, Some(item)))?;
        }
        Ok(())
    }

    /// How many of the first `most` pairs are equal, up to the first that is not.
    fn alike<'t>(&mut self, most: usize, pair: impl Fn(usize) -> (&'t [u8], &'t [u8])) -> Result<usize, Stop> {
        for at in 0..most {
            let (old, new) = pair(at);
            if !same(old, new, &mut self.work).ok_or(Stop::TooMuch)? {
                return Ok(at);
            }
        }
        Ok(most)
    }

    /// What is gone goes, from the end, so that places before it stay; then what stays is brought in
    /// order; then, from the beginning, what is new comes to its place and what stays says its changes.
    fn by_key(
        &mut self,
        (old, old_ids): (&[&[u8]], &[Id<'_>]),
        (new, new_ids): (&[&[u8]], &[Id<'_>]),
        keys: Option<&Tree<Box<str>>>,
    ) -> Said {
        let places: HashMap<&Id<'_>, usize> = new_ids.iter().enumerate().map(|(at, id)| (id, at)).collect();
        let mut stay = Vec::new();
        for (at, id) in old_ids.iter().enumerate().rev() {
            match places.get(id) {
                Some(target) => stay.push(Stay { item: old[at], target: *target, settled: false }),
                None => self.at(at, |here| here.say("remove", None, None))?,
            }
        }
        stay.reverse();
        self.order(&mut stay)?;
        let mut stay = stay.into_iter().peekable();
        for (at, item) in new.iter().enumerate() {
            let before = stay.next_if(|stay| stay.target == at);
            self.at(at, |here| match before {
                Some(stay) => here.value(stay.item, item, keys),
                None => here.say("add", None, Some(item)),
            })?;
        }
        Ok(())
    }

    /// Moves as few items as can be.
    fn order(&mut self, stay: &mut Vec<Stay<'_>>) -> Said {
        settle(stay);
        let mut moved: Vec<usize> = stay.iter().filter(|stay| !stay.settled).map(|stay| stay.target).collect();
        if moved.len() > MOVES_MAX {
            return Err(Stop::TooLong);
        }
        // Each goes before the first that has to be behind it, among those that are where they belong.
        moved.sort_unstable();
        for target in moved {
            self.spend(stay.len())?;
            let Some(from) = stay.iter().position(|stay| stay.target == target) else { continue };
            let item = stay.remove(from);
            let to = stay.iter().position(|stay| stay.settled && stay.target > target).unwrap_or(stay.len());
            stay.insert(to, Stay { settled: true, ..item });
            if from != to {
                self.at(to, |here| here.say("move", Some(from), None))?;
            }
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Said {
        self.work.spend(bytes).ok_or(Stop::TooMuch)
    }
}

/// An item that both arrays have.
struct Stay<'t> {
    item: &'t [u8],
    /// Its place in the new array.
    target: usize,
    /// Whether it stands in order with all the others that are settled.
    settled: bool,
}

/// Settles the most items that already are in order: the longest rising subsequence, found by keeping
/// for each length the one that ends lowest.
fn settle(stay: &mut [Stay<'_>]) {
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; stay.len()];
    for at in 0..stay.len() {
        let length = ends.partition_point(|end| stay[*end].target < stay[at].target);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut last = ends.last().copied();
    while let Some(at) = last {
        stay[at].settled = true;
        last = before[at];
    }
}

/// The keys of the items; `None` where one has none, or two have the same.
fn ids<'t>(items: &[&'t [u8]], member: &str) -> Option<Vec<Id<'t>>> {
    let ids: Vec<Id<'t>> = items.iter().map(|item| id(item, member)).collect::<Option<_>>()?;
    let distinct: HashSet<&Id<'_>> = ids.iter().collect();
    (distinct.len() == ids.len()).then_some(ids)
}

fn id<'t>(item: &'t [u8], member: &str) -> Option<Id<'t>> {
    let value = Walker::members(item).filter(|own| *own.name.text() == *member.as_bytes()).last()?.value;
    match value.first()? {
        b'"' if value.contains(&b'\\') => {
            let mut id = vec![b'"'];
            id.extend_from_slice(json::string(value)?.as_bytes());
            Some(Cow::Owned(id))
        }
        // Without the quote at its end, which the other spelling has not either.
        b'"' => value.get(..value.len() - 1).map(Cow::Borrowed),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}
