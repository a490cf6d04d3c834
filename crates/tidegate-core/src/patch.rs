//! What has changed between two values of a row, said in less than the new value.
//!
//! [`merge_patch`] says it as RFC 7396, [`json_patch`] as RFC 6902. Both take validated JSON and copy
//! what they keep of it byte for byte. Who applies the patch to a value equal to `before` has a value
//! equal to `after`. Values are [`equal`] when they say the same:
//!
//! - objects, when they have equal members in whatever order; of equal names the last one counts, as
//!   it does for those who read them;
//! - arrays, when their elements are equal in order;
//! - strings by their text, however it is escaped;
//! - numbers by their digits: `1.0`, `1` and `1e0` are three values, so that digits are never lost.
//!
//! The values are what a publisher likes, and are compared for each watch that wants patches. So no
//! comparison reads more than [`WORK_PER_BYTE`] times what it is about: it gives up then, and the
//! whole value is sent.

mod arrays;
mod differences;
mod items;
mod merge;
mod operations;

pub use items::ItemKeys;
pub use merge::merge_patch;
pub use operations::json_patch;

use crate::json;
use crate::json::walker::Walker;
use differences::differences;

/// Longer values are not compared. Publishers cannot send longer ones; sources may.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// How often a comparison may read each byte of both values: each level of nesting reads once what
/// is below it, where it differs.
pub const WORK_PER_BYTE: usize = 16;
/// So much may always be read, however short the values: small ones nest as deep as they like.
const WORK_BYTES_MIN: usize = 256 * 1024;

/// Whether two validated values say the same. Where that is too much to find out (see the module), they
/// count as different.
pub fn equal(before: &[u8], after: &[u8]) -> bool {
    before == after || Work::on(before, after).and_then(|mut work| same(before, after, &mut work)).unwrap_or(false)
}

/// What a comparison may still read. `None` of those who spend it means that it gives up.
struct Work {
    bytes: usize,
}

impl Work {
    fn on(before: &[u8], after: &[u8]) -> Option<Work> {
        let short = before.len().max(after.len()) <= VALUE_BYTES_MAX;
        short.then(|| Work { bytes: WORK_BYTES_MIN.max(WORK_PER_BYTE * (before.len() + after.len())) })
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }
}

/// Recursion is bounded by the depth of validated JSON.
fn same(before: &[u8], after: &[u8], work: &mut Work) -> Option<bool> {
    if before == after {
        return Some(true);
    }
    match (kind(before), kind(after)) {
        (Kind::Object, Kind::Object) => {
            for difference in differences(before, after, work)? {
                let (Some(before), Some(after)) = (difference.before, difference.after) else { return Some(false) };
                if !same(before, after, work)? {
                    return Some(false);
                }
            }
            Some(true)
        }
        (Kind::Array, Kind::Array) => {
            work.spend(before.len() + after.len())?;
            let (mut before, mut after) = (Walker::elements(before), Walker::elements(after));
            loop {
                match (before.next(), after.next()) {
                    (None, None) => return Some(true),
                    (Some(before), Some(after)) if same(before, after, work)? => {}
                    _ => return Some(false),
                }
            }
        }
        (Kind::String, Kind::String) if [before, after].iter().any(|text| text.contains(&b'\\')) => {
            Some(json::string(before) == json::string(after))
        }
        _ => Some(false),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    /// Numbers and words: they are equal by their bytes.
    Other,
}

fn kind(value: &[u8]) -> Kind {
    match value.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests;
