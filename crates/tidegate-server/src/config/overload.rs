//! `overload:` of the config, and the priority of a channel: what gives way under load.

use std::time::Duration;

use tidegate_hub::{Priority, Rate};
use tidegate_wire::LoadOptions;

use super::fields::{Fields, Reader};
use super::section;
use super::shape::{self, defaults};
use super::values::{self, Complaint, ranged};

pub(super) fn read(reader: Reader, fields: &Fields) -> Option<LoadOptions> {
    section::<shape::Overload, _>(reader, fields, "overload", |fields| {
        let rate = fields.value("rate", defaults::overload_rate(), |text| {
            text.parse::<Rate>().map_err(|error| Complaint::new(error.to_string()))
        });
        let cpu_max = fields.value("cpu", defaults::overload_cpu(), percent);
        let lag_max = fields.value("lag", defaults::overload_lag(), |text| {
            let range = Duration::from_millis(10)..=Duration::from_secs(60);
            ranged(values::duration(text)?, range, "10ms", "60s")
        });
        let memory_max = fields.value("memory", defaults::overload_memory(), percent);
        Some(LoadOptions { rate: rate?, cpu_max: cpu_max?, lag_max: lag_max?, memory_max: memory_max? })
    })
}

pub(super) fn priority(text: &str) -> Result<Priority, Complaint> {
    match text {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(Complaint::new("no priority").help("write `high`, `normal` or `low`")),
    }
}

fn percent(text: &str) -> Result<f64, Complaint> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
    let number = number.ok_or_else(|| Complaint::new("no part").help("write whole percents, such as `90%`"))?;
    Ok(f64::from(ranged(number, 1..=100, "1%", "100%")?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_percents() {
        assert_eq!(percent("90%"), Ok(0.9));
        for bad in ["", "90", "0%", "101%", "0.9", "-1%", "%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
