//! The members in which two objects differ.

use std::borrow::Cow;

use super::Work;
use crate::json::walker::{Member, Name, Walker};

/// Up to so many differences, each name is looked for among all names; more are sorted.
const FEW: usize = 8;
/// How many names there is room for at once; most objects have fewer.
const NAMES: usize = 32;
/// What it costs to sort and hold one member, in bytes read.
const SORT_BYTES: usize = 32;

/// A member that one object lacks, or whose values are not the same bytes.
pub(super) struct Difference<'t> {
    pub(super) name: Name<'t>,
    pub(super) before: Option<&'t [u8]>,
    pub(super) after: Option<&'t [u8]>,
}

/// The members in which two validated objects differ by their bytes; `None` where there is too much
/// to read. Values that differ in their bytes may still be equal.
pub(super) fn differences<'t>(before: &'t [u8], after: &'t [u8], work: &mut Work) -> Option<Vec<Difference<'t>>> {
    work.spend(before.len() + after.len())?;
    match in_step(before, after) {
        Some(found) => Some(found),
        None => by_name(before, after, work),
    }
}

/// Two objects of one producer nearly always have the same names in the same order. `None` where they
/// have not, or where the order is not enough: of equal names only the last counts, and a name with
/// escapes may be equal to one that looks different.
fn in_step<'t>(before: &'t [u8], after: &'t [u8]) -> Option<Vec<Difference<'t>>> {
    let (mut old, mut new) = (Walker::in_object(before), Walker::in_object(after));
    let mut names = Vec::with_capacity(NAMES);
    let mut escaped = false;
    let mut found = Vec::new();
    while let Some(own) = old.member() {
        names.push(own.name.quoted);
        escaped |= own.name.escaped;
        if new.passes(&own) {
            continue;
        }
        let other = new.member().filter(|other| other.name.quoted == own.name.quoted)?;
        if own.value != other.value {
            found.push(Difference { name: own.name, before: Some(own.value), after: Some(other.value) });
        }
    }
    if new.member().is_some() {
        return None;
    }
    (found.is_empty() || !escaped && once(&found, &mut names)).then_some(found)
}

/// Whether each name that was found is there once.
fn once(found: &[Difference<'_>], names: &mut [&[u8]]) -> bool {
    if found.len() <= FEW {
        return found.iter().all(|own| names.iter().filter(|name| **name == own.name.quoted).count() == 1);
    }
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

fn by_name<'t>(before: &'t [u8], after: &'t [u8], work: &mut Work) -> Option<Vec<Difference<'t>>> {
    let mut old = sorted(before, work)?.into_iter().peekable();
    let mut found = Vec::new();
    for (name, new) in sorted(after, work)? {
        while let Some((_, gone)) = old.next_if(|(other, _)| *other < name) {
            found.push(Difference { name: gone.name, before: Some(gone.value), after: None });
        }
        let before = old.next_if(|(other, _)| *other == name).map(|(_, old)| old.value);
        if before != Some(new.value) {
            found.push(Difference { name: new.name, before, after: Some(new.value) });
        }
    }
    found.extend(old.map(|(_, gone)| Difference { name: gone.name, before: Some(gone.value), after: None }));
    Some(found)
}

/// The members by the text of their names; of equal names the last.
fn sorted<'t>(object: &'t [u8], work: &mut Work) -> Option<Vec<(Cow<'t, [u8]>, Member<'t>)>> {
    let mut members: Vec<_> = Walker::members(object).map(|member| (member.name.text(), member)).collect();
    work.spend(members.len() * SORT_BYTES)?;
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    // Sorting keeps the order of equal ones; `dedup_by` keeps the first, so it gets the last one's value.
    members.dedup_by(|later, kept| {
        let equal = later.0 == kept.0;
        if equal {
            std::mem::swap(later, kept);
        }
        equal
    });
    Some(members)
}
