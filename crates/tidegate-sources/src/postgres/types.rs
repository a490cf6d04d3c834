//! What a type of Postgres looks like as JSON: the rules by which `to_jsonb` chooses, applied once to the catalog
//! instead of to each value.
//!
//! `to_jsonb` also asks for casts to json that someone defined for a type of their own. Those run in the server, on the
//! value; of them only `hstore` is known here, and the others are their text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidegate_core::json;
use tokio_postgres::SimpleQueryRow;

/// How the text of a value becomes JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    /// A number that a double holds: int2, int4, float4, float8.
    Number,
    /// One that it may not hold: int8, numeric.
    WideNumber,
    /// json and jsonb are JSON already.
    Json,
    /// Base64, where `to_jsonb` gives the hexadecimal text.
    Bytea,
    /// Without a time zone.
    Timestamp,
    /// In UTC.
    TimestampTz,
    /// A string of its text: everything that is nothing else.
    Text,
    /// Lists, one in the other for more dimensions.
    Array {
        element: Arc<Shape>,
        /// `,`, but for `box`.
        delimiter: u8,
    },
    /// int2vector and oidvector: elements with spaces between them.
    Vector(Arc<Shape>),
    /// An object of the attributes of a composite type.
    Record(Arc<[Attribute]>),
    /// An object of texts.
    Hstore,
}

/// One attribute of a composite type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// `"name":`
    pub(super) label: Box<[u8]>,
    pub(super) shape: Shape,
}

/// The types of a database.
#[derive(Clone, Debug, Default)]
pub(super) struct Types(HashMap<u32, Shape>);

/// A type within a type within a type: how deep. More is a text. The limit keeps a catalog that contains itself from
/// being followed for ever, and the JSON within the 128 levels that Tidegate passes on.
const NESTING_MAX: usize = 32;

impl Types {
    /// All types, one row for each and one for each attribute of a composite one, for the simple query protocol. Row
    /// types of tables are many, and only there if something uses them.
    pub(super) const SQL: &str = "
WITH used AS (SELECT atttypid AS oid FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped
              UNION SELECT typbasetype FROM pg_catalog.pg_type)
SELECT t.oid, t.typtype, p.proname, t.typbasetype, t.typelem, e.typdelim, a.attname, a.atttypid
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE t.typtype <> 'c' OR c.relkind = 'c' OR t.oid IN (SELECT oid FROM used) OR t.typarray IN (SELECT oid FROM used)
ORDER BY t.oid, a.attnum";

    /// Reads what [`SQL`](Types::SQL) gave.
    pub(super) fn read(rows: &[SimpleQueryRow]) -> Types {
        let number = |row: &SimpleQueryRow, at| row.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
        Types::of(rows.iter().map(|row| Entry {
            oid: number(row, 0),
            domain: row.get(1) == Some("d"),
            composite: row.get(1) == Some("c"),
            output: row.get(2).unwrap_or_default(),
            base: number(row, 3),
            element: number(row, 4),
            delimiter: row.get(5).and_then(|text| text.bytes().next()).unwrap_or(b','),
            attribute: row.get(6).map(|name| (name, number(row, 7))),
        }))
    }

    /// The shape of a type; `None` if it was made after the catalog was read.
    pub(super) fn shape(&self, oid: u32) -> Option<Shape> {
        self.0.get(&oid).cloned()
    }

    /// Built-in types that are no arrays and no composites.
    #[cfg(test)]
    pub(super) fn plain(oids: &[u32]) -> Types {
        let entry = |oid| Entry {
            oid,
            domain: false,
            composite: false,
            output: "",
            base: 0,
            element: 0,
            delimiter: b',',
            attribute: None,
        };
        Types::of(oids.iter().map(|&oid| entry(oid)))
    }

    fn of<'r>(rows: impl Iterator<Item = Entry<'r>>) -> Types {
        // Ordered, so that where the nesting ends does not change from run to run.
        let mut catalog: BTreeMap<u32, Vec<Entry<'r>>> = BTreeMap::new();
        for row in rows {
            catalog.entry(row.oid).or_default().push(row);
        }
        let mut shapes = HashMap::with_capacity(catalog.len());
        for oid in catalog.keys() {
            resolve(*oid, &catalog, &mut shapes, 0);
        }
        Types(shapes)
    }
}

/// A row of [`Types::SQL`].
#[derive(Clone)]
struct Entry<'r> {
    oid: u32,
    domain: bool,
    composite: bool,
    /// Its output function, which says what its text is like.
    output: &'r str,
    /// Of a domain.
    base: u32,
    element: u32,
    /// Between the elements.
    delimiter: u8,
    /// Name and type, if it is a composite type that has any.
    attribute: Option<(&'r str, u32)>,
}

fn resolve(oid: u32, catalog: &BTreeMap<u32, Vec<Entry<'_>>>, shapes: &mut HashMap<u32, Shape>, depth: usize) -> Shape {
    if let Some(shape) = shapes.get(&oid) {
        return shape.clone();
    }
    let Some(entry) = catalog.get(&oid).and_then(|rows| rows.first()).filter(|_| depth < NESTING_MAX) else {
        return Shape::Text;
    };
    let mut below = |oid| resolve(oid, catalog, shapes, depth + 1);
    let shape = if entry.domain {
        below(entry.base)
    } else if entry.composite {
        let attributes = catalog[&oid].iter().filter_map(|row| row.attribute);
        Shape::Record(attributes.map(|(name, oid)| Attribute { label: label(name), shape: below(oid) }).collect())
    } else {
        match (oid, entry.output) {
            (16, _) => Shape::Bool,
            (17, _) => Shape::Bytea,
            (21 | 23 | 700 | 701, _) => Shape::Number,
            (20 | 1700, _) => Shape::WideNumber,
            (114 | 3802, _) => Shape::Json,
            (1114, _) => Shape::Timestamp,
            (1184, _) => Shape::TimestampTz,
            (_, "array_out") => Shape::Array { element: Arc::new(below(entry.element)), delimiter: entry.delimiter },
            (_, "int2vectorout" | "oidvectorout") => Shape::Vector(Arc::new(below(entry.element))),
            (_, "hstore_out") => Shape::Hstore,
            _ => Shape::Text,
        }
    };
    shapes.insert(oid, shape.clone());
    shape
}

/// `"name":`
pub(super) fn label(name: &str) -> Box<[u8]> {
    let mut label = Vec::with_capacity(name.len() + 3);
    json::write_string(name, &mut label);
    label.push(b':');
    label.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(oid: u32, output: &'static str) -> Entry<'static> {
        Entry { oid, domain: false, composite: false, output, base: 0, element: 0, delimiter: b',', attribute: None }
    }

    #[test]
    fn shapes_go_through_domains_arrays_and_composites() {
        let types = Types::of(
            [
                entry(20, "int8out"),
                entry(25, "textout"),
                Entry { element: 20, ..entry(1016, "array_out") },
                Entry { domain: true, base: 1016, ..entry(100_000, "array_out") },
                Entry { composite: true, attribute: Some(("a\"b", 100_000)), ..entry(100_001, "record_out") },
                Entry { composite: true, attribute: Some(("c", 25)), ..entry(100_001, "record_out") },
                Entry { element: 100_001, ..entry(100_002, "array_out") },
                Entry { composite: true, ..entry(100_003, "record_out") },
            ]
            .into_iter(),
        );
        let numbers = Shape::Array { element: Arc::new(Shape::WideNumber), delimiter: b',' };
        let record = Shape::Record(
            [
                Attribute { label: (*b"\"a\\\"b\":").into(), shape: numbers.clone() },
                Attribute { label: (*b"\"c\":").into(), shape: Shape::Text },
            ]
            .into(),
        );
        assert_eq!(types.shape(100_000), Some(numbers));
        assert_eq!(types.shape(100_002), Some(Shape::Array { element: Arc::new(record), delimiter: b',' }));
        assert_eq!(types.shape(100_003), Some(Shape::Record([].into())));
        assert_eq!(types.shape(5), None);
    }

    #[test]
    fn a_catalog_that_contains_itself_ends() {
        let types = Types::of([Entry { element: 100_000, ..entry(100_000, "array_out") }].into_iter());
        assert!(types.shape(100_000).is_some());
    }
}
