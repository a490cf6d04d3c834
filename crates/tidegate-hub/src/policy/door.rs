//! The door: whether a caller may watch a target, how far back, which rows and which columns.

use std::borrow::Cow;
use std::sync::Arc;

use tidegate_cel::{Activation, Expression, Json, Object, Timestamp, Value};
use tidegate_core::{Mask, Millis, Problem, Target};

use super::access::Access;
use super::caller::Caller;
use super::history::Reach;
use super::policies::Policies;
use super::refusal;
use super::rows::{RESIDUAL_BYTES_MAX, RowRule};
use super::rule::{Policy, Right};
use super::vocabulary::slots;
use crate::config::ChannelConfig;
use crate::lookup::{Asked, Lookups, Standing};

/// What a caller sees of a channel.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Which rows; `None`: all.
    pub(crate) rows: Option<RowRule>,
    /// Which columns nobody sees.
    pub(crate) mask: Option<Arc<Mask>>,
    /// How far back.
    pub(crate) reach: Reach,
    /// What it rests on.
    pub(crate) standing: Standing,
    /// When that was asked.
    pub(crate) now: Millis,
}

/// Of these, what could be put in has been: what is left of them is not there.
const UNKNOWN: [&str; 2] = ["claims", "now"];

/// What is known at the door. It is what expressions are judged or folded with.
pub(super) struct Question<'q> {
    keyed: bool,
    /// `None`: nothing is put in for them, which says what is true of whoever asks.
    caller: Option<&'q Caller>,
    /// `None`: the target leaves some of them open, or the policy looks at none.
    params: Option<Json<'q>>,
    now: Millis,
    lookups: &'q Lookups,
    /// What was looked up.
    asked: Asked,
}

impl Entrance {
    /// Lets in, or refuses.
    pub(crate) fn ask(
        config: &ChannelConfig,
        policies: &Arc<Policies>,
        target: &Target,
        caller: &Caller,
    ) -> Result<Entrance, Problem> {
        let Policies { access, lookups, .. } = &**policies;
        let Access { requires, read, history, rows, mask, .. } = access;
        lookups.ready()?;
        let now = Millis::now();
        let question = |policy| Question::of(config, lookups, target, Some(caller), policy, now);
        let refused = || {
            let anyone = Question::of(config, lookups, target, None, read, now);
            refusal::door(config, Right::Read, read, &anyone, caller)
        };
        let mut asked = Asked::default();
        let left = match read {
            Policy::Always => None,
            Policy::Never => return Err(refused()),
            Policy::When(expression) => {
                let question = question(read);
                match left(expression, &question) {
                    Some(rest) => {
                        asked.extend(question.asked);
                        rest
                    }
                    None => return Err(refused()),
                }
            }
        };
        // After the policy: nobody signs in again to be refused.
        caller.enough(requires, now)?;
        let rule = match rows {
            Policy::Always => None,
            Policy::Never => Some(never()),
            Policy::When(expression) => {
                let question = question(rows);
                let rest = expression.fold(&question);
                asked.extend(question.asked);
                Some(if rest.is_never_true(&UNKNOWN) { never() } else { rest })
            }
        };
        let both = match (left, rule) {
            (Some(left), Some(rule)) => Some(left.and(&rule)),
            (left, rule) => left.or(rule),
        };
        if both.as_ref().is_some_and(|both| both.canonical().len() > RESIDUAL_BYTES_MAX) {
            return Err(refusal::too_long(config));
        }
        // All of a history policy is known, or nothing is said by it.
        let known = question(&Policy::Always);
        let reach = history.reach(&known);
        asked.extend(known.asked);
        let rows = both.and_then(|both| RowRule::new(both, lookups, &asked));
        Ok(Entrance { rows, mask: mask.clone(), reach, now, standing: asked.standing(policies) })
    }

    /// Whether all of the channel is seen, so that nothing said of it tells what is not seen.
    pub(crate) fn sees_all_rows(&self) -> bool {
        self.rows.is_none()
    }
}

/// What is left of a policy for the rows to say, where that is what it reads: `Some(None)` is yes, `None` no.
fn left(expression: &Expression, question: &Question<'_>) -> Option<Option<Expression>> {
    let rest = expression.fold(question);
    match rest.constant() {
        Some(Value::Bool(true)) => Some(None),
        _ if rest.is_never_true(&UNKNOWN) => None,
        // Rows know their parameters; anything else that could not be put in fails.
        _ => rest.reads("params").then_some(Some(rest)),
    }
}

fn never() -> Expression {
    Expression::parse("false", &tidegate_cel::Variables::new()).expect("`false` is an expression")
}

impl<'q> Question<'q> {
    /// What is known of a target.
    pub(super) fn of(
        config: &ChannelConfig,
        lookups: &'q Lookups,
        target: &Target,
        caller: Option<&'q Caller>,
        policy: &Policy,
        now: Millis,
    ) -> Question<'q> {
        // Most policies are about claims, and each publish is judged by its own.
        let looks_at_them = policy.expression().is_none_or(|expression| expression.reads("params"));
        let params = if looks_at_them { params(config, target, policy) } else { None };
        Question { keyed: config.key.is_some(), caller, params, now, lookups, asked: Asked::default() }
    }

    pub(super) fn millis(&self) -> Millis {
        self.now
    }

    pub(super) fn claims_or_now(&self, slot: usize) -> Option<Value<'_>> {
        let (claims, now) = slots(self.keyed);
        match slot {
            _ if slot == claims => self.caller.map(Caller::claims),
            _ if slot == now => Some(Value::Timestamp(Timestamp::from_millis(self.now.0))),
            _ => None,
        }
    }
}

/// The parameters of an address; those of a pattern if the policy reads no other one.
fn params<'p>(config: &ChannelConfig, target: &Target, policy: &Policy) -> Option<Json<'p>> {
    let found: Vec<(&str, Option<String>)> = match target {
        Target::Address(address) => {
            let found = config.template.extract(address).unwrap_or_default();
            found.into_iter().map(|(name, value)| (name, Some(value))).collect()
        }
        Target::Pattern(pattern) => config.template.bound(pattern),
    };
    let open = found.iter().any(|(_, value)| value.is_none());
    let reads_open = || {
        policy.expression().is_none_or(|expression| {
            expression.paths("params").any(|path| match path.segments().first() {
                Some(tidegate_cel::Segment::Field(name)) => {
                    !found.iter().any(|(own, value)| *own == &**name && value.is_some())
                }
                _ => true,
            })
        })
    };
    (!open || !reads_open()).then(|| {
        let known = found.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let member = |(name, value): (&str, String)| (Cow::Owned(name.to_owned()), Json::String(value.into()));
        Json::Object(Object::new(known.map(member).collect()))
    })
}

/// The number of `params`, as filters have it.
pub(super) const PARAMS: usize = 1;

impl Activation for Question<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        self.json(slot).map(Value::from).or_else(|| self.claims_or_now(slot))
    }

    fn json(&self, slot: usize) -> Option<&Json<'_>> {
        if slot == PARAMS { self.params.as_ref() } else { None }
    }

    fn lookup(&self, table: &str, key: &[Value<'_>]) -> Option<bool> {
        self.lookups.ask(table, key, &self.asked)
    }
}
