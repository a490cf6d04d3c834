//! Which keys a lookup asks about: a key of which some parts are not known yet.

use bytes::Bytes;
use tidegate_cel::Value;
use tidegate_core::json::{self, Elements};

/// Parts of a key that can be told apart by a bit each.
const PARTS_MAX: usize = 64;
/// Stands for a part that is not known, in the text of a pattern; no JSON is that.
const OPEN: &str = "*";

/// Which parts of a key are known, and what they are. Its text is the key's, if all are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Pattern {
    /// A bit for each part that is known.
    pub(crate) known: u64,
    /// How many parts there are.
    pub(crate) parts: usize,
    /// The known parts in their places.
    pub(crate) text: Box<str>,
}

impl Pattern {
    /// Of the values of the parts; `None` for one that no key has: keys are strings and whole numbers.
    pub(crate) fn of_values<'v>(parts: impl ExactSizeIterator<Item = Option<&'v Value<'v>>>) -> Option<Pattern> {
        let count = parts.len();
        let mut tokens = Vec::with_capacity(count);
        for part in parts {
            tokens.push(match (part, count) {
                (None, _) => None,
                // The key of one part is its text.
                (Some(Value::String(text)), 1) => Some(text.to_string()),
                (Some(Value::String(text)), _) => {
                    let mut token = Vec::new();
                    json::write_string(text, &mut token);
                    Some(String::from_utf8(token).ok()?)
                }
                (Some(Value::Int(number)), _) => Some(number.to_string()),
                (Some(Value::Uint(number)), _) => Some(number.to_string()),
                _ => return None,
            });
        }
        Pattern::of(&tokens.iter().map(Option::as_deref).collect::<Vec<_>>())
    }

    /// Of the key of a row; `None` if it has another number of parts.
    pub(crate) fn of_key(key: &str, parts: usize) -> Option<Pattern> {
        let known = all(parts)?;
        Some(Pattern { known, parts, text: key.into() }).filter(|_| parts == 1 || tokens(key, parts).is_some())
    }

    /// What is left of it where only these parts are known.
    pub(crate) fn only(&self, known: u64) -> Option<Pattern> {
        if known == self.known {
            return Some(self.clone());
        }
        let tokens = self.tokens()?;
        let kept = tokens.iter().enumerate().map(|(at, token)| (known >> at & 1 == 1).then_some(token.as_str()));
        Pattern::of(&kept.collect::<Vec<_>>())
    }

    /// Whether all of the key is known.
    pub(crate) fn is_key(&self) -> bool {
        all(self.parts) == Some(self.known)
    }

    /// The parts, as they are in the text of a key.
    pub(crate) fn tokens(&self) -> Option<Vec<String>> {
        if self.parts == 1 { Some(vec![self.text.to_string()]) } else { tokens(&self.text, self.parts) }
    }

    fn of(tokens: &[Option<&str>]) -> Option<Pattern> {
        all(tokens.len())?;
        let known =
            tokens.iter().enumerate().filter(|(_, token)| token.is_some()).fold(0, |known, (at, _)| known | 1 << at);
        let text = match tokens {
            // No key is empty.
            [only] => only.unwrap_or_default().into(),
            tokens => {
                let tokens = tokens.iter().map(|token| token.unwrap_or(OPEN));
                format!("[{}]", tokens.collect::<Vec<_>>().join(",")).into()
            }
        };
        Some(Pattern { known, parts: tokens.len(), text })
    }
}

/// The parts of a composite key as the JSON that they are.
fn tokens(key: &str, parts: usize) -> Option<Vec<String>> {
    let Ok(Elements::Found(found)) = json::elements(&Bytes::copy_from_slice(key.as_bytes()), parts) else {
        return None;
    };
    let found: Option<Vec<String>> = found.iter().map(|(_, raw)| String::from_utf8(raw.to_vec()).ok()).collect();
    found.filter(|found| found.len() == parts)
}

fn all(parts: usize) -> Option<u64> {
    match parts {
        0 => None,
        PARTS_MAX => Some(u64::MAX),
        1..PARTS_MAX => Some((1 << parts) - 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_open_parts_is_a_pattern() {
        let key = Pattern::of_key(r#"["a,b",7]"#, 2).expect("a key");
        assert!(key.is_key());
        assert_eq!(&*key.only(0b10).expect("a pattern").text, "[*,7]");
        assert_eq!(&*key.only(0b01).expect("a pattern").text, r#"["a,b",*]"#);
        let values = [Some(Value::text("a,b")), Some(Value::Int(7))];
        let made = Pattern::of_values(values.iter().map(Option::as_ref)).expect("a pattern");
        assert_eq!(made, key);
        let open = [None, Some(Value::Int(7))];
        assert_eq!(Pattern::of_values(open.iter().map(Option::as_ref)), key.only(0b10));
        assert_eq!(Pattern::of_key("[1]", 2), None);
        assert_eq!(Pattern::of_values([Some(&Value::Double(1.5))].into_iter()), None, "spelled in many ways");
    }

    #[test]
    fn a_key_of_one_part_is_its_text() {
        let star = Pattern::of_values([Some(&Value::text("*"))].into_iter()).expect("a pattern");
        assert_eq!(Some(&star), Pattern::of_key("*", 1).as_ref());
        let open = Pattern::of_values([None].into_iter()).expect("a pattern");
        assert!(!open.is_key() && open != star);
        assert_eq!(star.only(0), Some(open));
    }
}
