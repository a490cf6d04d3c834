//! Which keys a channel has, and where: what a register knows of its channel.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::{Address, KeySpec, Template, json};

use super::pattern::Pattern;

/// The keys, each with the addresses where it has a row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_key: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The key as it is held, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<str>> {
        self.by_key.get_key_value(key).map(|(key, _)| key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_key.keys()
    }

    /// A row is there, or not any more. Returns the key if that makes it come or go.
    pub(super) fn set(&mut self, key: &str, address: &Arc<str>, there: bool) -> Option<Arc<str>> {
        match (self.by_key.get_mut(key), there) {
            (None, false) => None,
            (None, true) => {
                let key: Arc<str> = key.into();
                self.by_key.insert(key.clone(), vec![address.clone()]);
                Some(key)
            }
            (Some(addresses), true) => {
                if !addresses.contains(address) {
                    addresses.push(address.clone());
                }
                None
            }
            (Some(addresses), false) => {
                addresses.retain(|own| own != address);
                let gone = addresses.is_empty();
                gone.then(|| self.by_key.remove_entry(key).map(|(key, _)| key)).flatten()
            }
        }
    }
}

/// Whether a row counts: what its address says of a part of its key is what the key says. Else who may write at one
/// address would give themselves what belongs to another.
pub(super) fn counts(template: &Template, spec: &KeySpec, address: &Address, key: &Pattern) -> bool {
    let (Some(params), Some(tokens)) = (template.extract(address), key.tokens()) else { return false };
    let part = |name: &str| spec.fields().position(|field| field == name).map(|at| &tokens[at]);
    params.iter().all(|(name, value)| match part(name) {
        None => true,
        Some(token) if tokens.len() == 1 => token == value,
        Some(token) => json::scalar_text(token.as_bytes()).as_deref() == Some(value),
    })
}
