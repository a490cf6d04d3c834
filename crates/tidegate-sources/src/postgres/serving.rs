//! The tables that are served now: what the config wants, what the database has, what the log knows.

use std::collections::HashMap;

use tidegate_log::Log;

use super::catalog::{self, Table};
use super::checkpoint::{self, Known, KnownChannel, KnownTable};
use super::connect::Endpoint;
use super::destination::{Destination, Plan};
use super::failure::Failure;
use super::fitness::Unfit;
use super::publication::{self, PublicationError, Published};
use super::types::Types;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// A table with its channels.
pub(super) struct Served<'p> {
    pub(super) table: Table,
    pub(super) published: Published,
    pub(super) destinations: Vec<&'p Destination>,
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

/// A table that the config wants, with all of its channels, however each of them spells it.
pub(super) struct Wanted<'p> {
    /// As the config has it.
    pub(super) name: &'p str,
    pub(super) destinations: Vec<&'p Destination>,
    pub(super) table: Result<Table, Unfit>,
}

/// The tables of the config as they are, each with its reason if it cannot be served. One that was renamed is found
/// by what the log knows of it.
pub(super) async fn look<'p>(
    client: &Client,
    endpoint: &Endpoint,
    plan: &'p Plan,
    known: &Known,
) -> Result<Vec<Wanted<'p>>, tokio_postgres::Error> {
    let names: Vec<&str> = plan.tables.iter().map(|(name, _)| name.as_str()).collect();
    let mut found = catalog::by_name(client, &names).await?;
    let taken: Vec<u32> = found.iter().flatten().map(|table| table.oid).collect();
    let mut wanted: Vec<Wanted<'p>> = Vec::with_capacity(names.len());
    for (at, (name, destinations)) in plan.tables.iter().enumerate() {
        let mut table = found[at].take();
        let remembered = destinations.first().and_then(|channel| known.of_channel(channel.channel.name()));
        if table.is_none()
            && let Some(known) = remembered.filter(|known| !taken.contains(&known.oid))
        {
            table = catalog::by_oid(client, &[known.oid]).await?.pop();
        }
        let Some(table) = table else {
            let unfit = Unfit { why: format!("there is no table `{name}` in {}", endpoint.database()), remedy: None };
            wanted.push(Wanted { name, destinations: destinations.iter().collect(), table: Err(unfit) });
            continue;
        };
        match wanted.iter_mut().find(|own| own.table.as_ref().is_ok_and(|own| own.oid == table.oid)) {
            Some(same) => same.destinations.extend(destinations),
            None => wanted.push(Wanted { name, destinations: destinations.iter().collect(), table: Ok(table) }),
        }
    }
    for wanted in &mut wanted {
        let unfit = wanted.table.as_ref().ok().and_then(|table| fits(table, endpoint, &wanted.destinations).err());
        if let Some(unfit) = unfit {
            wanted.table = Err(unfit);
        }
    }
    Ok(wanted)
}

fn fits(table: &Table, endpoint: &Endpoint, destinations: &[&Destination]) -> Result<(), Unfit> {
    destinations.iter().try_for_each(|destination| {
        let key = destination.placement.key.iter().flat_map(|key| key.fields());
        table.fits(endpoint.user(), key, destination.placement.template.parameters())
    })
}

/// The tables before they are published.
pub(super) struct Looked<'p> {
    pub(super) fit: Vec<Fit<'p>>,
    /// What was wanted and cannot be served, with the name of the config.
    pub(super) unfit: Vec<(&'p str, Unfit)>,
}

/// A table that can be served.
pub(super) struct Fit<'p> {
    pub(super) table: Table,
    pub(super) destinations: Vec<&'p Destination>,
    /// What the stream had of it lately; `None`: nothing.
    published: Option<Published>,
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
        let mut published = publication::published(client, publication).await?;
        let mut looked = Looked { fit: Vec::new(), unfit: Vec::new() };
        for Wanted { name, destinations, table } in look(client, endpoint, plan, known).await? {
            match table {
                Ok(table) => {
                    let published = published.remove(&table.oid);
                    looked.fit.push(Fit { table, destinations, published });
                }
                Err(why) => looked.unfit.push((name, why)),
            }
        }
        Ok(looked)
    }

    /// What the log is to know of the tables, from what it knows: those that are new, or look otherwise, are stale.
    pub(super) fn known(&self, before: &Known) -> Known {
        let tables = self.fit.iter().map(|fit| {
            let channels: Vec<KnownChannel> =
                fit.destinations.iter().map(|channel| KnownChannel::of(channel)).collect();
            let earlier = channels.first().and_then(|channel| before.of_channel(&channel.name));
            let published = fit.published.clone();
            let stale = published.is_none();
            let now = KnownTable::of(&fit.table, channels, published.unwrap_or_default()).after(earlier);
            KnownTable { stale: now.stale || stale, ..now }
        });
        Known { tables: tables.collect() }
    }

    /// The channels whose changes the stream did not have for a while: their table was not published, or not for them.
    pub(super) fn missed(&self, before: &Known) -> Vec<&'p Destination> {
        let missed = |fit: &&Fit<'p>, channel: &&'p Destination| {
            fit.published.is_none() || before.of_channel(channel.channel.name()).is_none()
        };
        let of = |fit: &Fit<'p>| {
            fit.destinations.iter().copied().filter(|channel| missed(&fit, channel)).collect::<Vec<_>>()
        };
        self.fit.iter().flat_map(of).collect()
    }

    /// Brings the publication in step with the tables that can be served, and `known` with what it publishes.
    pub(super) async fn publish(
        self,
        client: &Client,
        publication: &str,
        known: &mut Known,
    ) -> Result<Serving<'p>, Failure> {
        let wanted: Vec<&Table> = self.fit.iter().map(|fit| &fit.table).collect();
        let published = publication::ensure(client, publication, &wanted).await;
        let mut published: HashMap<u32, Published> = published.map_err(|error| match error {
            PublicationError::Missing { why, remedy } => Failure::Upstream { what: why, remedy: Some(remedy) },
            PublicationError::Sql(error) => error.into(),
        })?;
        let mut tables = Vec::with_capacity(self.fit.len());
        for (Fit { table, destinations, .. }, known) in self.fit.into_iter().zip(&mut known.tables) {
            let title = table.title();
            let Some(mut published) = published.remove(&table.oid) else {
                let sql = format!("ALTER PUBLICATION {publication} ADD TABLE {title};");
                let what = format!("the publication `{publication}` does not publish {title}");
                return Err(Failure::Upstream { what, remedy: Some(sql) });
            };
            if known.published != published {
                known.published = published.clone();
                known.stale = true;
            }
            // Servers name generated columns among the published ones even where they do not send them.
            published.columns.retain(|name| table.unpublished().all(|column| column.name != *name));
            if let Some(missing) = destinations.iter().find_map(|channel| published.lacks(&channel.placement)) {
                let what =
                    format!("the publication `{publication}` leaves out `{missing}` of {title}, which a channel needs");
                return Err(Failure::upstream(what));
            }
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
