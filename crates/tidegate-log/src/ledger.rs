//! What is durable with the records but is none: checkpoints of sources and idempotency keys.
//!
//! Layers as the journal's parts are: the newest is filled, older ones are being drained, below them is the view store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tidegate_core::{ChannelId, Millis};

use crate::batch::{Appended, Idempotency};
use crate::codec::{Reader, put_bytes};
use crate::journal::IdempotencyRecord;
use crate::kept;
use crate::state::{Snapshot, StateError};

/// A remembered key: who may not use it for another body, and what a repeat gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) appended: Millis,
    pub(crate) body_hash: [u8; 32],
    pub(crate) answer: Appended,
}

/// What was written since the last drain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) checkpoints: HashMap<String, Bytes>,
    /// By [`key_bytes`].
    pub(crate) keys: HashMap<Vec<u8>, Remembered>,
}

/// All layers and the store below them.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: RwLock<Layers>,
}

#[derive(Debug)]
struct Layers {
    /// The last is being filled.
    layers: Vec<Arc<Layer>>,
    snapshot: Arc<Snapshot>,
    volatile: Volatile,
}

/// Keys of channels that are not on disk.
#[derive(Debug, Default)]
struct Volatile {
    keys: HashMap<Vec<u8>, Remembered>,
    order: HashMap<ChannelId, VecDeque<Vec<u8>>>,
}

/// Channel first, so that a channel's keys are neighbours in the store.
pub(crate) fn key_bytes(key: &Idempotency) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + key.principal.len() + key.key.len());
    out.extend_from_slice(&key.channel.to_bits().to_be_bytes());
    put_bytes(&mut out, key.principal.as_bytes());
    out.extend_from_slice(key.key.as_bytes());
    out
}

impl Remembered {
    pub(crate) fn of(record: &IdempotencyRecord, appended: Millis) -> Remembered {
        Remembered { appended, body_hash: record.key.body_hash, answer: record.answer.clone() }
    }

    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.extend_from_slice(&self.appended.0.to_le_bytes());
        let channel = ChannelId::from_bits(0);
        let named = Idempotency { channel, principal: String::new(), key: String::new(), body_hash: self.body_hash };
        debug_assert!(key.len() >= 8);
        IdempotencyRecord { key: named, answer: self.answer.clone() }.put(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Remembered> {
        let mut reader = Reader::new(bytes);
        let appended = Millis(reader.u64()?);
        Some(Remembered::of(&IdempotencyRecord::get(&mut reader)?, appended))
    }
}

impl Ledger {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Ledger {
        let layers = Layers { layers: vec![Arc::default()], snapshot, volatile: Volatile::default() };
        Ledger { inner: RwLock::new(layers) }
    }

    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Bytes>, StateError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.layers.iter().rev().find_map(|layer| layer.checkpoints.get(name).cloned());
        let snapshot = inner.snapshot.clone();
        drop(inner);
        match found {
            Some(found) => Ok(Some(found)),
            None => snapshot.checkpoint(name),
        }
    }

    /// What is kept of a kind, by name.
    pub(crate) fn kept(&self, kind: &str) -> Result<BTreeMap<String, Bytes>, StateError> {
        let prefix = kept::prefix(kind);
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let (layers, snapshot) = (inner.layers.clone(), inner.snapshot.clone());
        drop(inner);
        let mut all: BTreeMap<String, Bytes> = snapshot.checkpoints_from(&prefix)?.into_iter().collect();
        for layer in layers {
            let of_kind = layer.checkpoints.iter().filter(|(name, _)| name.starts_with(&prefix));
            all.extend(of_kind.map(|(name, value)| (name.clone(), value.clone())));
        }
        all.retain(|name, value| !kept::is_forgotten(name, value));
        Ok(all.into_iter().map(|(name, value)| (name[prefix.len()..].to_owned(), value)).collect())
    }

    pub(crate) fn remembered(&self, key: &[u8]) -> Result<Option<Remembered>, StateError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.layers.iter().rev().find_map(|layer| layer.keys.get(key).cloned());
        let found = found.or_else(|| inner.volatile.keys.get(key).cloned());
        let snapshot = inner.snapshot.clone();
        drop(inner);
        match found {
            Some(found) => Ok(Some(found)),
            None => snapshot.remembered(key),
        }
    }

    /// Adds what a group made durable.
    pub(crate) fn add(&self, added: Layer) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = inner.layers.last_mut().map(Arc::make_mut) {
            layer.checkpoints.extend(added.checkpoints);
            layer.keys.extend(added.keys);
        }
    }

    /// Remembers a key in memory alone, the newest `max` of its channel.
    pub(crate) fn add_volatile(&self, channel: ChannelId, key: Vec<u8>, remembered: Remembered, max: u64) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Volatile { keys, order } = &mut inner.volatile;
        let order = order.entry(channel).or_default();
        order.push_back(key.clone());
        keys.insert(key, remembered);
        while order.len() as u64 > max.max(1) {
            if let Some(oldest) = order.pop_front() {
                keys.remove(&oldest);
            }
        }
    }

    /// Starts a new layer; returns the ones before it, oldest first.
    pub(crate) fn freeze(&self) -> Vec<Arc<Layer>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let frozen = inner.layers.clone();
        inner.layers.push(Arc::default());
        frozen
    }

    /// The `count` oldest layers are in the store now.
    pub(crate) fn release(&self, count: usize, snapshot: Arc<Snapshot>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.layers.drain(..count);
        inner.snapshot = snapshot;
    }
}
