//! What can be set.

use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

use crate::{SettingError, Settings};

/// A machine whose figures are read every `interval`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Time between two samples.
    pub interval: Duration,
}

/// Shorter than this, reading /proc is itself a load; longer, nobody calls it live.
const INTERVAL_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);

/// The settings as people write them.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the derive reads the shape; nothing constructs it")]
struct Shape {
    /// Time between two samples: 100ms to 1h.
    #[schemars(default = "interval_default")]
    interval: Option<String>,
}

fn interval_default() -> &'static str {
    "1s"
}

/// The JSON Schema of the settings.
pub(super) fn schema() -> Schema {
    schema_for!(Shape)
}

impl System {
    /// Reads the settings.
    pub(super) fn configure(settings: &Settings) -> Result<System, SettingError> {
        let error = |what: &str| SettingError {
            field: "interval",
            what: what.to_owned(),
            help: "write a duration from `100ms` to `1h`, such as `1s`".to_owned(),
        };
        let text = match settings.get("interval") {
            None => interval_default(),
            Some(Value::String(text)) => text,
            Some(_) => return Err(error("no text")),
        };
        let interval = humantime::parse_duration(text).map_err(|_| error("no duration"))?;
        if !INTERVAL_RANGE.contains(&interval) {
            return Err(error("out of range"));
        }
        Ok(System { interval })
    }
}
