//! One channel of an open large batch: its entries become records in segments that no reader knows yet.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Address, Key, Millis, Offset, Op, Record, Tx};

use super::scratch::{ScratchRows, Touched};
use crate::batch::Entry;
use crate::channel::ChannelState;
use crate::engine::Engine;
use crate::segment::{SegmentMeta, SegmentWriter};
use crate::state::StateError;

/// See the module.
pub(crate) struct Writing {
    pub(crate) state: Arc<ChannelState>,
    /// Offset of the last record.
    pub(crate) head: Offset,
    pub(crate) last_time: Millis,
    /// Offset of the last clear, 0 for none: older rows are gone.
    pub(crate) cleared: Offset,
    /// Complete and durable but for their names.
    pub(crate) segments: Vec<SegmentMeta>,
    writer: Option<SegmentWriter>,
    /// The newest record: the last of all carries a mark, and only the commit says which that is.
    held_back: Option<Record>,
}

/// Why an entry is not in the batch, which is over then.
pub(crate) enum Broken {
    /// The disk, or the scratch on it.
    Disk(io::Error),
    /// The view store, where the value before was looked for.
    View(StateError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Disk(error)
    }
}

impl Writing {
    /// The channel is owned: its head stands.
    pub(crate) fn new(state: Arc<ChannelState>) -> Writing {
        Writing {
            head: state.head(),
            last_time: state.last_time(),
            cleared: 0,
            segments: Vec::new(),
            writer: None,
            held_back: None,
            state,
        }
    }

    /// Whether the batch changes the channel at all.
    pub(crate) fn moved(&self) -> bool {
        self.head > self.state.head()
    }

    /// Records whose places are in memory.
    pub(crate) fn indexed(&self) -> usize {
        self.writer.as_ref().map_or(0, SegmentWriter::records)
    }

    /// Makes a record of an entry; a delete of nothing makes none.
    pub(crate) fn take(
        &mut self,
        engine: &Engine,
        rows: Option<&mut ScratchRows<'_>>,
        entry: Entry,
        now: Millis,
        tx: Option<&str>,
    ) -> Result<(), Broken> {
        let before = match rows {
            Some(rows) => self.replace(rows, &entry)?,
            None => None,
        };
        if entry.op == Op::Delete && before.is_none() {
            return Ok(());
        }
        self.head += 1;
        self.last_time = self.last_time.max(now);
        let Entry { op, address, key, time, data, .. } = entry;
        let tx = tx.map(|id| Tx { id: id.into(), last: false });
        let record = Record { offset: self.head, appended: self.last_time, time, op, address, key, data, before, tx };
        match self.held_back.replace(record) {
            Some(earlier) => Ok(self.write(engine, &earlier)?),
            None => Ok(()),
        }
    }

    /// Notes what an entry makes of its row; returns the value before it.
    fn replace(&mut self, rows: &mut ScratchRows<'_>, entry: &Entry) -> Result<Option<Bytes>, Broken> {
        let (id, address, at) = (self.state.id, &entry.address, (self.head + 1, entry.time));
        let key = match (entry.op, &entry.key) {
            (Op::Clear, _) => {
                self.cleared = self.head + 1;
                return Ok(None);
            }
            (Op::Upsert | Op::Delete, Some(key)) => key,
            _ => return Ok(None),
        };
        if entry.op == Op::Upsert {
            let touched = rows.put(&self.state, address, key, at, Some(&entry.data))?;
            return self.value_before(touched, address, key).map_err(Broken::View);
        }
        let before = self.value_before(rows.get(id, address, key)?, address, key).map_err(Broken::View)?;
        if before.is_some() {
            rows.put(&self.state, address, key, at, None)?;
        }
        Ok(before)
    }

    /// The value of a row, given what the batch has made of it.
    pub(crate) fn value_before(
        &self,
        touched: Option<Touched>,
        address: &Address,
        key: &str,
    ) -> Result<Option<Bytes>, StateError> {
        match touched {
            Some(touched) => Ok(touched.data.filter(|_| touched.offset > self.cleared)),
            None if self.cleared > 0 => Ok(None),
            None => self.state.value(&(address.clone(), Key::from(key))),
        }
    }

    fn write(&mut self, engine: &Engine, record: &Record) -> io::Result<()> {
        let writer = self.writer(engine)?;
        writer.push(record)?;
        if writer.bytes() >= engine.segment_bytes(&self.state) {
            self.roll()?;
        }
        Ok(())
    }

    fn writer(&mut self, engine: &Engine) -> io::Result<&mut SegmentWriter> {
        let open = match self.writer.take() {
            Some(open) => open,
            None => SegmentWriter::create(&*engine.disk, engine.segment_number(), self.state.id)?,
        };
        Ok(self.writer.insert(open))
    }

    /// Completes the segment that is being written. It can be tried again.
    pub(crate) fn roll(&mut self) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            self.segments.push(writer.finish()?);
            self.writer = None;
        }
        Ok(())
    }

    /// Writes what is left, with the mark. It can be tried again.
    pub(crate) fn finish(&mut self, engine: &Engine) -> io::Result<()> {
        if self.held_back.is_some() {
            self.writer(engine)?;
        }
        if let (Some(mut last), Some(writer)) = (self.held_back.take(), &mut self.writer) {
            last.tx.iter_mut().for_each(|tx| tx.last = true);
            writer.push(&last)?;
        }
        self.roll()
    }

    /// Its files, complete or not.
    pub(crate) fn files(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().map(|meta| meta.number).chain(self.writer.as_ref().map(SegmentWriter::number))
    }
}
