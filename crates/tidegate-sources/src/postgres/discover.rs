//! Which tables of a database can be served as they are.

use super::catalog::{self, Table};
use super::check;
use super::connect::Endpoint;
use super::failure::Failure;
use super::serving::server_version;
use super::settings::Postgres;
use crate::{DiscoverError, Discovered, Discovery, LeftOut, Made};

/// Looks at the database behind a URL; changes nothing.
pub(super) fn discover(url: &str) -> Result<Discovery, DiscoverError> {
    let failed = |what: String, help: Option<String>| DiscoverError { what, help };
    let endpoint = Endpoint::parse(url).map_err(|what| {
        failed(
            format!("the URL is not one of a database: {what}"),
            Some("postgres://user:password@host:5432/database".to_owned()),
        )
    })?;
    let runtime = super::runtime().map_err(|error| failed(format!("no async runtime: {error}"), None))?;
    let postgres = Postgres::of_endpoint(endpoint);
    runtime.block_on(look(&postgres)).map_err(|failure| match failure {
        Failure::Upstream { what, remedy } => failed(what, remedy),
        other => failed(format!("{other:?}"), None),
    })
}

async fn look(postgres: &Postgres) -> Result<Discovery, Failure> {
    let client = postgres.endpoint.sql().await?;
    let version = server_version(&client).await?;
    let publication = postgres.publication(postgres.endpoint.database());
    let mut discovery = Discovery {
        settings: vec![("publication".to_owned(), publication.clone()), ("temporary".to_owned(), "true".to_owned())],
        findings: check::server(&client, postgres, version, true).await?,
        makes: makes(&publication),
        ..Discovery::default()
    };
    for table in catalog::all(&client).await? {
        match offered(&table, postgres) {
            Ok(discovered) => discovery.channels.push(discovered),
            Err(left_out) => discovery.left_out.push(left_out),
        }
    }
    Ok(discovery)
}

fn offered(table: &Table, postgres: &Postgres) -> Result<Discovered, LeftOut> {
    let left_out = |why: String, remedy| LeftOut { table: table.title(), why, remedy };
    let key = table.key();
    let name = match table.schema.as_str() {
        "public" => table.name.clone(),
        schema => format!("{schema}.{}", table.name),
    };
    let address = match table.schema.as_str() {
        "public" => table.name.clone(),
        schema => format!("{schema}/{}", table.name),
    };
    if key.is_empty() && table.publishable().is_ok() {
        let why = "its replica identity is FULL, so only you know which columns tell its rows apart";
        let remedy = format!("table: {}\nkey: […]   # in a config of your own", table.title());
        return Err(left_out(why.to_owned(), Some(remedy)));
    }
    table
        .fits(postgres.endpoint.user(), key.iter().map(String::as_str), [])
        .map_err(|unfit| left_out(unfit.why, unfit.remedy))?;
    if key.is_empty() {
        let why = "its replica identity is FULL, so only you know which columns tell its rows apart";
        return Err(left_out(
            why.to_owned(),
            Some(format!("table: {}\nkey: […]   # in a config of your own", table.title())),
        ));
    }
    Ok(Discovered { name, address, table: table.title(), key })
}

fn makes(publication: &str) -> Vec<Made> {
    vec![
        Made {
            what: format!("a publication `{publication}`, which lists these tables and costs nothing"),
            removal: Some(format!("DROP PUBLICATION {publication};")),
        },
        Made { what: "a temporary replication slot, which goes with the connection".to_owned(), removal: None },
    ]
}
