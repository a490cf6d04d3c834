//! A record as views look at it: what they read of it is decoded at most once, however many they are.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_cel::Json;
use tidegate_core::frame::Row;
use tidegate_core::{Address, Millis, Op, Record};
use tidegate_log::ViewRow;

use crate::config::ChannelConfig;

/// One record, for all views that look at it. Most look at its address alone, so the rest is made when it is asked for.
pub struct Sight<'r> {
    record: &'r Arc<Record>,
    config: &'r ChannelConfig,
    before_data: Option<&'r Bytes>,
    before: OnceCell<Image<'r>>,
    after: OnceCell<Image<'r>>,
}

/// A value at its place: of a row, of an event, or what a key had before.
pub struct Image<'r> {
    data: &'r Bytes,
    place: Place<'r>,
    decoded: OnceCell<Json<'r>>,
    params: OnceCell<Json<'r>>,
}

/// Where and when a value is, and what happens to it.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    pub(super) address: &'r Address,
    pub(super) config: &'r ChannelConfig,
    pub(super) key: Option<&'r str>,
    pub(super) time: Millis,
    pub(super) op: Op,
}

impl<'r> Sight<'r> {
    /// Looks at a record of a channel.
    #[inline]
    pub fn new(record: &'r Arc<Record>, config: &'r ChannelConfig) -> Sight<'r> {
        Sight::since(record, record.before.as_ref(), config)
    }

    /// Looks at a record as the newest of several of its key; `before` is what the key had before all of them.
    #[inline]
    pub(super) fn since(record: &'r Arc<Record>, before: Option<&'r Bytes>, config: &'r ChannelConfig) -> Sight<'r> {
        Sight { record, config, before_data: before, before: OnceCell::new(), after: OnceCell::new() }
    }

    /// The record.
    #[inline]
    pub fn record(&self) -> &'r Arc<Record> {
        self.record
    }

    /// Its channel.
    pub fn config(&self) -> &'r ChannelConfig {
        self.config
    }

    /// What its key had before.
    pub fn before(&self) -> Option<&Image<'r>> {
        self.before_data.map(|data| self.before.get_or_init(|| self.image(data, Op::Delete)))
    }

    /// What it has now, unless it is gone.
    pub fn after(&self) -> Option<&Image<'r>> {
        let record = self.record;
        let there = matches!(record.op, Op::Upsert | Op::Append);
        there.then(|| self.after.get_or_init(|| self.image(&record.data, record.op)))
    }

    fn image(&self, data: &'r Bytes, op: Op) -> Image<'r> {
        let Sight { record, config, .. } = self;
        let key = record.key.as_deref();
        Image::new(data, Place { address: &record.address, config, key, time: record.time, op })
    }
}

impl<'r> Image<'r> {
    /// A row of a channel.
    pub fn of_row(row: &'r ViewRow, config: &'r ChannelConfig) -> Image<'r> {
        let key = Some(&*row.key);
        Image::new(&row.data, Place { address: &row.address, config, key, time: row.time, op: Op::Upsert })
    }

    /// A row as of a past position. No filter of the state reads its time, which need not be known.
    pub(super) fn of_past(row: &'r Row, config: &'r ChannelConfig) -> Image<'r> {
        let (key, time) = (Some(&*row.key), row.time.unwrap_or(Millis(0)));
        Image::new(&row.data, Place { address: &row.address, config, key, time, op: Op::Upsert })
    }

    fn new(data: &'r Bytes, place: Place<'r>) -> Image<'r> {
        Image { data, place, decoded: OnceCell::new(), params: OnceCell::new() }
    }

    /// The JSON as it came.
    pub fn data(&self) -> &'r Bytes {
        self.data
    }

    /// The same, decoded; null if it is none, which nothing that passed the door is.
    pub(super) fn decoded(&self) -> &Json<'r> {
        self.decoded.get_or_init(|| Json::decode(self.data).unwrap_or(Json::Null))
    }

    /// The parameters of the address, by name.
    pub(super) fn params(&self) -> &Json<'r> {
        self.params.get_or_init(|| {
            let found = self.place.config.template.extract(self.place.address).unwrap_or_default();
            let members = found.into_iter().map(|(name, value)| (name.into(), Json::String(value.into())));
            Json::Object(tidegate_cel::Object::new(members.collect()))
        })
    }

    pub(super) fn place(&self) -> &Place<'r> {
        &self.place
    }
}
