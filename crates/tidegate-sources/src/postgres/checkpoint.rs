//! Where the source is, as the log keeps it.

use bytes::Bytes;
use pgwire_replication::Lsn;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::catalog::Table;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownTable {
    pub(super) oid: u32,
    /// Schema and name.
    pub(super) title: String,
    pub(super) channels: Vec<String>,
    pub(super) columns: Vec<KnownColumn>,
    /// As in the catalog.
    pub(super) partitions: Vec<String>,
    /// Rows in the log may differ from the table: it has to be compared.
    pub(super) stale: bool,
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
    pub(super) fn of(table: &Table, channels: Vec<String>, stale: bool) -> KnownTable {
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
            partitions: table.partitions.clone(),
            stale,
        }
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
