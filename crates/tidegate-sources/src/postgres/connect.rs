//! Two kinds of connection: one for SQL, one for replication.

use std::time::Duration;

use pgwire_replication::{Lsn, PgWireError, ReplicationClient, ReplicationConfig};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::names::plain;
use super::tls::{self, Tls};
use super::values::SESSION;

/// A server that does not answer within this is tried again later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that wait between the connection and us. Each may be as large as a row, so there are few.
const EVENTS_MAX: usize = 256;
/// How soon upstream hears what we hold.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// One more setting as in [`SESSION`], which only newer servers know.
const NO_TIMEOUT: &str =
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";
/// The state of SQL for a missing right.
const NOT_ALLOWED: &str = "SQLSTATE 42501";

/// Where a database is, and as whom we connect.
#[derive(Clone)]
pub(crate) struct Endpoint {
    config: Config,
    tls: Tls,
}

/// A connection could not be had, in words for the operator.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub(super) struct ConnectError {
    what: String,
    /// SQL that somebody else has to run.
    pub(super) remedy: Option<String>,
}

impl Endpoint {
    /// Reads a URL. The error says what is wrong with it, and never repeats the password.
    pub(super) fn parse(url: &str) -> Result<Endpoint, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("it does not begin with `postgres://`".to_owned());
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        // Else a piece of the password would be taken for the host, and told in messages.
        let at_signs = url.matches('@').count();
        let authority = base.split('/').nth(2).unwrap_or_default();
        if at_signs > 1 || authority.matches('@').count() != at_signs {
            return Err("write `@`, `/`, `?` and `:` of user and password as `%40`, `%2F`, `%3F` and `%3A`".to_owned());
        }
        let (mut sslmode, mut sslrootcert, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => sslmode = Some(value),
                Some(("sslrootcert", value)) => sslrootcert = Some(value),
                _ => others.push(pair),
            }
        }
        let url = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| reason(&error))?;
        if config.get_hosts().len() != 1 {
            return Err("it must name one host".to_owned());
        }
        let tls = Tls::of(sslmode, sslrootcert)?;
        config.ssl_mode(tls.tokio_mode()).connect_timeout(CONNECT_TIMEOUT).application_name("tidegate");
        config.options(session_options());
        if config.get_user().is_none() {
            config.user("postgres");
        }
        if config.get_dbname().is_none() {
            let user = config.get_user().unwrap_or("postgres").to_owned();
            config.dbname(user);
        }
        Ok(Endpoint { config, tls })
    }

    /// The user, for messages.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The database, for messages.
    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// Host, port and database, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}/{}", self.host(), self.port(), self.database())
    }

    fn host(&self) -> String {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        }
    }

    fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// Opens a connection for SQL. It ends when the client is dropped.
    pub(super) async fn sql(&self) -> Result<Client, ConnectError> {
        tls::provider();
        let connected = self.config.connect(self.tls.connector()).await;
        let (client, connection) = connected.map_err(|error| self.explain(&reason(&error)))?;
        tokio::spawn(async move {
            // What broke it is told to whoever waits for an answer.
            let _ = connection.await;
        });
        client.batch_execute(NO_TIMEOUT).await.map_err(|error| self.explain(&reason(&error)))?;
        Ok(client)
    }

    /// Opens a connection that waits before it streams `slot` from where the slot is. It confirms nothing until it is
    /// told what we hold.
    pub(super) async fn replication(&self, slot: &str, publication: &str) -> Result<ReplicationClient, ConnectError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.replicate(slot, publication)).await {
            Ok(connected) => connected,
            Err(_) => Err(self.explain("it does not answer")),
        }
    }

    async fn replicate(&self, slot: &str, publication: &str) -> Result<ReplicationClient, ConnectError> {
        let route = self.tls.replication(&self.host(), self.port()).await;
        let route = route.map_err(|error| self.explain(&error.to_string()))?;
        let password = String::from_utf8_lossy(self.config.get_password().unwrap_or_default());
        let config = ReplicationConfig::new(route.host(), self.user(), password, self.database(), slot, publication)
            .with_port(route.port())
            .with_start_lsn(Lsn::ZERO)
            .with_ack_lsn(Lsn::ZERO)
            .with_status_interval(STATUS_INTERVAL)
            .with_buffer_size(EVENTS_MAX)
            .with_options(session_options())
            .with_application_name("tidegate");
        let connected = async {
            let mut client = ReplicationClient::connect_gated(config).await?;
            // Connecting happens in the background; the first answer shows how it went.
            client.simple_query(NO_TIMEOUT).await?;
            Ok::<_, PgWireError>(client)
        };
        connected.await.map_err(|error| {
            let what = error.to_string();
            let remedy = what.contains(NOT_ALLOWED).then(|| format!("ALTER ROLE {} REPLICATION;", plain(self.user())));
            ConnectError { remedy, ..self.explain(&format!("{what}, on a replication connection")) }
        })
    }

    fn explain(&self, why: &str) -> ConnectError {
        ConnectError { what: format!("cannot connect to {} as {}: {why}", self.place(), self.user()), remedy: None }
    }
}

/// Neither the URL nor the password is ever written out.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({} as {})", self.place(), self.user())
    }
}

/// What a server said, or else the error with its cause.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => match said.hint() {
            Some(hint) => format!("{} ({hint})", said.message()),
            None => said.message().to_owned(),
        },
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Text output that depends on nothing but the value.
fn session_options() -> String {
    SESSION.iter().map(|(name, value)| format!("-c {name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_database() {
        let endpoint = Endpoint::parse("postgres://me:secret@db.example:5433/shop?sslmode=disable").expect("a URL");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(db.example:5433/shop as me)");
        assert!(Endpoint::parse("http://db/shop").is_err());
        let error = Endpoint::parse("postgres://me:secret@db/shop?sslmode=perhaps").expect_err("no mode");
        assert!(error.contains("sslmode") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn no_password_is_taken_for_a_host() {
        for url in ["me:se@cret@db/shop", "me:se/cret@db/shop", "me:se?cret@db/shop", "db/shop?password=se@cret"] {
            let error = Endpoint::parse(&format!("postgres://{url}")).expect_err(url);
            assert!(error.contains("%40") && !error.contains("cret"), "{error}");
        }
        assert!(Endpoint::parse("postgres://me:se%40cr%2Fet@db/shop").is_ok());
    }
}
