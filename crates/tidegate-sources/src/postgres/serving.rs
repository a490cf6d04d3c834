//! The tables that are served now: what the config wants, what the database has, what the log knows.

use std::collections::HashMap;

use tidegate_log::Log;

use super::catalog::{self, Table, Unfit};
use super::checkpoint::{self, Known, KnownTable};
use super::connect::Endpoint;
use super::destination::{Destination, Plan};
use super::failure::Failure;
use super::publication::{self, Publication, PublicationError, Published};
use super::types::Types;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// A table with its channels.
pub(super) struct Served<'p> {
    pub(super) table: Table,
    pub(super) published: Published,
    pub(super) destinations: &'p [Destination],
}

/// All of them, in the order of the config.
pub(super) struct Serving<'p> {
    pub(super) tables: Vec<Served<'p>>,
    pub(super) types: Types,
}

/// The number that `SHOW server_version_num` gives.
pub(super) async fn server_version(client: &Client) -> Result<u32, tokio_postgres::Error> {
    let row = client.query_one("SELECT current_setting('server_version_num')::int4", &[]).await?;
    Ok(row.get::<_, i32>(0).unsigned_abs())
}

/// All types of the database.
pub(super) async fn types(client: &Client) -> Result<Types, tokio_postgres::Error> {
    let messages = client.simple_query(Types::SQL).await?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(Types::read(&rows.collect::<Vec<SimpleQueryRow>>()))
}

/// The tables of the config as they are, each with its reason if it cannot be served. One that was renamed is found
/// by what the log knows of it.
pub(super) async fn look<'p>(
    client: &Client,
    endpoint: &Endpoint,
    plan: &'p Plan,
    known: &Known,
) -> Result<Vec<(&'p str, &'p [Destination], Result<Table, Unfit>)>, tokio_postgres::Error> {
    let names: Vec<&str> = plan.tables.iter().map(|(name, _)| name.as_str()).collect();
    let mut found = catalog::by_name(client, &names).await?;
    let remembered = |destinations: &[Destination]| {
        let channel = destinations.first()?.channel.name();
        known.tables.iter().find(|table| table.channels.iter().any(|name| name == channel)).map(|table| table.oid)
    };
    let taken: Vec<u32> = found.iter().flatten().map(|table| table.oid).collect();
    let mut looked = Vec::with_capacity(names.len());
    for (at, (name, destinations)) in plan.tables.iter().enumerate() {
        let mut table = found[at].take();
        if table.is_none()
            && let Some(oid) = remembered(destinations).filter(|oid| !taken.contains(oid))
        {
            table = catalog::by_oid(client, &[oid]).await?.pop();
        }
        let fit = match table {
            None => Err(Unfit { why: format!("there is no table `{name}` in {}", endpoint.database()), remedy: None }),
            Some(table) => fits(&table, endpoint, destinations).map(|()| table),
        };
        looked.push((name.as_str(), destinations.as_slice(), fit));
    }
    Ok(looked)
}

fn fits(table: &Table, endpoint: &Endpoint, destinations: &[Destination]) -> Result<(), Unfit> {
    destinations.iter().try_for_each(|destination| {
        let key = destination.placement.key.iter().flat_map(|key| key.fields());
        table.fits(endpoint.user(), key, destination.placement.template.parameters())
    })
}

/// The tables before they are published.
pub(super) struct Looked<'p> {
    pub(super) fit: Vec<Fit<'p>>,
    /// What was wanted and cannot be served, with the name of the config.
    pub(super) unfit: Vec<(String, Unfit)>,
}

/// A table that can be served.
pub(super) struct Fit<'p> {
    pub(super) table: Table,
    pub(super) destinations: &'p [Destination],
    /// It was published all the time, so the stream has all of its changes.
    published: bool,
}

impl<'p> Looked<'p> {
    /// Looks at the tables and at the publication.
    pub(super) async fn new(
        client: &Client,
        endpoint: &Endpoint,
        publication: &str,
        plan: &'p Plan,
        known: &Known,
    ) -> Result<Looked<'p>, Failure> {
        let publication = Publication::find(client, publication).await?;
        let mut looked = Looked { fit: Vec::new(), unfit: Vec::new() };
        for (name, destinations, table) in look(client, endpoint, plan, known).await? {
            match table {
                Ok(table) => {
                    let published = publication.as_ref().is_some_and(|publication| publication.has(&table));
                    looked.fit.push(Fit { table, destinations, published });
                }
                Err(why) => looked.unfit.push((name.to_owned(), why)),
            }
        }
        Ok(looked)
    }

    /// What the log is to know of the tables, from what it knows: those that are new, or look otherwise, are stale.
    pub(super) fn known(&self, before: &Known) -> Known {
        let tables = self.fit.iter().map(|fit| {
            let channels = fit.destinations.iter().map(|channel| channel.channel.name().to_owned()).collect();
            let now = KnownTable::of(&fit.table, channels, true);
            let same = |table: &&KnownTable| KnownTable { stale: true, ..(*table).clone() } == now;
            let stale = !fit.published || before.tables.iter().find(same).is_none_or(|table| table.stale);
            KnownTable { stale, ..now }
        });
        Known { tables: tables.collect() }
    }

    /// The channels whose changes were not published for a while, before they are again.
    pub(super) fn unpublished(&self) -> impl Iterator<Item = &'p Destination> {
        self.fit.iter().filter(|fit| !fit.published).flat_map(|fit| fit.destinations)
    }

    /// Brings the publication in step with the tables that can be served.
    pub(super) async fn publish(self, client: &Client, publication: &str) -> Result<Serving<'p>, Failure> {
        let server_version = server_version(client).await?;
        let wanted: Vec<&Table> = self.fit.iter().map(|fit| &fit.table).collect();
        let published = publication::ensure(client, publication, &wanted, server_version).await;
        let mut published: HashMap<u32, Published> = published.map_err(|error| match error {
            PublicationError::Missing { why, remedy } => Failure::Upstream { what: why, remedy: Some(remedy) },
            PublicationError::Sql(error) => error.into(),
        })?;
        let mut tables = Vec::with_capacity(self.fit.len());
        for Fit { table, destinations, .. } in self.fit {
            let Some(mut published) = published.remove(&table.oid) else {
                let title = table.title();
                let sql = format!("ALTER PUBLICATION {publication} ADD TABLE {title};");
                let what = format!("the publication `{publication}` does not publish {title}");
                return Err(Failure::Upstream { what, remedy: Some(sql) });
            };
            // Servers name generated columns among the published ones even where they do not send them.
            published.columns.retain(|name| table.unpublished(server_version).all(|column| column.name != *name));
            tables.push(Served { table, published, destinations });
        }
        Ok(Serving { tables, types: types(client).await? })
    }
}

impl Served<'_> {
    /// The names of its channels.
    pub(super) fn channels(&self) -> impl Iterator<Item = &str> {
        self.destinations.iter().map(|destination| destination.channel.name())
    }

    /// The published columns with their types, in the order of the table.
    pub(super) async fn columns(&self, client: &Client) -> Result<Vec<(String, u32)>, tokio_postgres::Error> {
        let sql = "SELECT attname::text, atttypid FROM pg_attribute
                   WHERE attrelid = $1 AND attname = ANY($2) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let rows = client.query(sql, &[&self.table.oid, &self.published.columns]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// What the log knows of the tables of a source.
pub(super) fn known(log: &Log, source: &str) -> Known {
    checkpoint::read(log.checkpoint(&checkpoint::tables_of(source))).unwrap_or_default()
}
