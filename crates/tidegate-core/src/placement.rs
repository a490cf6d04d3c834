//! Where an event belongs: from its data to its address and its key.
//!
//! Sources place rows with it, and publishing finds keys with it, so both agree on what a key is.

use bytes::Bytes;

use crate::address::{Address, AddressError};
use crate::json::{self, Elements};
use crate::record::Key;
use crate::template::Template;

/// A key has at most this many bytes: room for any identifier, none for a payload.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Which members of an event are its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySpec {
    fields: Box<[Box<str>]>,
}

/// How the events of one channel find their place.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Parameters are taken from the members of the same name.
    pub template: Template,
    /// Of keyed channels.
    pub key: Option<KeySpec>,
}

/// Why an event has no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The data lacks a member of the key, or it is null.
    #[error("the key `{0}` is missing")]
    KeyMissing(String),
    /// A member of the key is neither a string nor a number.
    #[error("the key `{0}` is no string and no number")]
    KeyType(String),
    /// The empty string names nothing.
    #[error("the key is empty")]
    KeyEmpty,
    /// Over [`KEY_BYTES_MAX`].
    #[error("the key is longer than {KEY_BYTES_MAX} bytes")]
    KeyLong,
    /// The data lacks an address parameter.
    #[error("the address parameter `{0}` is missing")]
    ParameterMissing(String),
    /// A parameter's value cannot stand in an address.
    #[error("the address parameter `{0}`: {1}")]
    Parameter(String, AddressError),
}

impl KeySpec {
    /// The key is made of these members, at least one; several make a composite key.
    pub fn new(fields: impl IntoIterator<Item = impl Into<Box<str>>>) -> Option<KeySpec> {
        let fields: Box<[Box<str>]> = fields.into_iter().map(Into::into).collect();
        (!fields.is_empty()).then_some(KeySpec { fields })
    }

    /// The names of the members.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(AsRef::as_ref)
    }

    /// The key of a validated object: a string as it is, a number literally, a composite key as a
    /// JSON array of these.
    pub fn extract(&self, object: &[u8]) -> Result<Key, PlacementError> {
        let key = match &*self.fields {
            [only] => scalar(object, only)?.into(),
            fields => {
                let parts = fields.iter().map(|field| Ok((scalar(object, field)?, json::member(object, field))));
                composite(parts.collect::<Result<Vec<_>, _>>()?)
            }
        };
        checked(key)
    }

    /// The key that a client wrote out as JSON: a string, a number, or a list of these for a
    /// composite key. Two spellings of a key are one key.
    pub fn read(&self, raw: &[u8]) -> Result<Key, PlacementError> {
        let broken = || PlacementError::KeyType("key".to_owned());
        let part = |raw| json::scalar_text(raw).ok_or_else(broken);
        if self.fields.len() == 1 {
            return checked(part(raw)?.into());
        }
        let text = Bytes::copy_from_slice(raw);
        let Ok(Elements::Found(parts)) = json::elements(&text, self.fields.len()) else { return Err(broken()) };
        if parts.len() != self.fields.len() {
            return Err(broken());
        }
        let parts = parts.iter().map(|(_, raw)| Ok((part(raw)?, Some(raw.as_ref()))));
        checked(composite(parts.collect::<Result<Vec<_>, _>>()?))
    }

    /// The key that a client wrote in a URL: as it is, or a JSON list for a composite key.
    pub fn read_text(&self, text: &str) -> Result<Key, PlacementError> {
        if self.fields.len() == 1 { checked(text.into()) } else { self.read(text.as_bytes()) }
    }
}

impl Placement {
    /// The address and the key of a validated object.
    pub fn place(&self, object: &[u8]) -> Result<(Address, Option<Key>), PlacementError> {
        let address = self.address(object)?;
        let key = self.key.as_ref().map(|key| key.extract(object)).transpose()?;
        Ok((address, key))
    }

    /// The address of a validated object.
    pub fn address(&self, object: &[u8]) -> Result<Address, PlacementError> {
        let found: Vec<(&str, Option<String>)> = self
            .template
            .parameters()
            .map(|name| (name, json::member(object, name).and_then(json::scalar_text)))
            .collect();
        let value = |name: &str| found.iter().find(|(own, _)| *own == name).and_then(|(_, text)| text.as_deref());
        self.template.render(value).map_err(|(name, why)| match why {
            Some(error) => PlacementError::Parameter(name, error),
            None => PlacementError::ParameterMissing(name),
        })
    }
}

fn checked(key: Key) -> Result<Key, PlacementError> {
    match key.len() {
        0 => Err(PlacementError::KeyEmpty),
        1..=KEY_BYTES_MAX => Ok(key),
        _ => Err(PlacementError::KeyLong),
    }
}

/// A JSON array of parts, each with the JSON that it was; strings in our one spelling.
fn composite(parts: Vec<(String, Option<&[u8]>)>) -> Key {
    let mut text = Vec::from(b"[");
    for (index, (value, raw)) in parts.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        match raw {
            Some([b'"', ..]) => json::write_string(value, &mut text),
            _ => text.extend_from_slice(value.as_bytes()),
        }
    }
    text.push(b']');
    String::from_utf8(text).expect("parts of validated JSON are UTF-8").into_boxed_str()
}

fn scalar(object: &[u8], field: &str) -> Result<String, PlacementError> {
    match json::member(object, field) {
        None | Some(b"null") => Err(PlacementError::KeyMissing(field.to_owned())),
        Some(raw) => json::scalar_text(raw).ok_or_else(|| PlacementError::KeyType(field.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fields: &[&str], object: &str) -> Result<String, PlacementError> {
        KeySpec::new(fields.iter().copied()).expect("fields").extract(object.as_bytes()).map(String::from)
    }

    #[test]
    fn keys_are_strings_numbers_and_lists_of_them() {
        assert_eq!(key(&["id"], r#"{"id":"a\u0062"}"#), Ok("ab".to_owned()));
        assert_eq!(key(&["id"], r#"{"id":1.50}"#), Ok("1.50".to_owned()));
        assert_eq!(key(&["a", "b"], r#"{"b":"x\u0022","a":7}"#), Ok(r#"[7,"x\""]"#.to_owned()));
        assert_eq!(key(&["id"], r#"{"id":null}"#), Err(PlacementError::KeyMissing("id".to_owned())));
        assert_eq!(key(&["id"], r#"{"id":true}"#), Err(PlacementError::KeyType("id".to_owned())));
        assert_eq!(key(&["id"], &format!(r#"{{"id":"{}"}}"#, "x".repeat(1_025))), Err(PlacementError::KeyLong));
    }

    #[test]
    fn a_key_written_out_has_the_same_spelling() {
        let composite = KeySpec::new(["a", "b"]).expect("fields");
        assert_eq!(composite.read_text(r#" [ 1 , "\u0078" ] "#).as_deref(), Ok(r#"[1,"x"]"#));
        assert!(composite.read_text("[1]").is_err());
        let single = KeySpec::new(["a"]).expect("fields");
        assert_eq!(single.read_text("x y").as_deref(), Ok("x y"));
        assert_eq!(single.read(b"7").as_deref(), Ok("7"));
        assert_eq!(single.read_text(""), Err(PlacementError::KeyEmpty));
    }

    #[test]
    fn parameters_come_from_the_data() {
        let template = Template::parse("orders/{region}/{n}").expect("template");
        let placement = Placement { template, key: None };
        let (address, _) = placement.place(br#"{"region":"eu west","n":4}"#).expect("placed");
        assert_eq!(address.as_str(), "orders/eu%20west/4");
        assert_eq!(placement.place(br#"{"n":4}"#), Err(PlacementError::ParameterMissing("region".to_owned())));
        assert_eq!(
            placement.place(br#"{"region":"a/b","n":4}"#),
            Err(PlacementError::Parameter("region".to_owned(), AddressError::Slash))
        );
    }

    #[test]
    fn no_event_is_placed_where_the_server_is() {
        let template = Template::parse("{table}/{id}").expect("template");
        let placement = Placement { template, key: None };
        assert_eq!(
            placement.place(br#"{"table":"_ws","id":4}"#),
            Err(PlacementError::Parameter("table".to_owned(), AddressError::Reserved))
        );
        assert!(placement.place(br#"{"table":"ws","id":"_4"}"#).is_ok());
    }
}
