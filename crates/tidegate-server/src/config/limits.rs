//! `gate.limits` of the config: how much one caller may do.

use std::time::Duration;

use schemars::JsonSchema;
use tidegate_gate::{LimitsConfig, PartyLimits, Rate};

use super::fields::{Field, Fields, Reader};
use super::shape;
use super::values::{self, Complaint, ranged};

/// Without it, nothing is limited.
pub(super) fn read(reader: Reader, field: &Field) -> Option<LimitsConfig> {
    let fields = reader.open::<shape::Limits>(field.node(), field.name_span(), "`limits`")?;
    let address = fields.optional("address", |field| {
        party::<shape::AddressLimits>(reader, field, |fields| rate(fields, "connects", values::count))
    });
    let caller = |name| fields.optional(name, |field| party::<shape::CallerLimits>(reader, field, |_| Some(None)));
    let (subject, api_key) = (caller("subject"), caller("api_key"));
    fields.finish();
    Some(LimitsConfig {
        address: address?.unwrap_or_default(),
        subject: subject?.unwrap_or_default(),
        api_key: api_key?.unwrap_or_default(),
    })
}

fn party<S: JsonSchema>(
    reader: Reader,
    field: &Field,
    connects: impl FnOnce(&Fields) -> Option<Option<Rate>>,
) -> Option<PartyLimits> {
    let fields = reader.open::<S>(field.node(), field.name_span(), "limits")?;
    let connects = connects(&fields);
    let requests = rate(&fields, "requests", values::count);
    let watches = rate(&fields, "watches", values::count);
    let publishes = rate(&fields, "publishes", values::count);
    let published_bytes = rate(&fields, "published_bytes", values::bytes);
    let sent_bytes = rate(&fields, "sent_bytes", values::bytes);
    let watches_max = fields.optional("watches_max", |field| {
        field.parse(|text| Ok(ranged(values::count(text)?, 1..=10_000_000, "1", "10M")? as u32))
    });
    fields.finish();
    Some(PartyLimits {
        connects: connects?,
        requests: requests?,
        watches: watches?,
        publishes: publishes?,
        published_bytes: published_bytes?,
        sent_bytes: sent_bytes?,
        watches_max: watches_max?,
    })
}

fn rate(fields: &Fields, name: &str, amount: fn(&str) -> Result<u64, Complaint>) -> Option<Option<Rate>> {
    fields.optional(name, |field| field.parse(|text| parse(text, amount)))
}

/// `50/s`, `600/m burst 50`, `1MB/s burst 16MB`.
fn parse(text: &str, amount: fn(&str) -> Result<u64, Complaint>) -> Result<Rate, Complaint> {
    let example = "write an amount in a second, a minute or an hour, such as `50/s`, `600/m` or `50/s burst 200`";
    let (rate, burst) = match text.split_once(" burst ") {
        Some((rate, burst)) => (rate.trim(), Some(burst.trim())),
        None => (text.trim(), None),
    };
    let (number, unit) = rate.split_once('/').ok_or_else(|| Complaint::new("no rate").help(example))?;
    let per = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(Complaint::new("a rate is per `s`, `m` or `h`").help(example)),
    };
    let range = 1..=1 << 40;
    let number = ranged(amount(number.trim())?, range.clone(), "1", "1T")?;
    let burst = burst.map(|burst| ranged(amount(burst)?, range, "1", "1T")).transpose()?;
    let rate = Rate::new(number, Duration::from_secs(per));
    Ok(Rate { burst: burst.unwrap_or(rate.burst), ..rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units_and_perhaps_a_burst() {
        let minute = Duration::from_secs(60);
        assert_eq!(parse("600/m", values::count), Ok(Rate { amount: 600, per: minute, burst: 600 }));
        assert_eq!(parse("600/m burst 50", values::count), Ok(Rate { amount: 600, per: minute, burst: 50 }));
        let bytes = Rate { amount: 1_000_000, per: Duration::from_secs(1), burst: 16 << 20 };
        assert_eq!(parse("1MB/s burst 16MiB", values::bytes), Ok(bytes));
        for bad in ["", "50", "0/s", "50/d", "/s", "50/s burst", "50/s burst 0", "-1/s", "1.5/s", "50/s200"] {
            assert!(parse(bad, values::count).is_err(), "{bad}");
        }
    }
}
