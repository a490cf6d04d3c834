//! A table as the stream shows it: the server describes it before its first row, and after each change.

use super::catalog::Table;
use super::pgoutput::Relation;
use super::row::RowShape;
use super::types::Types;

/// A table as the stream shows it.
pub(super) struct Shown {
    /// Place in `serving`; `None`: nobody wants it.
    pub(super) table: Option<usize>,
    pub(super) shape: RowShape,
    pub(super) keys: Vec<bool>,
    pub(super) relation: Relation,
}

impl Shown {
    /// `table` is its place among those that are served.
    pub(super) fn new(relation: Relation, table: Option<usize>, types: &Types) -> Shown {
        let columns = relation.columns.iter().map(|column| (column.name.as_str(), column.type_oid));
        let shape = RowShape::new(columns, types);
        let keys = relation.columns.iter().map(|column| column.key).collect();
        Shown { table, shape, keys, relation }
    }

    /// Whether its columns are columns of the table as it is.
    pub(super) fn is_of(&self, table: &Table) -> bool {
        self.relation.columns.iter().all(|shown| {
            table.columns.iter().any(|column| (&column.name, column.type_oid) == (&shown.name, shown.type_oid))
        })
    }
}
