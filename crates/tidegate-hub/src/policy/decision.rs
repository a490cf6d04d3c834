//! One decision by itself, without a log: for tests of policies.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Address, Millis, Op, Problem, Record, Target};

use super::caller::Caller;
use super::door::Entrance;
use super::policies::Policies;
use super::writing::{may_publish, may_write};
use crate::config::ChannelConfig;
use crate::lookup::Lookups;
use crate::watch::Sight;

/// What is decided.
#[derive(Clone, Debug)]
pub enum Act {
    /// To watch the address.
    Read,
    /// To publish this there, JSON that was validated.
    Publish(Bytes),
    /// To be shown this there.
    See(Bytes),
}

/// Whether the policies of a channel allow it, at one of its addresses, where this is looked up. `key` is that of the event, on keyed channels.
///
/// # Errors
/// It is refused; why. What a row rule hides is refused without a reason, as `None`.
pub fn decide(
    config: &ChannelConfig,
    lookups: &Lookups,
    address: &Address,
    key: Option<&str>,
    caller: &Caller,
    act: &Act,
) -> Result<(), Option<Problem>> {
    let target = Target::Address(address.clone());
    let policies = Arc::new(Policies::new(config.access.clone(), lookups.clone()));
    let entrance = || Entrance::ask(config, &policies, &target, caller);
    let op = if config.key.is_some() { Op::Upsert } else { Op::Append };
    match act {
        Act::Read => entrance().map(|_| ()).map_err(Some),
        Act::Publish(data) => may_publish(config, &policies, &target, caller)
            .and_then(|()| may_write(config, &policies, caller, Millis::now(), (op, address, key, data)))
            .map_err(Some),
        Act::See(data) => {
            let rows = entrance().map_err(Some)?.rows;
            let record = Arc::new(Record {
                offset: 1,
                appended: Millis::now(),
                time: Millis::now(),
                op,
                address: address.clone(),
                key: config.key.as_ref().map(|_| key.unwrap_or_default().into()),
                data: data.clone(),
                before: None,
                tx: None,
            });
            let sight = Sight::new(&record, config);
            let seen = sight.after().is_some_and(|image| rows.is_none_or(|rows| rows.admits(image)));
            if seen { Ok(()) } else { Err(None) }
        }
    }
}
