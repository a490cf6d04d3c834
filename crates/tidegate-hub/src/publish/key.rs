//! The text of a key: strings as they are, numbers literally, composite keys as a JSON array.

use tidegate_core::json;
use tidegate_core::{ErrorCode, Key, Op, Problem};

use super::body::Line;
use crate::channel::Channel;
use crate::config::KeySpec;

/// A key may have this many bytes: room for any identifier, none for a payload.
const KEY_BYTES_MAX: usize = 1_024;

/// The key in an event's data.
///
/// # Errors
/// The name of the member that is missing, or no string or number.
pub fn key_of(spec: &KeySpec, data: &[u8]) -> Result<Key, String> {
    let part = |name: &String| json::member(data, name).ok_or_else(|| name.clone());
    if let [name] = spec.0.as_slice() {
        return json::scalar_text(part(name)?).map(String::into_boxed_str).ok_or_else(|| name.clone());
    }
    let mut text = Vec::new();
    for (index, name) in spec.0.iter().enumerate() {
        push_part(index, part(name)?, &mut text).ok_or_else(|| name.clone())?;
    }
    Ok(finish(text))
}

/// The key that a client wrote in a URL, in the one spelling.
pub fn key_text(channel: &Channel, text: &str) -> Result<Key, Problem> {
    let composite = channel.config.key.as_ref().is_some_and(|spec| spec.0.len() > 1);
    let key = if composite { composite_text(text.as_bytes()) } else { Some(text.into()) };
    let key = key.ok_or_else(|| unfit(channel, "`key` is not a JSON array of strings and numbers"))?;
    checked(channel, key)
}

/// The key of one line of a publish, which may stand in the URL, the envelope and the data: where
/// it stands twice, both must say the same.
pub(super) fn of_line(channel: &Channel, line: &Line, op: Op, url: Option<&Key>) -> Result<Option<Key>, Problem> {
    let Some(spec) = &channel.config.key else {
        if line.key.is_some() {
            return Err(Problem::new(
                ErrorCode::Unprocessable,
                format!("the channel `{}` has no keys", channel.config.name),
            )
            .hint("leave `key` out of the envelope"));
        }
        return Ok(None);
    };
    let envelope = line.key.as_deref().map(|raw| envelope_key(channel, spec, raw)).transpose()?;
    let outside = url.cloned().or(envelope);
    if op == Op::Delete {
        return outside.map(Some).ok_or_else(|| unfit(channel, "a delete names its `key`"));
    }
    match (outside, key_of(spec, &line.data)) {
        (Some(outside), Ok(inside)) if outside != inside => Err(Problem::new(
            ErrorCode::Conflict,
            format!("the data's key is `{inside}`, the request's key is `{outside}`"),
        )),
        (Some(outside), _) => Ok(Some(outside)),
        (None, Ok(inside)) => checked(channel, inside).map(Some),
        (None, Err(name)) => {
            Err(unfit(channel, &format!("the data has no key: `{name}` is missing, or no string or number")))
        }
    }
}

fn envelope_key(channel: &Channel, spec: &KeySpec, raw: &[u8]) -> Result<Key, Problem> {
    let key = if spec.0.len() > 1 { composite_text(raw) } else { json::scalar_text(raw).map(String::into_boxed_str) };
    let key = key.ok_or_else(|| unfit(channel, "`key` is no string, number, or list of these"))?;
    checked(channel, key)
}

fn checked(channel: &Channel, key: Key) -> Result<Key, Problem> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(unfit(channel, &format!("a key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    Ok(key)
}

fn unfit(channel: &Channel, detail: &str) -> Problem {
    let names = channel.config.key.as_ref().map(|spec| spec.0.join("`, `")).unwrap_or_default();
    Problem::new(ErrorCode::Unprocessable, detail)
        .hint(format!("the key of the channel `{}` is `{names}` of the data", channel.config.name))
}

fn composite_text(raw: &[u8]) -> Option<Key> {
    let parts = json::elements(raw).ok()??;
    let mut text = Vec::new();
    for (index, (_, part)) in parts.iter().enumerate() {
        push_part(index, part, &mut text)?;
    }
    (!parts.is_empty()).then(|| finish(text))
}

/// Strings are written in our one spelling, so that two escapes of a key are one key.
fn push_part(index: usize, raw: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let scalar = json::scalar_text(raw)?;
    text.push(if index == 0 { b'[' } else { b',' });
    if raw.first() == Some(&b'"') {
        json::write_string(&scalar, text);
    } else {
        text.extend_from_slice(scalar.as_bytes());
    }
    Some(())
}

fn finish(mut text: Vec<u8>) -> Key {
    text.push(b']');
    String::from_utf8(text).expect("parts of validated JSON are UTF-8").into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(names: &[&str], data: &str) -> Result<Key, String> {
        key_of(&KeySpec(names.iter().map(|name| (*name).to_owned()).collect()), data.as_bytes())
    }

    #[test]
    fn keys_have_one_spelling() {
        assert_eq!(key(&["id"], r#"{"id":"a\u0062"}"#).as_deref(), Ok("ab"));
        assert_eq!(key(&["id"], r#"{"id":1.50}"#).as_deref(), Ok("1.50"));
        assert_eq!(key(&["a", "b"], r#"{"b":"\u0078","a":1}"#).as_deref(), Ok(r#"[1,"x"]"#));
        assert_eq!(composite_text(br#" [ 1 , "\u0078" ] "#).as_deref(), Some(r#"[1,"x"]"#));
    }

    #[test]
    fn what_is_no_key_is_named() {
        assert_eq!(key(&["id"], r#"{"id":null}"#), Err("id".to_owned()));
        assert_eq!(key(&["id"], r#"{"id":{}}"#), Err("id".to_owned()));
        assert_eq!(key(&["a", "b"], r#"{"a":1}"#), Err("b".to_owned()));
        assert_eq!(key(&["id"], "[]"), Err("id".to_owned()));
    }
}
