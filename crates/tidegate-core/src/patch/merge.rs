//! RFC 7396: an object of what is new, with `null` for what is gone.

use super::differences::differences;
use super::{Kind, Work, kind, same};
use crate::json::walker::Walker;

/// The merge patch that makes an object equal to `after` of one that is equal to `before`; `{}` if
/// they are equal. Both are validated JSON.
///
/// `None` where there is no such patch, or none that is shorter than `after`: a value is no object; a
/// member that differs is `null` now or has a `null` in it, outside of arrays, which a merge patch
/// would read as *gone*; or [there is too much to read](super).
pub fn merge_patch(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    if kind(before) != Kind::Object || kind(after) != Kind::Object {
        return None;
    }
    let mut merge = Merge { out: Vec::new(), bytes_max: after.len(), work: Work::on(before, after)? };
    merge.object(before, after)?;
    (merge.out.len() < after.len() || merge.out == b"{}").then_some(merge.out)
}

struct Merge {
    out: Vec<u8>,
    /// A patch that is as long says nothing in less.
    bytes_max: usize,
    work: Work,
}

impl Merge {
    /// Recursion is bounded by the depth of validated JSON.
    fn object(&mut self, before: &[u8], after: &[u8]) -> Option<()> {
        self.out.push(b'{');
        let begin = self.out.len();
        for difference in differences(before, after, &mut self.work)? {
            let undo = self.out.len();
            if undo > begin {
                self.out.push(b',');
            }
            self.out.extend_from_slice(difference.name.quoted);
            self.out.push(b':');
            let value = self.out.len();
            match (difference.before, difference.after) {
                (Some(before), Some(after)) if kind(before) == Kind::Object && kind(after) == Kind::Object => {
                    self.object(before, after)?;
                    if self.out[value..] == *b"{}" {
                        self.out.truncate(undo);
                    }
                }
                (Some(before), Some(after)) if same(before, after, &mut self.work)? => self.out.truncate(undo),
                (_, Some(after)) => self.set(after)?,
                (_, None) => self.out.extend_from_slice(b"null"),
            }
            if self.out.len() >= self.bytes_max {
                return None;
            }
        }
        self.out.push(b'}');
        Some(())
    }

    fn set(&mut self, value: &[u8]) -> Option<()> {
        self.work.spend(value.len())?;
        if sets_null(&mut Walker::new(value)) {
            return None;
        }
        self.out.extend_from_slice(value);
        Some(())
    }
}

/// Whether a merge patch with this value in it would remove something. Arrays are taken as they are.
fn sets_null(walker: &mut Walker<'_>) -> bool {
    if walker.peek() != b'{' {
        return walker.value() == b"null";
    }
    walker.enter();
    while walker.name().is_some() {
        if sets_null(walker) {
            return true;
        }
    }
    false
}
