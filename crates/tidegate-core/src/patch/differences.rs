//! The members in which two objects differ.

use std::borrow::Cow;

use super::Work;
use crate::json::name_bytes;
use crate::json::walker::Walker;

/// Up to so many differences, each name is looked for among all names; more are sorted.
const FEW: usize = 8;
/// What it costs to sort and hold one member, in bytes read.
const SORT_BYTES: usize = 32;

/// A member that one object lacks, or whose values are not the same bytes.
pub(super) struct Difference<'t> {
    /// With its quotes.
    pub(super) name: &'t [u8],
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
/// have not, or where the order is not enough: of equal names only the last counts.
fn in_step<'t>(before: &'t [u8], after: &'t [u8]) -> Option<Vec<Difference<'t>>> {
    let (mut old, mut new) = (Walker::members(before), Walker::members(after));
    let mut names: Vec<&[u8]> = Vec::with_capacity(32);
    let mut found = Vec::new();
    loop {
        match (old.next(), new.next()) {
            (None, None) => break,
            (Some((old_name, before)), Some((name, after))) if old_name == name => {
                names.push(name);
                if before != after {
                    found.push(Difference { name, before: Some(before), after: Some(after) });
                }
            }
            _ => return None,
        }
    }
    (found.is_empty() || unique(&found, &mut names)).then_some(found)
}

/// Whether each name that was found is there once. Names with escapes may be equal to others that look
/// different.
fn unique(found: &[Difference<'_>], names: &mut [&[u8]]) -> bool {
    if names.iter().any(|name| name.contains(&b'\\')) {
        return false;
    }
    if found.len() <= FEW {
        return found.iter().all(|own| names.iter().filter(|name| **name == own.name).count() == 1);
    }
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

struct Member<'t> {
    text: Cow<'t, [u8]>,
    name: &'t [u8],
    value: &'t [u8],
}

fn by_name<'t>(before: &'t [u8], after: &'t [u8], work: &mut Work) -> Option<Vec<Difference<'t>>> {
    let mut old = sorted(before, work)?.into_iter().peekable();
    let mut found = Vec::new();
    for new in sorted(after, work)? {
        while let Some(gone) = old.next_if(|old| old.text < new.text) {
            found.push(Difference { name: gone.name, before: Some(gone.value), after: None });
        }
        let before = old.next_if(|old| old.text == new.text).map(|old| old.value);
        if before != Some(new.value) {
            found.push(Difference { name: new.name, before, after: Some(new.value) });
        }
    }
    found.extend(old.map(|gone| Difference { name: gone.name, before: Some(gone.value), after: None }));
    Some(found)
}

/// The members by name; of equal names the last.
fn sorted<'t>(object: &'t [u8], work: &mut Work) -> Option<Vec<Member<'t>>> {
    let mut members: Vec<Member<'t>> =
        Walker::members(object).map(|(name, value)| Member { text: name_bytes(name), name, value }).collect();
    work.spend(members.len() * SORT_BYTES)?;
    members.sort_by(|one, other| one.text.cmp(&other.text));
    // Sorting keeps the order of equal ones; `dedup_by` keeps the first, so it gets the last one's value.
    members.dedup_by(|later, kept| {
        let equal = later.text == kept.text;
        if equal {
            (kept.name, kept.value) = (later.name, later.value);
        }
        equal
    });
    Some(members)
}
