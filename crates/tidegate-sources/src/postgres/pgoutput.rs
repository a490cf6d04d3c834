//! The messages of logical replication: what Postgres' plugin `pgoutput` sends in version 1 of its protocol, in text
//! format (chapter "Logical Replication Message Formats" of its manual).
//!
//! Cells are slices of the message. Decoding never panics and never allocates more than the message is long, whatever
//! the bytes are.

use bytes::{Buf, Bytes};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A transaction begins. All of its changes follow, then its commit: Postgres sends transactions one by one, in
    /// the order of their commits.
    Begin {
        /// Where its commit record is.
        final_lsn: u64,
        /// When it was committed.
        commit_time: Time,
        xid: u32,
    },
    /// It ends.
    Commit {
        /// Where its commit record is: `final_lsn` of the beginning.
        commit_lsn: u64,
        /// Behind the record: what is confirmed when all of it is durable.
        end_lsn: u64,
        commit_time: Time,
    },
    /// The transaction was replicated into this server from elsewhere.
    Origin { name: String },
    /// What the rows of a table look like from now on; sent before the first of them and after each change.
    Relation(Relation),
    /// The name of a type that the next relation uses.
    Type { oid: u32, schema: String, name: String },
    /// A new row.
    Insert { relation: u32, new: Tuple },
    /// A changed row. `old` is there if the identity changed, or if the identity is the full row.
    Update { relation: u32, old: Option<Old>, new: Tuple },
    /// A row is gone.
    Delete { relation: u32, old: Old },
    /// All rows of these tables are gone.
    Truncate { relations: Vec<u32> },
    /// What a session wrote by `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to the transaction around it. One that does not comes at once, and again after a cut.
        transactional: bool,
        lsn: u64,
        prefix: String,
        content: Bytes,
    },
}

/// A table as the rows that follow have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) columns: Vec<Column>,
}

/// Which columns of the old row come with an update or a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The primary key.
    Default,
    /// None.
    Nothing,
    /// All.
    Full,
    /// Those of a unique index.
    Index,
}

/// A column, in the order of the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Part of the identity.
    pub(super) key: bool,
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) type_mod: i32,
}

/// A row, or the key of one with the other cells null.
pub(super) type Tuple = Vec<Cell>;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    /// It is stored out of line (TOAST) and did not change, so it is not sent.
    Unchanged,
    /// As the type's output function writes it.
    Text(Bytes),
}

/// The row before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// Its identity only.
    Key(Tuple),
    /// All of it.
    Full(Tuple),
}

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);

/// From 1970-01-01 to 2000-01-01, where Postgres' own clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("a replication message is cut off")]
    Short,
    #[error("a replication message goes on behind its end")]
    Long,
    #[error("a replication message has a name that is not UTF-8")]
    Name,
    #[error("a replication message has {0:?} where its {1} should be")]
    Unknown(char, &'static str),
}

/// Reads one message.
pub(super) fn decode(data: &Bytes) -> Result<Message, DecodeError> {
    let mut reader = Reader(data.clone());
    let message = match reader.byte()? {
        b'B' => Message::Begin { final_lsn: reader.u64()?, commit_time: reader.time()?, xid: reader.u32()? },
        b'C' => {
            let _flags = reader.byte()?;
            Message::Commit { commit_lsn: reader.u64()?, end_lsn: reader.u64()?, commit_time: reader.time()? }
        }
        b'O' => {
            let _commit_lsn_there = reader.u64()?;
            Message::Origin { name: reader.name()? }
        }
        b'R' => Message::Relation(reader.relation()?),
        b'Y' => Message::Type { oid: reader.u32()?, schema: reader.schema()?, name: reader.name()? },
        b'I' => {
            let relation = reader.u32()?;
            match reader.byte()? {
                b'N' => Message::Insert { relation, new: reader.tuple()? },
                other => return Err(unknown(other, "new row")),
            }
        }
        b'U' => {
            let relation = reader.u32()?;
            let (old, next) = match reader.byte()? {
                b'K' => (Some(Old::Key(reader.tuple()?)), reader.byte()?),
                b'O' => (Some(Old::Full(reader.tuple()?)), reader.byte()?),
                next => (None, next),
            };
            match next {
                b'N' => Message::Update { relation, old, new: reader.tuple()? },
                other => return Err(unknown(other, "new row")),
            }
        }
        b'D' => {
            let relation = reader.u32()?;
            let old = match reader.byte()? {
                b'K' => Old::Key(reader.tuple()?),
                b'O' => Old::Full(reader.tuple()?),
                other => return Err(unknown(other, "old row")),
            };
            Message::Delete { relation, old }
        }
        b'T' => {
            let count = reader.u32()? as usize;
            let _cascade_and_restart = reader.byte()?;
            if reader.0.len() != count.saturating_mul(4) {
                return Err(if reader.0.len() / 4 < count { DecodeError::Short } else { DecodeError::Long });
            }
            Message::Truncate { relations: (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()? }
        }
        b'M' => {
            let transactional = reader.byte()? & 1 == 1;
            let (lsn, prefix) = (reader.u64()?, reader.name()?);
            let length = reader.u32()? as usize;
            Message::Logical { transactional, lsn, prefix, content: reader.bytes(length)? }
        }
        other => return Err(unknown(other, "kind")),
    };
    if reader.0.is_empty() { Ok(message) } else { Err(DecodeError::Long) }
}

fn unknown(byte: u8, place: &'static str) -> DecodeError {
    DecodeError::Unknown(char::from(byte), place)
}

/// What is not read yet.
struct Reader(Bytes);

impl Reader {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| DecodeError::Short)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.0.try_get_u16().map_err(|_| DecodeError::Short)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.0.try_get_u32().map_err(|_| DecodeError::Short)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.0.try_get_u64().map_err(|_| DecodeError::Short)
    }

    fn time(&mut self) -> Result<Time, DecodeError> {
        let micros = self.0.try_get_i64().map_err(|_| DecodeError::Short)?;
        Ok(Time(micros.saturating_add(POSTGRES_EPOCH_MICROS)))
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if self.0.len() < length {
            return Err(DecodeError::Short);
        }
        Ok(self.0.split_to(length))
    }

    /// A text that ends with a zero byte.
    fn name(&mut self) -> Result<String, DecodeError> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or(DecodeError::Short)?;
        let name = std::str::from_utf8(&self.0[..end]).map_err(|_| DecodeError::Name)?.to_owned();
        self.0.advance(end + 1);
        Ok(name)
    }

    /// Empty stands for `pg_catalog`.
    fn schema(&mut self) -> Result<String, DecodeError> {
        let name = self.name()?;
        Ok(if name.is_empty() { "pg_catalog".to_owned() } else { name })
    }

    fn relation(&mut self) -> Result<Relation, DecodeError> {
        let (id, schema, name) = (self.u32()?, self.schema()?, self.name()?);
        let identity = match self.byte()? {
            b'd' => Identity::Default,
            b'n' => Identity::Nothing,
            b'f' => Identity::Full,
            b'i' => Identity::Index,
            other => return Err(unknown(other, "identity")),
        };
        let count = usize::from(self.u16()?);
        // A column has at least ten bytes, so a count that lies cannot make us reserve.
        let mut columns = Vec::with_capacity(count.min(self.0.len() / 10));
        for _ in 0..count {
            let key = self.byte()? & 1 == 1;
            let (name, type_oid, type_mod) = (self.name()?, self.u32()?, self.u32()?.cast_signed());
            columns.push(Column { key, name, type_oid, type_mod });
        }
        Ok(Relation { id, schema, name, identity, columns })
    }

    fn tuple(&mut self) -> Result<Tuple, DecodeError> {
        let count = usize::from(self.u16()?);
        // As with columns: a cell has at least one byte.
        let mut cells = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            cells.push(match self.byte()? {
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                b't' => {
                    let length = self.u32()? as usize;
                    Cell::Text(self.bytes(length)?)
                }
                other => return Err(unknown(other, "cell")),
            });
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests;
