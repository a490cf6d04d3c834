//! What can be set.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

use super::connect::Endpoint;
use crate::{SettingError, Settings};

/// A Postgres database whose tables are read.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    /// Where it is, and as whom we connect.
    pub(super) endpoint: Endpoint,
    /// Replication slot; `None`: named after the source.
    slot: Option<String>,
    /// Publication; `None`: named after the source.
    publication: Option<String>,
    /// How often we write a heartbeat into the WAL and look after the slot.
    pub(super) heartbeat: Duration,
    /// The slot is dropped when it holds back more WAL than this.
    pub(super) slot_lag_max: u64,
    /// The slot lives with the connection.
    pub(super) temporary: bool,
}

const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);
/// More often is load without use; more seldom, and a quiet database holds WAL that nobody needs.
const HEARTBEAT_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// Enough for a deploy of an hour at 2 MiB/s of WAL; small beside any disk that a database is run on.
const SLOT_LAG_MAX_DEFAULT: u64 = 10 << 30;
/// Below a few segments of WAL (16 MiB each), every checkpoint of the server would look like lag.
const SLOT_LAG_MAX_RANGE: std::ops::RangeInclusive<u64> = (64 << 20)..=(1 << 50);
/// Postgres cuts longer names off without a word.
const NAME_BYTES_MAX: usize = 63;

/// The settings as people write them.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["url"]))]
#[allow(dead_code, reason = "the derive reads the shape; nothing constructs it")]
struct Shape {
    /// `postgres://user:password@host:port/database`, with `?sslmode=` `disable`, `prefer` (the default), `require`,
    /// `verify-ca` or `verify-full` and `sslrootcert=FILE`. The user needs `REPLICATION`.
    url: String,
    /// The replication slot. Default: `tidegate_` and the name of the source.
    slot: Option<String>,
    /// The publication. One whose name begins with `tidegate_` is made and kept in step with the channels; any other is
    /// taken as it is. Default: as `slot`.
    publication: Option<String>,
    /// How often a heartbeat is written into the WAL and the slot is looked after: 100ms to 5m.
    #[schemars(default = "heartbeat_default")]
    heartbeat: Option<String>,
    /// The slot is dropped, and healed later, when it holds back more WAL than this: 64MiB to 1024TiB.
    #[schemars(default = "slot_lag_max_default")]
    slot_lag_max: Option<String>,
    /// The slot lives with the connection and leaves nothing behind; after each cut the tables are compared anew.
    #[schemars(default = "temporary_default")]
    temporary: Option<bool>,
}

fn heartbeat_default() -> &'static str {
    "10s"
}

fn slot_lag_max_default() -> &'static str {
    "10GiB"
}

fn temporary_default() -> &'static str {
    "false"
}

/// The JSON Schema of the settings.
pub(super) fn schema() -> Schema {
    schema_for!(Shape)
}

impl Postgres {
    /// Reads the settings.
    pub(super) fn configure(settings: &Settings) -> Result<Postgres, SettingError> {
        let url = text(settings, "url")?.ok_or_else(|| {
            error("url", "no database", "write `url: postgres://user:password@host:5432/database`, or `${A_VARIABLE}`")
        })?;
        let endpoint = Endpoint::parse(url).map_err(|what| {
            error("url", &what, "write `postgres://user:password@host:5432/database?sslmode=prefer`")
        })?;
        let heartbeat = match text(settings, "heartbeat")? {
            None => HEARTBEAT_DEFAULT,
            Some(text) => {
                let parsed = humantime::parse_duration(text).ok().filter(|value| HEARTBEAT_RANGE.contains(value));
                parsed.ok_or_else(|| error("heartbeat", "no duration in range", "write one from `100ms` to `5m`"))?
            }
        };
        let slot_lag_max = match text(settings, "slot_lag_max")? {
            None => SLOT_LAG_MAX_DEFAULT,
            Some(text) => {
                let parsed = bytes(text).filter(|value| SLOT_LAG_MAX_RANGE.contains(value));
                parsed.ok_or_else(|| error("slot_lag_max", "no size in range", "write one from `64MiB`, as `10GiB`"))?
            }
        };
        let temporary = match text(settings, "temporary")? {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(error("temporary", "neither true nor false", "write `true` or `false`")),
        };
        let slot = name(settings, "slot")?;
        let publication = name(settings, "publication")?;
        Ok(Postgres { endpoint, slot, publication, heartbeat, slot_lag_max, temporary })
    }

    /// For a URL and nothing else.
    pub(super) fn of_endpoint(endpoint: Endpoint) -> Postgres {
        Postgres {
            endpoint,
            slot: None,
            publication: None,
            heartbeat: HEARTBEAT_DEFAULT,
            slot_lag_max: SLOT_LAG_MAX_DEFAULT,
            temporary: true,
        }
    }

    /// The slot of the source of this name.
    pub(super) fn slot(&self, source: &str) -> String {
        self.slot.clone().unwrap_or_else(|| upstream_name(source))
    }

    /// The slot of one process. One that goes with its connection must not stand in another's way.
    pub(super) fn slot_of_process(&self, source: &str) -> String {
        let name = self.slot(source);
        if !self.temporary {
            return name;
        }
        let random = RandomState::new().hash_one(0) & 0xffff;
        name.chars().take(NAME_BYTES_MAX - 7).chain(format!("_{random:04x}").chars()).collect()
    }

    /// The publication of the source of this name.
    pub(super) fn publication(&self, source: &str) -> String {
        self.publication.clone().unwrap_or_else(|| match self.temporary {
            // Beside a source of the same name that is there to stay.
            true => upstream_name(&format!("url_{source}")),
            false => upstream_name(source),
        })
    }
}

/// Slots may have lower-case letters, digits and `_` only.
pub(super) fn upstream_name(source: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = "tidegate_".chars().chain(source.chars().map(plain)).collect();
    name.chars().take(NAME_BYTES_MAX).collect()
}

fn text<'s>(settings: &'s Settings, field: &'static str) -> Result<Option<&'s str>, SettingError> {
    match settings.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(error(field, "no text", "write a single value")),
    }
}

fn name(settings: &Settings, field: &'static str) -> Result<Option<String>, SettingError> {
    let Some(text) = text(settings, field)? else { return Ok(None) };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(fits) {
        let help = "use up to 63 lower-case letters, digits and `_`, as Postgres wants it";
        return Err(error(field, "no name of a slot or publication", help));
    }
    Ok(Some(text.to_owned()))
}

fn error(field: &'static str, what: &str, help: &str) -> SettingError {
    SettingError { field, what: what.to_owned(), help: help.to_owned() }
}

/// A size such as `10GiB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(settings: &[(&str, &str)]) -> Result<Postgres, SettingError> {
        let value = |text: &str| Value::String(text.to_owned());
        Postgres::configure(&settings.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect())
    }

    #[test]
    fn names_are_made_of_the_source() {
        let postgres = configured(&[("url", "postgres://me@db/shop")]).expect("settings");
        assert_eq!(postgres.slot("Shop-1"), "tidegate_shop_1");
        let named = configured(&[("url", "postgres://me@db/shop"), ("slot", "mine")]).expect("settings");
        assert_eq!((named.slot("shop"), named.publication("shop")), ("mine".to_owned(), "tidegate_shop".to_owned()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let url = ("url", "postgres://me@db/shop");
        let field = |settings: &[(&str, &str)]| configured(settings).expect_err("refused").field;
        assert_eq!(field(&[]), "url");
        assert_eq!(field(&[("url", "mysql://me@db/shop")]), "url");
        assert_eq!(field(&[url, ("slot", "Mine!")]), "slot");
        assert_eq!(field(&[url, ("heartbeat", "1h")]), "heartbeat");
        assert_eq!(field(&[url, ("slot_lag_max", "10 bananas")]), "slot_lag_max");
        assert_eq!(field(&[url, ("temporary", "maybe")]), "temporary");
        assert_eq!(configured(&[url, ("slot_lag_max", "2GiB")]).map(|postgres| postgres.slot_lag_max), Ok(2 << 30));
    }
}
