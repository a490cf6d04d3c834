//! Golden decisions: a file says who may do what, and the policies of a config must decide the same.
//!
//! ```yaml
//! - { address: orders/acme, claims: { org: acme }, action: read, expect: allow }
//! - { address: orders/acme, action: read, expect: deny }
//! - { address: orders/acme, claims: { sub: u1 }, data: { owner: u2 }, action: sees, expect: deny }
//! ```
//!
//! What policies look up is there as a decision says, by the name of the channel:
//!
//! ```yaml
//! - { address: rooms/lobby, claims: { sub: ann }, there: { members: [[lobby, ann]] }, action: read, expect: allow }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tidegate_core::Address;
use tidegate_gate::{Principal, Shown, Vouched};
use tidegate_hub::{Act, Caller, Lookups, decide};

use crate::config::Config;
use crate::wiring::hub_channel;

/// More decisions than this belong into several files.
const DECISIONS_MAX: usize = 10_000;

/// One decision, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    address: String,
    /// Nothing: the caller is anonymous.
    claims: Option<Value>,
    data: Option<Value>,
    key: Option<String>,
    /// Keys that are there, by channel.
    #[serde(default)]
    there: BTreeMap<String, Vec<Value>>,
    action: Action,
    expect: Expect,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Read,
    Publish,
    Sees,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Decisions {
    /// How many were as expected.
    pub good: usize,
    /// What was decided otherwise, a line for each.
    pub differing: Vec<String>,
}

/// Makes the decisions of a file.
///
/// # Errors
/// The file is no list of decisions, or one of them cannot be made.
pub fn judge(config: &Config, text: &str) -> Result<Decisions, String> {
    let decisions: Vec<Decision> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if decisions.len() > DECISIONS_MAX {
        return Err(format!("more than {DECISIONS_MAX} decisions"));
    }
    let mut made = Decisions::default();
    for (index, decision) in decisions.iter().enumerate() {
        let number = index + 1;
        let (allowed, why) = one(config, decision).map_err(|error| format!("decision {number}: {error}"))?;
        let Decision { address, action, expect, .. } = decision;
        if allowed == (*expect == Expect::Allow) {
            made.good += 1;
        } else {
            let found = if allowed { "allowed" } else { "denied" };
            let action = format!("{action:?}").to_lowercase();
            made.differing.push(format!("decision {number}: {action} at {address} is {found}{why}"));
        }
    }
    Ok(made)
}

fn one(config: &Config, decision: &Decision) -> Result<(bool, String), String> {
    let Decision { address, claims, data, key, there, action, .. } = decision;
    let address = Address::parse(address).map_err(|error| format!("the address `{address}`: {error}"))?;
    let channel = config.channels.iter().find(|channel| channel.address.fits(&address));
    let channel = hub_channel(channel.ok_or_else(|| format!("no channel has the address `{}`", address.as_str()))?);
    let channels: Vec<_> = config.channels.iter().map(hub_channel).collect();
    let mut keys = Vec::new();
    for (name, own) in there {
        let spec = channels.iter().find(|channel| channel.name == *name).and_then(|channel| channel.key.as_ref());
        let spec = spec.ok_or_else(|| format!("`there` names `{name}`, which is no keyed channel"))?;
        for key in own {
            let key = spec.read(key.to_string().as_bytes());
            keys.push((name.as_str().into(), key.map_err(|error| format!("`there`, `{name}`: {error}"))?));
        }
    }
    let lookups = Lookups::given(&channels, &keys);
    let caller = match claims {
        None => Caller::anonymous(),
        Some(claims) => Caller::of(signed_in(claims)).map_err(|error| error.to_string())?,
    };
    let data = || data.as_ref().map(|data| data.to_string().into()).ok_or("it has no `data`".to_owned());
    let act = match action {
        Action::Read => Act::Read,
        Action::Publish => Act::Publish(data()?),
        Action::Sees => Act::See(data()?),
    };
    Ok(match decide(&channel, &lookups, &address, key.as_deref(), &caller, &act) {
        Ok(()) => (true, String::new()),
        Err(problem) => (false, problem.map_or_else(String::new, |problem| format!(": {}", problem.detail))),
    })
}

/// As a token with these claims would be taken.
fn signed_in(claims: &Value) -> Principal {
    let vouched = Vouched {
        shown: Shown::Token,
        claims: claims.to_string().into(),
        acr: claims.get("acr").and_then(Value::as_str).map(Into::into),
        auth_time: claims.get("auth_time").and_then(Value::as_u64),
        ..Vouched::default()
    };
    vouched.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    const CONFIG: &str = r#"
channels:
  orders:
    address: orders/{org}
    key: id
    access: { read: claims.org == params.org, publish: data.n < 10, rows: data.owner == claims.sub }
  vault:
    address: vault
    access: { read: true, requires: { acr: mfa } }
  rooms:
    address: rooms/{room}
    access:
      read: exists("members", [params.room, claims.sub])
      publish: exists("members", [params.room, claims.sub]) && data.by == claims.sub
      rows: data.secret != true || exists("members", [data.room, claims.sub])
  members:
    address: rooms/{room}/members
    key: [room, user]
"#;

    fn judged(decisions: &str) -> Result<Decisions, String> {
        let config = Config::parse("a.yaml", CONFIG, Path::new(""), &Environment::of(&[])).expect("a config");
        judge(&config, decisions)
    }

    #[test]
    fn decisions_are_made_and_what_differs_is_told() {
        let made = judged(
            "
- { address: orders/a, claims: { org: a }, action: read, expect: allow }
- { address: orders/a, claims: { org: b }, action: read, expect: deny }
- { address: orders/a, action: read, expect: deny }
- { address: orders/a, data: { n: 3 }, action: publish, expect: allow }
- { address: orders/a, data: { n: 30 }, action: publish, expect: deny }
- { address: orders/a, claims: { org: a, sub: u }, data: { owner: u }, action: sees, expect: allow }
- { address: orders/a, claims: { org: a, sub: u }, data: { owner: v }, action: sees, expect: deny }
- { address: vault, claims: { acr: mfa }, action: read, expect: allow }
- { address: vault, claims: { acr: pwd }, action: read, expect: deny }
- { address: orders/b, claims: { org: a }, action: read, expect: allow }
",
        )
        .expect("decisions");
        assert_eq!(made.good, 9);
        assert!(made.differing[0].starts_with("decision 10: read at orders/b is denied: "), "{made:?}");
    }

    #[test]
    fn what_is_looked_up_is_there_as_the_decision_says() {
        let made = judged(
            "
- { address: rooms/a, claims: { sub: u }, there: { members: [[a, u]] }, action: read, expect: allow }
- { address: rooms/a, claims: { sub: u }, there: { members: [[b, u], [a, v]] }, action: read, expect: deny }
- { address: rooms/a, claims: { sub: u }, action: read, expect: deny }
- { address: rooms/a, there: { members: [[a, u]] }, action: read, expect: deny }
- { address: rooms/a, claims: { sub: u }, there: { members: [[a, u]] }, data: { by: u }, action: publish, expect: allow }
- { address: rooms/a, claims: { sub: u }, there: { members: [[a, u]] }, data: { by: v }, action: publish, expect: deny }
- { address: rooms/a, claims: { sub: u }, data: { by: u }, action: publish, expect: deny }
- { address: rooms/a, claims: { sub: u }, there: { members: [[a, u]] }, data: { room: a, secret: true }, action: sees, expect: allow }
- { address: rooms/a, claims: { sub: u }, there: { members: [[a, u]] }, data: { room: b, secret: true }, action: sees, expect: deny }
",
        )
        .expect("decisions");
        assert_eq!((made.good, &made.differing), (9, &Vec::new()));
    }

    #[test]
    fn what_cannot_be_decided_is_told() {
        for (text, says) in [
            ("- { address: nowhere/a, action: read, expect: deny }", "no channel"),
            ("- { address: orders/a, action: sees, expect: deny }", "`data`"),
            ("- { address: orders/a, action: write, expect: deny }", "write"),
            ("- { address: orders/a, there: { rooms: [x] }, action: read, expect: deny }", "keyed"),
            ("- { address: orders/a, there: { members: [x] }, action: read, expect: deny }", "members"),
            ("- { adress: orders/a, action: read, expect: deny }", "adress"),
        ] {
            let error = judged(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }
}
