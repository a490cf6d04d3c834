//! The publication: which tables the server sends us, and which columns and rows of them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidegate_core::Placement;
use tokio_postgres::{Client, Error};

use super::catalog::{self, Table};
use super::connect::reason;
use super::names::quoted;

/// What of a table is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    /// Names, in the order of the table.
    pub(super) columns: Vec<String>,
    /// Only rows for which this SQL is true.
    pub(super) rows: Option<String>,
}

impl Published {
    /// A column that rows need for their place and do not have.
    pub(super) fn lacks<'p>(&self, placement: &'p Placement) -> Option<&'p str> {
        let key = placement.key.iter().flat_map(|key| key.fields());
        key.chain(placement.template.parameters()).find(|name| self.columns.iter().all(|column| column != name))
    }
}

/// Why the publication is not as it has to be.
#[derive(Debug)]
pub(super) enum PublicationError {
    /// It has to be made or changed, and we may not; this SQL does it.
    Missing {
        why: String,
        remedy: String,
    },
    Sql(Error),
}

impl From<Error> for PublicationError {
    fn from(error: Error) -> PublicationError {
        PublicationError::Sql(error)
    }
}

/// A publication as it is.
pub(super) struct Publication {
    /// It gives rows of partitioned tables under the name of the whole table.
    via_root: bool,
    /// It gives all four: insert, update, delete, truncate.
    complete: bool,
    for_all: bool,
    /// It gives stored generated columns, which servers before 18 never do.
    generated: bool,
    /// Oids of what it names.
    tables: Vec<u32>,
}

const FIND: &str = "
SELECT p.oid, p.pubviaroot, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.puballtables,
       COALESCE(to_jsonb(p) ->> 'pubgencols' = 's', false)
FROM pg_publication p WHERE p.pubname = $1";

const PUBLISHED: &str = "
SELECT c.oid, p.attnames::text[], p.rowfilter
FROM pg_publication_tables p
JOIN pg_namespace n ON n.nspname = p.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
WHERE p.pubname = $1";

impl Publication {
    /// The publication of this name, if it is there.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Publication>, Error> {
        let Some(row) = client.query_opt(FIND, &[&name]).await? else { return Ok(None) };
        let oid: u32 = row.get(0);
        let tables = client.query("SELECT prrelid FROM pg_publication_rel WHERE prpubid = $1", &[&oid]).await?;
        Ok(Some(Publication {
            via_root: row.get(1),
            complete: row.get(2),
            for_all: row.get(3),
            generated: row.get(4),
            tables: tables.iter().map(|row| row.get(0)).collect(),
        }))
    }

    /// The SQL that makes it publish exactly these tables; `None` if it does.
    pub(super) fn remedy(found: Option<&Publication>, name: &str, tables: &[&Table]) -> Option<String> {
        let list = |tables: &[&Table]| tables.iter().map(|table| only(table)).collect::<Vec<_>>().join(", ");
        // Always where it can be: a column that is generated and stored may come later, and be part of an identity.
        let generated = tables.iter().any(|table| table.server_version >= 180_000);
        let stored = if generated { ", publish_generated_columns = stored" } else { "" };
        let name = quoted(name);
        let Some(found) = found else {
            return Some(format!(
                "CREATE PUBLICATION {name} FOR TABLE {} WITH (publish_via_partition_root = true{stored});",
                list(tables)
            ));
        };
        let mut statements = Vec::new();
        let incomplete = !found.complete || (generated && !found.generated);
        if incomplete || (!found.via_root && tables.iter().any(|table| table.partitioned())) {
            statements.push(format!(
                "ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate', \
                 publish_via_partition_root = true{stored});"
            ));
        }
        if !found.for_all {
            let (wanted, there) = (tables.iter().map(|table| table.oid), found.tables.iter().copied());
            let (mut wanted, mut there): (Vec<u32>, Vec<u32>) = (wanted.collect(), there.collect());
            wanted.sort_unstable();
            there.sort_unstable();
            if wanted != there {
                statements.push(format!("ALTER PUBLICATION {name} SET TABLE {};", list(tables)));
            }
        }
        (!statements.is_empty()).then(|| statements.join("\n"))
    }

    /// Whether one that is not ours gives what we need of the tables that it has.
    pub(super) fn will_do(&self, tables: &[&Table]) -> bool {
        self.complete && (self.via_root || tables.iter().all(|table| !table.partitioned()))
    }

    /// Whether it publishes every table, wanted or not.
    pub(super) fn for_all(&self) -> bool {
        self.for_all
    }
}

/// Whether we make it and keep it in step: any other is taken as it is.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("tidegate_")
}

/// Takes out, at once, every table that lost its identity: the application's updates and deletes of it would fail.
/// Returns their names.
pub(super) async fn retire(client: &Client, name: &str) -> Result<Vec<String>, Error> {
    let Some(found) = Publication::find(client, name).await?.filter(|_| is_ours(name)) else { return Ok(Vec::new()) };
    let mut retired = Vec::new();
    for table in catalog::by_oid(client, &found.tables).await? {
        if table.publishable().is_err() && table.owned {
            client.batch_execute(&format!("ALTER PUBLICATION {} DROP TABLE {}", quoted(name), only(&table))).await?;
            retired.push(table.title());
        }
    }
    Ok(retired)
}

/// Rows of tables that inherit are their own affair; partitions belong to the whole.
fn only(table: &Table) -> String {
    if table.partitioned() { table.sql() } else { format!("ONLY {}", table.sql()) }
}

/// Makes the publication publish exactly these tables; returns what it publishes of each, by oid.
pub(super) async fn ensure(
    client: &Client,
    name: &str,
    tables: &[&Table],
) -> Result<HashMap<u32, Published>, PublicationError> {
    let found = Publication::find(client, name).await?;
    if !is_ours(name) {
        return match &found {
            Some(found) if found.will_do(tables) => Ok(published(client, name).await?),
            found => {
                let why = format!("the publication `{name}` is somebody else's, and is not there or not complete");
                let remedy = Publication::remedy(found.as_ref(), name, tables).unwrap_or_default();
                Err(PublicationError::Missing { why, remedy })
            }
        };
    }
    if let Some(sql) = Publication::remedy(found.as_ref(), name, tables)
        && let Err(error) = client.batch_execute(&sql).await
    {
        if error.as_db_error().is_none() {
            return Err(error.into());
        }
        let why =
            format!("the publication `{name}` is not as it has to be, and we may not change it: {}", reason(&error));
        return Err(PublicationError::Missing { why, remedy: sql });
    }
    Ok(published(client, name).await?)
}

/// What it publishes of each table, by oid.
pub(super) async fn published(client: &Client, name: &str) -> Result<HashMap<u32, Published>, Error> {
    let rows = client.query(PUBLISHED, &[&name]).await?;
    let published = |row: &tokio_postgres::Row| (row.get(0), Published { columns: row.get(1), rows: row.get(2) });
    Ok(rows.iter().map(published).collect())
}
