//! The state takes over a large batch: one commit names its segments and has its rows, and then it is visible.

use std::sync::{Arc, PoisonError};

use redb::WriteTransaction;
use tidegate_core::{ChannelId, Offset};

use super::commit::channel_row;
use crate::batch::AppendError;
use crate::counters::add;
use crate::engine::Engine;
use crate::error::DrainError;
use crate::large::{Complete, Scratch, Writing};
use crate::state::{CHANNELS, SEGMENTS, Snapshot, StateError, ViewTables};

impl Engine {
    /// Returns the channels whose heads moved. On an error the batch is as it was, unless the log is poisoned.
    pub(crate) fn take_over(&self, large: &Complete<'_>) -> Result<Vec<ChannelId>, AppendError> {
        let _turn = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.ready().and_then(|()| {
            // What is in the journal comes before the batch, and must not be replayed onto it.
            self.drain_in_turn()?;
            self.take_over_in_turn(large)
        });
        let snapshot = taken.map_err(|error| match error {
            DrainError::Poisoned => AppendError::Poisoned,
            DrainError::Closed => AppendError::Closed,
            DrainError::Io(error) => self.disk_failed(&error),
            DrainError::State(_) | DrainError::Read(_) => {
                tracing::error!(%error, "a large batch could not be committed; it can be tried again");
                AppendError::State
            }
        })?;
        let records = large.channels.iter().map(|writing| writing.head - writing.state.head()).sum();
        for channel in &self.channels {
            let writing = large.channels.iter().find(|writing| writing.state.id == channel.id);
            match writing {
                Some(writing) => self.show_large(writing, &snapshot),
                None => channel.publish(channel.start(), |held| held.snapshot = snapshot.clone()),
            }
        }
        self.ledger.release(0, snapshot);
        self.recovered();
        add(&self.counters.batches, 1);
        add(&self.counters.records, records);
        Ok(large.channels.iter().map(|writing| writing.state.id).collect())
    }

    fn take_over_in_turn(&self, large: &Complete<'_>) -> Result<Arc<Snapshot>, DrainError> {
        let committed = self.commit_large(large);
        let error = match committed.and_then(|()| self.state.snapshot()) {
            Ok(snapshot) => return Ok(Arc::new(snapshot)),
            Err(error) => error,
        };
        // Whether the commit took place is what the file says. Nobody may see its rows before they have a head.
        let looked = self.reopened_state().and_then(|snapshot| Ok((large.is_in(&snapshot)?, snapshot)));
        match looked {
            Ok((true, snapshot)) => Ok(snapshot),
            Ok((false, snapshot)) => {
                self.show(&snapshot);
                Err(error.into())
            }
            Err(_) => {
                self.poison("it is not known whether a large batch was committed");
                Err(DrainError::Poisoned)
            }
        }
    }

    fn commit_large(&self, large: &Complete<'_>) -> Result<(), StateError> {
        let write = self.state.begin()?;
        for writing in &large.channels {
            if let Some(scratch) = large.scratch.as_ref().filter(|_| writing.state.keyed) {
                put_rows(&write, writing, scratch)?;
            }
            put_channel(&write, writing)?;
        }
        self.put_ledger(&write, std::slice::from_ref(&large.layer))?;
        Ok(write.commit()?)
    }

    fn show_large(&self, writing: &Writing, snapshot: &Arc<Snapshot>) {
        let new = self.segments_of(writing.state.id, writing.segments.clone());
        writing.state.install(writing.head, writing.last_time, |held| {
            held.segments = Arc::new(held.segments.iter().cloned().chain(new).collect());
            held.snapshot = snapshot.clone();
            held.cleared = held.cleared.max(writing.cleared);
        });
    }
}

impl Complete<'_> {
    fn is_in(&self, snapshot: &Snapshot) -> Result<bool, StateError> {
        for writing in &self.channels {
            if let Some(segment) = writing.segments.first() {
                return snapshot.has_segment(writing.state.id, segment);
            }
        }
        Ok(false) // without records it may be committed twice
    }
}

fn put_rows(write: &WriteTransaction, writing: &Writing, scratch: &Scratch) -> Result<(), StateError> {
    let id = writing.state.id;
    let mut view = ViewTables::open(write, id, writing.state.by_key)?;
    if writing.cleared > 0 {
        view.clear()?;
    }
    // Rows of an address are neighbours; its newest record counts.
    let mut address: (Vec<u8>, Offset) = (Vec::new(), 0);
    scratch.each(id, |key, offset, stored| {
        match stored.filter(|_| offset > writing.cleared) {
            Some(stored) => view.put(key, stored)?,
            None => view.remove(key)?,
        }
        let end = 8 + key[8..].iter().position(|byte| *byte == 0).unwrap_or(key.len() - 8);
        if address.0 != key[..end] {
            if !address.0.is_empty() {
                view.touch(&address.0, address.1)?;
            }
            address = (key[..end].to_vec(), 0);
        }
        address.1 = address.1.max(offset);
        Ok(())
    })?;
    if !address.0.is_empty() {
        view.touch(&address.0, address.1)?;
    }
    Ok(())
}

fn put_channel(write: &WriteTransaction, writing: &Writing) -> Result<(), StateError> {
    let id = writing.state.id;
    let mut channels = write.open_table(CHANNELS)?;
    let row = channel_row(&channels, id)?;
    let mut row = row.ok_or_else(|| StateError::damaged("a channel is missing"))?;
    (row.head, row.last_time) = (writing.head, row.last_time.max(writing.last_time));
    row.cleared = row.cleared.max(writing.cleared);
    channels.insert(id.to_bits(), row.encode().as_slice())?;
    let mut segments = write.open_table(SEGMENTS)?;
    for meta in &writing.segments {
        segments.insert(meta.key(id), meta.encode().as_slice())?;
    }
    Ok(())
}
