//! What may be written: the `publish` policy, judged at the door as far as it can be and then for each event.

use tidegate_cel::{Activation, Expression, Json, Value};
use tidegate_core::{Address, Millis, Op, Problem, Target};

use super::caller::Caller;
use super::door::{PARAMS, Question};
use super::policies::Policies;
use super::refusal;
use super::rule::{Policy, Right};
use crate::config::ChannelConfig;

const DATA: usize = 0;
/// Of keyed channels.
const KEY: usize = 2;

/// One event as the policy sees it.
struct Writing<'w> {
    question: Question<'w>,
    data: Json<'w>,
    key: Option<&'w str>,
}

/// Whether anything may be published to the target of a request, before its body is read.
pub(crate) fn may_publish(
    config: &ChannelConfig,
    policies: &Policies,
    target: &Target,
    caller: &Caller,
) -> Result<(), Problem> {
    let Policies { access, lookups, .. } = policies;
    let policy = &access.publish;
    let now = Millis::now();
    let allowed = match policy {
        Policy::Always => true,
        Policy::Never => false,
        Policy::When(expression) => {
            lookups.ready()?;
            let question = Question::of(config, lookups, target, Some(caller), policy, now);
            match looks_at(expression, &["data", "key"]) {
                false => expression.matches(&question) == Ok(true),
                // For the event to say, unless it is decided without it.
                true => !expression.fold(&question).is_never_true(&["claims", "now"]),
            }
        }
    };
    match allowed {
        true => caller.enough(&access.requires, now).map(|_| ()),
        false => {
            let anyone = Question::of(config, lookups, target, None, policy, now);
            Err(refusal::door(config, Right::Publish, policy, &anyone, caller))
        }
    }
}

fn looks_at(expression: &Expression, variables: &[&str]) -> bool {
    variables.iter().any(|variable| expression.reads(variable))
}

/// Whether this event may be published, by somebody who [may publish](may_publish). The `data` of a delete is null.
pub(crate) fn may_write(
    config: &ChannelConfig,
    policies: &Policies,
    caller: &Caller,
    now: Millis,
    (op, address, key, data): (Op, &Address, Option<&str>, &[u8]),
) -> Result<(), Problem> {
    let Policies { access, lookups, .. } = policies;
    let expression = match &access.publish {
        Policy::When(expression) if looks_at(expression, &["data", "key", "params"]) => expression,
        // What is the same for all events was judged at the door.
        _ => return Ok(()),
    };
    let target = Target::Address(address.clone());
    let question = Question::of(config, lookups, &target, Some(caller), &access.publish, now);
    let decoded = || Json::decode(data).unwrap_or(Json::Null);
    let data = if op == Op::Delete || !expression.reads("data") { Json::Null } else { decoded() };
    match expression.matches(&Writing { question, data, key }) {
        Ok(true) => Ok(()),
        _ => Err(refusal::event(config, &access.publish, caller)),
    }
}

impl Activation for Writing<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match slot {
            KEY if self.key.is_some() => self.key.map(Value::text),
            _ => self.json(slot).map(Value::from).or_else(|| self.question.claims_or_now(slot)),
        }
    }

    fn json(&self, slot: usize) -> Option<&Json<'_>> {
        match slot {
            DATA => Some(&self.data),
            PARAMS => self.question.json(PARAMS),
            _ => None,
        }
    }

    fn lookup(&self, table: &str, key: &[Value<'_>]) -> Option<bool> {
        self.question.lookup(table, key)
    }
}
