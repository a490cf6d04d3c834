//! A row of a table as JSON: the same bytes from a snapshot and from the stream, so that the two can be compared.

use std::cell::Cell;

use bytes::Bytes;
use tidegate_core::json;

use super::types::{Shape, Types};
use super::values::{ValueError, write_json};
use crate::Numbers;

/// A row beyond this is no row for a watcher. With all that may be gathered before it, it fits into a batch of the log.
pub(super) const ROW_BYTES_MAX: usize = 8 << 20;

/// The columns of a table, ready to write rows.
#[derive(Debug)]
pub(super) struct RowShape {
    columns: Vec<ColumnShape>,
    all_known: bool,
    /// Size of the last row: rows of a table are alike.
    size: Cell<usize>,
}

#[derive(Debug)]
struct ColumnShape {
    name: String,
    /// The name as JSON with the colon after it.
    member: Vec<u8>,
    shape: Shape,
}

/// Why a row is not in the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// A value that is none of its type.
    #[error("the column `{column}`: {error}")]
    Value {
        /// Which.
        column: String,
        /// Why.
        error: ValueError,
    },
    /// Over [`ROW_BYTES_MAX`].
    #[error("the row is too large: {0} bytes; at most {ROW_BYTES_MAX} are served")]
    Large(usize),
    /// The server left the value out since it did not change, and no older row has it.
    #[error("the column `{0}` did not change, and its value is not known")]
    Unknown(String),
}

/// Writes one row, column by column.
pub(super) struct RowWriter<'s> {
    shape: &'s RowShape,
    numbers: Numbers,
    out: Vec<u8>,
    next: usize,
    failed: Option<RowError>,
}

impl RowShape {
    /// Columns by name and type, in the order in which values come. A type that is not known, or not any more, is as
    /// good as a text.
    pub(super) fn new<'c>(columns: impl Iterator<Item = (&'c str, u32)>, types: &Types) -> RowShape {
        let mut all_known = true;
        let columns = columns.map(|(name, oid)| {
            let mut member = Vec::with_capacity(name.len() + 3);
            json::write_string(name, &mut member);
            member.push(b':');
            let shape = types.shape(oid);
            all_known &= shape.is_some();
            ColumnShape { name: name.to_owned(), member, shape: shape.unwrap_or(Shape::Text) }
        });
        let columns = columns.collect();
        RowShape { columns, all_known, size: Cell::new(0) }
    }

    /// Whether the types of all columns are known.
    pub(super) fn all_known(&self) -> bool {
        self.all_known
    }

    /// The name of a column.
    pub(super) fn name(&self, at: usize) -> &str {
        &self.columns[at].name
    }

    /// How many values a row has.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Begins a row.
    pub(super) fn writer(&self, numbers: Numbers) -> RowWriter<'_> {
        RowWriter { shape: self, numbers, out: Vec::with_capacity(self.size.get()), next: 0, failed: None }
    }
}

impl<'s> RowWriter<'s> {
    /// The next column is null.
    pub(super) fn null(&mut self) {
        self.json(b"null");
    }

    /// The next column has this text.
    pub(super) fn text(&mut self, text: &[u8]) {
        let Some(column) = self.member() else { return };
        if let Err(error) = write_json(&column.shape, text, self.numbers, &mut self.out) {
            self.fail(RowError::Value { column: column.name.clone(), error });
        }
    }

    /// The next column has this JSON, as an earlier row had it.
    pub(super) fn json(&mut self, json: &[u8]) {
        if self.member().is_some() {
            self.out.extend_from_slice(json);
        }
    }

    /// The next column has a value that nobody knows.
    pub(super) fn unknown(&mut self) {
        if let Some(column) = self.member() {
            self.fail(RowError::Unknown(column.name.clone()));
        }
    }

    /// The next column is left out of the object.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    /// The row, on one line.
    pub(super) fn finish(mut self) -> Result<Bytes, RowError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.out.is_empty() {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        if self.out.len() > ROW_BYTES_MAX {
            return Err(RowError::Large(self.out.len()));
        }
        self.shape.size.set(self.out.len());
        // Each value was checked when it was written.
        Ok(Bytes::from(self.out))
    }

    /// Writes the name of the next column; values beyond the last are nobody's.
    fn member(&mut self) -> Option<&'s ColumnShape> {
        let shape: &'s RowShape = self.shape;
        let column = shape.columns.get(self.next)?;
        self.next += 1;
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        self.out.extend_from_slice(&column.member);
        Some(column)
    }

    /// Keeps the first failure.
    fn fail(&mut self, error: RowError) {
        self.failed.get_or_insert(error);
    }
}
