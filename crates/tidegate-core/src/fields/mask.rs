//! Columns that nobody is shown: what is left of a value without some of its members.
//!
//! A mask is written as `fields=` is, and is its opposite: the members that a path names are taken out, through arrays
//! too; everything else stays, byte for byte.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::{Fields, PathError, comma, elements};
use crate::json::walker::Walker;
use crate::path::{Tree, write_name};

/// Members of an object that are hidden; two that hide the same are equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mask(Fields);

impl Mask {
    /// The canonical list, which parses to the same mask.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What is left of a validated value.
    pub fn hide(&self, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(data.len());
        write(&mut Walker::new(data), &self.0.tree, &mut out);
        out.into()
    }

    /// The hidden path that whoever looks at the path of these names would learn of: what is hidden at it, above it or
    /// below it. No names are the whole value.
    pub fn meets<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        let (mut tree, mut path) = (&self.0.tree, Vec::new());
        for name in names {
            if tree.here.is_some() {
                break;
            }
            path.push(name);
            tree = tree.members.iter().find(|(own, _)| **own == *name).map(|(_, below)| below)?;
        }
        // Below the path each first member leads to what is hidden.
        while tree.here.is_none() {
            let (name, below) = tree.members.first()?;
            path.push(name);
            tree = below;
        }
        Some(spelled(&path))
    }

    /// The first of the fields that are asked for of which nothing would be left.
    pub fn hides(&self, fields: &Fields) -> Option<String> {
        let mut path = Vec::new();
        hidden(&self.0.tree, &fields.tree, &mut path).then(|| spelled(&path))
    }
}

impl FromStr for Mask {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Mask, PathError> {
        text.parse().map(Mask)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Recursion is bounded by the depth of validated JSON.
fn write(walker: &mut Walker<'_>, tree: &Tree<()>, out: &mut Vec<u8>) {
    match walker.peek() {
        b'{' => {
            out.push(b'{');
            let begin = out.len();
            walker.enter();
            while let Some(name) = walker.name() {
                let below = tree.member(name);
                if below.is_some_and(|below| below.here.is_some()) {
                    walker.value();
                    continue;
                }
                comma(begin, out);
                out.extend_from_slice(name.quoted);
                out.push(b':');
                match below {
                    Some(below) => write(walker, below, out),
                    None => out.extend_from_slice(walker.value()),
                }
            }
            out.push(b'}');
        }
        b'[' => elements(walker, tree, out, write),
        _ => out.extend_from_slice(walker.value()),
    }
}

fn hidden<'t>(mask: &'t Tree<()>, fields: &'t Tree<()>, path: &mut Vec<&'t str>) -> bool {
    if mask.here.is_some() {
        return true;
    }
    fields.members.iter().any(|(name, below)| {
        let Some((own, mask)) = mask.members.iter().find(|(own, _)| own == name) else { return false };
        path.push(own);
        let found = hidden(mask, below, path);
        if !found {
            path.pop();
        }
        found
    })
}

fn spelled(path: &[&str]) -> String {
    let mut text = String::new();
    for (at, name) in path.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "." });
        write_name(name, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(text: &str) -> Mask {
        text.parse().expect("a mask")
    }

    #[test]
    fn what_is_masked_is_gone_and_the_rest_stays_byte_for_byte() {
        let hide = |list: &str, data: &str| String::from_utf8(mask(list).hide(data.as_bytes()).to_vec());
        let cases = [
            ("ssn", r#"{"id": 1,"ssn":"x","n":1.50}"#, r#"{"id":1,"n":1.50}"#),
            ("ssn", r#"{"\u0073sn":1,"ssn":2,"n":3}"#, r#"{"n":3}"#),
            ("a.b", r#"{"a":[{"b":1,"c":2},{"b":{}},7],"b":1}"#, r#"{"a":[{"c":2},{},7],"b":1}"#),
            ("a.b", r#"{"a":"text"}"#, r#"{"a":"text"}"#),
            ("a", r#"[{"a":1},{"c":1}]"#, r#"[{},{"c":1}]"#),
            ("a", "null", "null"),
            ("a,a.b", r#"{"a":{"b":1}}"#, "{}"),
        ];
        for (list, data, left) in cases {
            assert_eq!(hide(list, data).as_deref(), Ok(left), "{list} of {data}");
        }
    }

    #[test]
    fn a_path_meets_what_is_hidden_at_above_and_below_it() {
        let meets = |names: &[&str]| mask("ssn,pay.bank.iban").meets(names.iter().copied());
        for (names, met) in [
            (&["ssn"][..], Some("ssn")),
            (&["ssn", "last"], Some("ssn")),
            (&["pay"], Some("pay.bank.iban")),
            (&["pay", "bank", "iban", "x"], Some("pay.bank.iban")),
            (&[], Some("pay.bank.iban")),
            (&["pay", "sum"], None),
            (&["name"], None),
        ] {
            assert_eq!(meets(names).as_deref(), met, "{names:?}");
        }
    }

    #[test]
    fn fields_that_ask_for_what_is_hidden_are_told_which() {
        let hides = |list: &str| mask("ssn,pay.iban").hides(&list.parse().expect("fields"));
        assert_eq!(hides("name,ssn").as_deref(), Some("ssn"));
        assert_eq!(hides("pay.iban.country").as_deref(), Some("pay.iban"));
        assert_eq!(hides("name,pay"), None, "what is left of it is shown");
    }
}
