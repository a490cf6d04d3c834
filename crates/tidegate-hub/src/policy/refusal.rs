//! Refusals. They name the channel and the policy, and say nothing of the claims.

use tidegate_cel::Value;
use tidegate_core::{ErrorCode, Problem};

use super::access::Access;
use super::caller::Caller;
use super::door::Question;
use super::rule::{Policy, Right};
use crate::config::ChannelConfig;

/// Of a caller at the door. `anyone`: what is known of the request without its caller.
pub(super) fn door(
    config: &ChannelConfig,
    right: Right,
    policy: &Policy,
    anyone: &Question<'_>,
    caller: &Caller,
) -> Problem {
    // Of what is false for all callers no token helps.
    let helps = policy.expression().is_some_and(|expression| {
        let rest = expression.fold(anyone);
        rest.reads("claims") && !matches!(rest.constant(), Some(Value::Bool(_)))
    });
    let name = &config.name;
    let done = if right == Right::Publish { "published to" } else { "read" };
    refused(caller, helps, format!("the channel `{name}` may not be {done}{}", by(caller, helps)), || match policy {
        Policy::Never => {
            format!("the operator allows it with `access: {{ {}: \"true\" }}` on channel `{name}`", right.name())
        }
        _ => policy_says(right, name),
    })
}

/// Of an event that may not be published.
pub(super) fn event(config: &ChannelConfig, publish: &Policy, caller: &Caller) -> Problem {
    let name = &config.name;
    let helps = publish.expression().is_some_and(|expression| expression.reads("claims"));
    let detail = format!("this may not be published to the channel `{name}`{}", by(caller, helps));
    refused(caller, helps, detail, || policy_says(Right::Publish, name))
}

/// Of a caller of whom too much is known to be put into a row rule.
pub(super) fn too_long(config: &ChannelConfig) -> Problem {
    let name = &config.name;
    Problem::new(ErrorCode::Forbidden, format!("the row rule of the channel `{name}` gets too long with these claims"))
        .hint(format!("`rows` of channel `{name}` should look at a smaller claim; ask the operator"))
}

/// Of a watch that would begin with what came before it.
pub(crate) fn history(config: &ChannelConfig, access: &Access, caller: &Caller) -> Problem {
    let name = &config.name;
    let helps = matches!(&access.history, super::History::Expression(own) if own.reads("claims"));
    let detail = format!("the history of the channel `{name}` may not be read{}", by(caller, helps));
    refused(caller, helps, detail, || format!("{}; leave `from` out, or `from=now`", policy_says(Right::History, name)))
}

/// Of a condition whose answer would tell of what the caller may not see.
pub(crate) fn refuse_condition(config: &ChannelConfig) -> Problem {
    let name = &config.name;
    let detail = format!(
        "a write to the channel `{name}` cannot depend on whether something is there: you do not see all of it"
    );
    Problem::new(ErrorCode::Forbidden, detail)
        .hint("use If-Match with the ETag that your own last write was answered with, or no condition")
}

fn policy_says(right: Right, name: &str) -> String {
    format!("the policy `{}` of channel `{name}` says who may; ask its operator", right.name())
}

fn by(caller: &Caller, helps: bool) -> &'static str {
    match (caller.is_anonymous(), helps) {
        (true, true) => " by somebody unknown",
        _ => "",
    }
}

fn refused(caller: &Caller, helps: bool, detail: String, hint: impl FnOnce() -> String) -> Problem {
    match caller.is_anonymous() && helps {
        true => Problem::new(ErrorCode::Unauthenticated, detail)
            .hint(format!("say who you are, with `Authorization: Bearer …`; {}", hint())),
        false => Problem::new(ErrorCode::Forbidden, detail).hint(hint()),
    }
}
