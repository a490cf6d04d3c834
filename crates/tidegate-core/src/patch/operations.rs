//! RFC 6902: a list of operations, each with the place it is about.

use std::io::Write;

use super::differences::differences;
use super::{ItemKeys, Kind, Work, kind, same};
use crate::json;
use crate::json::walker::Name;
use crate::path::Tree;

/// The JSON patch that makes a value equal to `after` of one that is equal to `before`; `[]` if they
/// are equal. Both are validated JSON. Operations are `add`, `remove`, `replace` and `move`.
///
/// Items of arrays that `keys` knows are compared by their key, those of others by their place, without
/// what both arrays begin and end with. A part is replaced as a whole where that is shorter.
///
/// `None` where the patch would not be shorter than `after`, or [there is too much to read](super).
pub fn json_patch(before: &[u8], after: &[u8], keys: &ItemKeys) -> Option<Vec<u8>> {
    // With its last bracket the list has to be one byte shorter than the value.
    let bytes_max = after.len().saturating_sub(2);
    let mut operations = Operations { out: vec![b'['], path: Vec::new(), bytes_max, work: Work::on(before, after)? };
    match operations.value(before, after, Some(&keys.tree)) {
        Ok(()) => {
            operations.out.push(b']');
            Some(operations.out)
        }
        Err(Stop::TooLong | Stop::TooMuch) => None,
    }
}

/// Why a part cannot be said in operations.
pub(super) enum Stop {
    /// To replace it is as short.
    TooLong,
    /// There is too much to read.
    TooMuch,
}

pub(super) type Said = Result<(), Stop>;

/// The list as far as it is written.
pub(super) struct Operations {
    out: Vec<u8>,
    /// Where we are: a JSON pointer, escaped as it stands between quotes.
    path: Vec<u8>,
    /// `out` must not become longer.
    bytes_max: usize,
    pub(super) work: Work,
}

impl Operations {
    /// Says what became of a value. Recursion is bounded by the depth of validated JSON.
    pub(super) fn value(&mut self, before: &[u8], after: &[u8], keys: Option<&Tree<Box<str>>>) -> Said {
        if before == after {
            return Ok(());
        }
        let (out, path, bytes_max) = (self.out.len(), self.path.len(), self.bytes_max);
        let replaced = out + self.size("replace", None, Some(after));
        self.bytes_max = bytes_max.min(replaced);
        let said = match (kind(before), kind(after)) {
            (Kind::Object, Kind::Object) => self.object(before, after, keys),
            (Kind::Array, Kind::Array) => self.array(before, after, keys),
            _ => match same(before, after, &mut self.work) {
                Some(true) => Ok(()),
                Some(false) => Err(Stop::TooLong),
                None => Err(Stop::TooMuch),
            },
        };
        self.bytes_max = bytes_max;
        if let Err(Stop::TooLong) = said {
            self.out.truncate(out);
            self.path.truncate(path);
            return self.say("replace", None, Some(after));
        }
        said
    }

    fn object(&mut self, before: &[u8], after: &[u8], keys: Option<&Tree<Box<str>>>) -> Said {
        let path = self.path.len();
        for difference in differences(before, after, &mut self.work).ok_or(Stop::TooMuch)? {
            self.path.push(b'/');
            push_name(difference.name, &mut self.path);
            match (difference.before, difference.after) {
                (Some(before), Some(after)) => {
                    self.value(before, after, keys.and_then(|keys| keys.member(difference.name)))?;
                }
                (None, Some(_)) => self.say("add", None, difference.after)?,
                (_, None) => self.say("remove", None, None)?,
            }
            self.path.truncate(path);
        }
        Ok(())
    }

    /// Says something about the element at `place` of the array where we are.
    pub(super) fn at(&mut self, place: usize, say: impl FnOnce(&mut Operations) -> Said) -> Said {
        let path = self.path.len();
        write!(self.path, "/{place}").expect("writing to memory");
        say(self)?;
        self.path.truncate(path);
        Ok(())
    }

    /// Appends an operation at the place where we are, or from another place of the same array to here.
    pub(super) fn say(&mut self, op: &str, from: Option<usize>, value: Option<&[u8]>) -> Said {
        let from = from.map(|place| self.beside(place));
        if self.out.len() + self.size(op, from.as_deref(), value) > self.bytes_max {
            return Err(Stop::TooLong);
        }
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        let mut push = |parts: [&[u8]; 2]| parts.iter().for_each(|part| self.out.extend_from_slice(part));
        push([b"{\"op\":\"", op.as_bytes()]);
        if let Some(from) = &from {
            push([b"\",\"from\":\"", from]);
        }
        push([b"\",\"path\":\"", &self.path]);
        push([b"\"", b""]);
        if let Some(value) = value {
            push([b",\"value\":", value]);
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Another place of the array in which we are at one.
    fn beside(&self, place: usize) -> Vec<u8> {
        let array = self.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let mut path = self.path[..array].to_vec();
        write!(path, "/{place}").expect("writing to memory");
        path
    }

    /// How long an operation here is, with the comma before it.
    fn size(&self, op: &str, from: Option<&[u8]>, value: Option<&[u8]>) -> usize {
        let comma = usize::from(self.out.len() > 1);
        let from = from.map_or(0, |from| r#","from":"""#.len() + from.len());
        let value = value.map_or(0, |value| r#","value":"#.len() + value.len());
        comma + r#"{"op":"","path":""}"#.len() + op.len() + self.path.len() + from + value
    }
}

/// Appends a name as a segment of a pointer (`~` is `~0`, `/` is `~1`), escaped as JSON is.
fn push_name(name: Name<'_>, path: &mut Vec<u8>) {
    let mut spelled = Vec::new();
    if name.escaped {
        // An escape may hide a `~` or a `/`, so the name is spelled anew.
        json::write_string(&String::from_utf8_lossy(&name.text()), &mut spelled);
    } else {
        spelled.extend_from_slice(name.quoted);
    }
    for byte in &spelled[1..spelled.len() - 1] {
        match byte {
            b'~' => path.extend_from_slice(b"~0"),
            b'/' => path.extend_from_slice(b"~1"),
            _ => path.push(*byte),
        }
    }
}
