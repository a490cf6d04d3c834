//! What the database says of its tables.

use std::collections::HashMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::names::{plain, quoted};

/// A table as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `r` ordinary, `p` partitioned, or something that has no changes to read.
    pub(super) kind: char,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub(super) persistence: char,
    /// Policies hide rows from us.
    pub(super) rows_hidden: bool,
    pub(super) readable: bool,
    /// We own it, or are a superuser: it can be put into a publication.
    pub(super) owned: bool,
    pub(super) columns: Vec<Column>,
    /// Numbers of the columns that changes and deletes name a row by; empty: none do.
    pub(super) identity: Vec<i16>,
    pub(super) identity_kind: char,
    /// Partitions that name their rows by other columns than the whole table does.
    pub(super) odd_partitions: Vec<String>,
    /// Rows of these are in other databases, and so is their WAL.
    pub(super) foreign_partitions: Vec<String>,
    /// The table, or each of its partitions, and the file that it is in: another file means that it was emptied or
    /// rewritten, which the stream may not tell.
    pub(super) storage: Vec<String>,
    /// Columns, by number, that no two rows have the same of.
    pub(super) uniques: Vec<Vec<i16>>,
    pub(super) server_version: u32,
    /// Labels of enums and attributes of composite types that its columns have, a line each.
    pub(super) shapes: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) type_oid: u32,
    pub(super) not_null: bool,
    /// ` ` none, `s` stored, `v` virtual.
    pub(super) generated: char,
    /// Values come in any order and spelling, so they cannot be told apart as keys.
    pub(super) type_category: char,
}

const TABLES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       c.relrowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
         AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')),
       COALESCE(has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), false),
       pg_has_role(c.relowner, 'USAGE'),
       COALESCE((SELECT i.indkey::int2[] FROM pg_index i
                 WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND
                       ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))
                 LIMIT 1), '{}'),
       COALESCE((SELECT array_agg(p.relid::regclass::text ORDER BY 1)
                 FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
                 WHERE p.isleaf AND l.relkind = 'r' AND c.relkind = 'p' AND l.relreplident <> 'f' AND (
                   c.relreplident = 'f' OR (
                     SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_index i JOIN pg_attribute a
                       ON a.attrelid = l.oid AND a.attnum = ANY(i.indkey::int2[])
                     WHERE i.indrelid = l.oid AND i.indisvalid AND i.indimmediate AND
                       ((l.relreplident = 'd' AND i.indisprimary) OR (l.relreplident = 'i' AND i.indisreplident))
                   ) IS DISTINCT FROM (
                     SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_index i JOIN pg_attribute a
                       ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey::int2[])
                     WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND
                       ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))
                   ))), '{}'),
       COALESCE((SELECT array_agg(p.relid::regclass::text ORDER BY 1)
                 FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
                 WHERE c.relkind = 'p' AND l.relkind = 'f'), '{}'),
       COALESCE(CASE WHEN c.relkind = 'p' THEN
           (SELECT array_agg(p.relid::oid || ' ' || COALESCE(pg_relation_filenode(p.relid)::text, '-') ORDER BY p.relid::oid)
            FROM pg_partition_tree(c.oid) p WHERE p.isleaf)
         ELSE ARRAY[c.oid || ' ' || COALESCE(pg_relation_filenode(c.oid)::text, '-')] END, '{}'),
       COALESCE((SELECT array_agg(line ORDER BY line) FROM (
         SELECT DISTINCT COALESCE(e.oid || ' ' || e.enumlabel, t.oid || ' ' || (
                  SELECT string_agg(f.attname || ' ' || format_type(f.atttypid, f.atttypmod), ', ' ORDER BY f.attnum)
                  FROM pg_attribute f WHERE f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped)) AS line
         FROM pg_attribute a JOIN pg_type own ON own.oid = a.atttypid
         JOIN pg_type t ON t.oid IN (own.oid, own.typelem, own.typbasetype)
         LEFT JOIN pg_enum e ON e.enumtypid = t.oid
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype IN ('e', 'c')) lines
         WHERE line IS NOT NULL), '{}'),
       COALESCE((SELECT array_agg(array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ' ')) FROM pg_index i
                 WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL), '{}'),
       current_setting('server_version_num')::int4
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY($1)";

const COLUMNS: &str = "
SELECT a.attrelid, a.attnum, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       COALESCE(NULLIF(a.attgenerated::text, ''), ' '), t.typcategory::text, a.atttypid
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

/// By the parts of its name, so that a table in a schema that we may not use is found, too.
const NAMED: &str = "
SELECT c.oid FROM parse_ident($1) AS parts, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = CASE cardinality(parts) WHEN 1 THEN 'public' ELSE parts[1] END
  AND c.relname = parts[cardinality(parts)] AND cardinality(parts) < 3";

/// Every table that an application may have made.
const ALL: &str = "
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname";

/// The tables of these names, as people write them (`orders`, `sales.\"Orders\"`); `None` where there is none.
pub(super) async fn by_name(client: &Client, names: &[&str]) -> Result<Vec<Option<Table>>, Error> {
    let mut oids = Vec::with_capacity(names.len());
    for name in names {
        oids.push(match client.query_opt(NAMED, &[name]).await {
            Ok(row) => row.map(|row| row.get::<_, u32>(0)),
            // A name that cannot be one is a name of nothing.
            Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => None,
            Err(error) => return Err(error),
        });
    }
    let wanted: Vec<u32> = oids.iter().flatten().copied().collect();
    let found: HashMap<u32, Table> =
        by_oid(client, &wanted).await?.into_iter().map(|table| (table.oid, table)).collect();
    Ok(oids.into_iter().map(|oid| oid.and_then(|oid| found.get(&oid).cloned())).collect())
}

/// All tables of the database.
pub(super) async fn all(client: &Client) -> Result<Vec<Table>, Error> {
    let oids: Vec<u32> = client.query(ALL, &[]).await?.iter().map(|row| row.get(0)).collect();
    let mut tables = by_oid(client, &oids).await?;
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Ok(tables)
}

/// Those of these tables that are still there.
pub(super) async fn by_oid(client: &Client, oids: &[u32]) -> Result<Vec<Table>, Error> {
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in client.query(COLUMNS, &[&oids]).await? {
        columns.entry(row.get(0)).or_default().push(Column {
            number: row.get(1),
            name: row.get(2),
            type_name: row.get(3),
            type_oid: row.get(7),
            not_null: row.get(4),
            generated: letter(row.get(5)),
            type_category: letter(row.get(6)),
        });
    }
    let tables = client.query(TABLES, &[&oids]).await?;
    Ok(tables
        .iter()
        .map(|row| {
            let oid = row.get(0);
            let columns = columns.remove(&oid).unwrap_or_default();
            let identity_kind = letter(row.get(5));
            let identity = match identity_kind {
                'f' => columns.iter().map(|column| column.number).collect(),
                _ => row.get(9),
            };
            Table {
                oid,
                schema: row.get(1),
                name: row.get(2),
                kind: letter(row.get(3)),
                persistence: letter(row.get(4)),
                rows_hidden: row.get(6),
                readable: row.get(7),
                owned: row.get(8),
                columns,
                identity,
                identity_kind,
                odd_partitions: row.get(10),
                foreign_partitions: row.get(11),
                storage: row.get(12),
                shapes: row.get(13),
                uniques: row.get::<_, Vec<String>>(14).iter().map(|columns| numbers(columns)).collect(),
                server_version: row.get::<_, i32>(15).unsigned_abs(),
            }
        })
        .collect())
}

fn numbers(text: &str) -> Vec<i16> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn letter(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

impl Table {
    /// Its name in SQL.
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Its name for people, which `table:` of a channel takes too.
    pub(super) fn title(&self) -> String {
        format!("{}.{}", plain(&self.schema), plain(&self.name))
    }

    /// Rows of a partitioned table come under its own name.
    pub(super) fn partitioned(&self) -> bool {
        self.kind == 'p'
    }

    /// The columns that name a row.
    pub(super) fn identity(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| self.identity.contains(&column.number))
    }

    /// The columns that tell its rows apart; none if only people know.
    pub(super) fn key(&self) -> Vec<String> {
        match self.identity_kind {
            'f' => Vec::new(),
            _ => self.identity().map(|column| column.name.clone()).collect(),
        }
    }

    /// Columns whose values are made by the database and are not in its changes: stored ones before Postgres 18,
    /// virtual ones always.
    pub(super) fn unpublished(&self) -> impl Iterator<Item = &Column> {
        let stored = self.server_version >= 180_000;
        self.columns.iter().filter(move |column| column.generated == 'v' || (column.generated == 's' && !stored))
    }
}
