//! Where the source is, as the log keeps it.

use bytes::Bytes;
use pgwire_replication::Lsn;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::catalog::Table;
use super::destination::Destination;
use super::publication::Published;
use crate::Numbers;

/// Everything that was committed upstream before this place is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The database cluster, which a failover keeps and a dump does not.
    pub(super) system: String,
    /// Which of its histories.
    pub(super) timeline: u32,
    /// The place.
    #[serde(serialize_with = "lsn_text", deserialize_with = "lsn_read")]
    pub(super) lsn: Lsn,
    /// Where the last transaction ended that we were given. Upstream gives it again unless it knows that we hold it.
    #[serde(serialize_with = "lsn_text", deserialize_with = "lsn_read")]
    pub(super) commit: Lsn,
}

/// What we know of the tables: of how many, and how they looked when the rows in the log were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) tables: Vec<KnownTable>,
}

/// A table and the channels that have its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownTable {
    pub(super) oid: u32,
    /// Schema and name.
    pub(super) title: String,
    pub(super) channels: Vec<KnownChannel>,
    pub(super) columns: Vec<KnownColumn>,
    /// As in the catalog.
    pub(super) storage: Vec<String>,
    /// As in the catalog.
    pub(super) shapes: Vec<String>,
    /// What of it is published.
    pub(super) published: Published,
    /// Rows in the log may differ from the table: it has to be compared.
    pub(super) stale: bool,
}

/// A channel as its rows in the log are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownChannel {
    pub(super) name: String,
    address: String,
    key: Vec<String>,
    numbers_as_text: bool,
    /// Addresses that it had before, where rows may still be.
    pub(super) older: Vec<String>,
}

/// A column as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownColumn {
    pub(super) number: i16,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
}

impl KnownTable {
    pub(super) fn of(table: &Table, channels: Vec<KnownChannel>, published: Published) -> KnownTable {
        let column = |column: &super::catalog::Column| KnownColumn {
            number: column.number,
            name: column.name.clone(),
            type_name: column.type_name.clone(),
        };
        KnownTable {
            oid: table.oid,
            title: table.title(),
            channels,
            columns: table.columns.iter().map(column).collect(),
            storage: table.storage.clone(),
            shapes: table.shapes.clone(),
            published,
            stale: false,
        }
    }

    /// Goes on from what was known; stale if rows of then may not be those of now.
    pub(super) fn after(mut self, before: Option<&KnownTable>) -> KnownTable {
        let Some(before) = before else { return KnownTable { stale: true, ..self } };
        let same_channels = self.channels.len() == before.channels.len()
            && self.channels.iter().zip(&before.channels).all(|(now, before)| now.same(before));
        // A new label of an enum is in no row yet.
        let same_shapes = before.shapes.iter().all(|line| self.shapes.contains(line));
        let same = same_channels
            && same_shapes
            && (self.oid, &self.columns, &self.storage, &self.published)
                == (before.oid, &before.columns, &before.storage, &before.published);
        self.stale = before.stale || !same;
        for channel in &mut self.channels {
            if let Some(before) = before.channels.iter().find(|before| before.name == channel.name) {
                let older = before.older.iter().chain([&before.address]);
                channel.older = older.filter(|address| **address != channel.address).cloned().collect();
            }
        }
        self
    }

    /// The same with other storage: it was emptied, which the stream told.
    pub(super) fn emptied(&mut self, table: &Table) {
        self.storage.clone_from(&table.storage);
    }

    /// It was compared.
    pub(super) fn compared(&mut self) {
        self.stale = false;
        self.channels.iter_mut().for_each(|channel| channel.older.clear());
    }

    /// Whether the channel has its rows.
    pub(super) fn has(&self, channel: &str) -> bool {
        self.channels.iter().any(|own| own.name == channel)
    }
}

impl KnownChannel {
    pub(super) fn of(destination: &Destination) -> KnownChannel {
        KnownChannel {
            name: destination.channel.name().to_owned(),
            address: destination.placement.template.as_str().to_owned(),
            key: destination.placement.key.iter().flat_map(|key| key.fields()).map(str::to_owned).collect(),
            numbers_as_text: destination.numbers == Numbers::Text,
            older: Vec::new(),
        }
    }

    fn same(&self, before: &KnownChannel) -> bool {
        (&self.name, &self.address, &self.key, self.numbers_as_text)
            == (&before.name, &before.address, &before.key, before.numbers_as_text)
    }
}

impl Known {
    /// The table whose rows a channel has.
    pub(super) fn of_channel(&self, channel: &str) -> Option<&KnownTable> {
        self.tables.iter().find(|table| table.has(channel))
    }
}

/// Name of the checkpoint with the [`Known`] tables; the one with the [`Position`] is named as the source.
pub(super) fn tables_of(source: &str) -> String {
    format!("{source}/tables")
}

/// The bytes of a checkpoint.
pub(super) fn write(checkpoint: &impl Serialize) -> Bytes {
    serde_json::to_vec(checkpoint).expect("plain data has JSON").into()
}

/// One that an earlier life wrote. What cannot be read is as good as none: everything is compared then.
pub(super) fn read<T: for<'de> Deserialize<'de>>(bytes: Option<Bytes>) -> Option<T> {
    serde_json::from_slice(&bytes?).ok()
}

fn lsn_text<S: Serializer>(lsn: &Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&lsn.to_pg_string())
}

fn lsn_read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lsn, D::Error> {
    let text = String::deserialize(deserializer)?;
    Lsn::parse(&text).map_err(de::Error::custom)
}
