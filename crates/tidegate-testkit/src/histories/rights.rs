//! Who may see what of a channel: row rules, each as text and as a closure, masks, and the principals that watch it.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tidegate_core::{Scope, Target};

use super::filters::{is, number, or};
use super::plan::{KEYS, PLACES};
use crate::model::{Eye, Image};
use crate::token::{mint, seconds_from_now};

/// Who own rows, and ask for them.
pub(super) const NAMES: [&str; 4] = ["ann", "ben", "cai", "dan"];
/// Stands in every value of the column `secret`, and nowhere else.
pub(super) const CANARY: &str = "hid-";
/// What the server has to know of the tokens.
pub(super) const GATE: &str = "gate:\n  issuers:\n    test: { issuer: \"https://id.example.org\", audience: tidegate, \
     algorithms: HS256, secret: 0123456789abcdef0123456789abcdef }\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Longer than the longest soak.
const LASTS: Duration = Duration::from_secs(4 * 3_600);
/// Columns that nobody is shown; rules may read them.
const MASKS: [&[&str]; 3] = [&["secret"], &["owner", "secret"], &["pad", "secret"]];

/// The rights of one channel.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    rule: usize,
    mask: Option<&'static [&'static str]>,
    /// Whether who says nothing of itself is refused; else it sees no row.
    needs_token: bool,
    callers: Vec<Caller>,
    /// Of the writer, who sees all rows.
    pub(super) writer: String,
}

/// One principal.
#[derive(Clone, Debug)]
struct Caller {
    claims: Arc<Claims>,
    /// As its tokens have them; `None`: it says nothing of itself.
    shown: Option<Value>,
}

/// What is known of a principal.
#[derive(Clone, Debug, Default)]
struct Claims {
    sub: &'static str,
    teams: Vec<&'static str>,
    boss: bool,
    level: i64,
    places: Vec<&'static str>,
    keys: Vec<&'static str>,
    kind: Option<&'static str>,
}

/// One row rule.
struct Rule {
    text: &'static str,
    keyed: bool,
    /// What of the claims is left in it: who has the same left shares a view. Known is the place, where the scope has one.
    rest: fn(&Claims, Option<&str>) -> String,
    /// `None`: it cannot be said.
    admits: fn(&Claims, &Image<'_>) -> Option<bool>,
}

const RULES: &[Rule] = &[
    Rule {
        text: "data.owner == claims.sub",
        keyed: false,
        rest: |claims, _| claims.sub.to_owned(),
        admits: |claims, image| is(image, "owner", claims.sub),
    },
    Rule {
        text: "data.owner in claims.teams",
        keyed: false,
        rest: |claims, _| claims.teams.join(" "),
        admits: |claims, image| {
            let owner = image.data.get("owner")?;
            Some(claims.teams.iter().any(|team| owner == team))
        },
    },
    Rule {
        text: "claims.boss || data.owner == claims.sub",
        keyed: false,
        rest: |claims, _| if claims.boss { "all".to_owned() } else { claims.sub.to_owned() },
        admits: |claims, image| or(Some(claims.boss), is(image, "owner", claims.sub)),
    },
    Rule {
        text: "data.n <= claims.level",
        keyed: false,
        rest: |claims, _| claims.level.to_string(),
        admits: |claims, image| Some(number(image, "n")? <= claims.level as f64),
    },
    Rule {
        text: "params.place in claims.places || data.owner == claims.sub",
        keyed: false,
        rest: |claims, place| match place {
            Some(place) if claims.places.contains(&place) => "all".to_owned(),
            Some(_) => claims.sub.to_owned(),
            None => format!("{} in {}", claims.sub, claims.places.join(" ")),
        },
        admits: |claims, image| {
            let place = image.address.split('/').nth(1)?;
            or(Some(claims.places.contains(&place)), is(image, "owner", claims.sub))
        },
    },
    Rule {
        text: "key in claims.keys",
        keyed: true,
        rest: |claims, _| claims.keys.join(" "),
        admits: |claims, image| Some(claims.keys.contains(&image.key?)),
    },
    Rule {
        text: "data.owner == claims.sub || data.kind == claims.kind",
        keyed: false,
        rest: |claims, _| format!("{} {:?}", claims.sub, claims.kind),
        admits: |claims, image| {
            or(is(image, "owner", claims.sub), claims.kind.and_then(|kind| is(image, "kind", kind)))
        },
    },
    // A column that is masked as a rule: what changes it alone is not told, but where it moves a row.
    Rule {
        text: "data.secret.startsWith(claims.sub)",
        keyed: false,
        rest: |claims, _| claims.sub.to_owned(),
        admits: |claims, image| Some(image.data.get("secret")?.as_str()?.starts_with(claims.sub)),
    },
];

impl Rights {
    /// Any that a channel may have.
    pub(super) fn random(keyed: bool, rng: &mut StdRng) -> Rights {
        let fitting: Vec<usize> = (0..RULES.len()).filter(|at| keyed || !RULES[*at].keyed).collect();
        let needs_token: bool = rng.random();
        let mut callers: Vec<Caller> = (0..4).map(|_| Caller::random(rng)).collect();
        if !needs_token {
            callers.push(Caller { claims: Arc::default(), shown: None });
        }
        Rights {
            rule: *fitting.choose(rng).expect("some"),
            mask: MASKS.choose(rng).copied().filter(|_| rng.random_bool(0.5)),
            needs_token,
            callers,
            writer: token(&json!({ "sub": "writer", "writer": true })),
        }
    }

    /// The `access` of the channel, all of it on one line.
    pub(super) fn access(&self) -> String {
        let read = if self.needs_token { "has(claims.sub)" } else { "true" };
        let rows = json!(format!("claims.writer || ({})", RULES[self.rule].text));
        let mask = self.mask.map(|mask| format!(", mask: [{}]", mask.join(", "))).unwrap_or_default();
        format!("{{ read: \"{read}\", publish: \"claims.writer\", rows: {rows}{mask} }}")
    }

    /// Any of the principals.
    pub(super) fn caller(&self, rng: &mut StdRng) -> usize {
        rng.random_range(0..self.callers.len())
    }

    /// A token of the principal with this id, for what it shows of itself.
    pub(super) fn token(&self, caller: usize, id: &str) -> Option<String> {
        let mut claims = self.callers[caller].shown.clone()?;
        claims["jti"] = id.into();
        Some(token(&claims))
    }

    /// The first of the principals who see the same of a scope as this one.
    pub(super) fn alike(&self, caller: usize, scope: &Scope) -> usize {
        let rest = self.rest(caller, scope);
        (0..caller).find(|other| self.rest(*other, scope) == rest).unwrap_or(caller)
    }

    /// What its caller sees, and no more.
    pub(super) fn narrow(&self, eye: Eye, caller: usize) -> Eye {
        let (admits, own) = (RULES[self.rule].admits, self.callers[caller].clone());
        let rules = format!("{} rows {:?}", eye.rules, self.rest(caller, &eye.scope));
        let rule = move |image: &Image<'_>| own.shown.is_some() && admits(&own.claims, image) == Some(true);
        let eye = Eye { rules, row_rule: Arc::new(rule), ..eye };
        match self.mask {
            Some(mask) => eye.with_mask(mask),
            None => eye,
        }
    }

    /// Whether nobody is shown this column.
    pub(super) fn masks(&self, column: &str) -> bool {
        self.mask.is_some_and(|mask| mask.contains(&column))
    }

    pub(super) fn masks_any(&self) -> bool {
        self.mask.is_some()
    }

    pub(super) fn needs_token(&self) -> bool {
        self.needs_token
    }

    /// `None`: nothing can be true.
    fn rest(&self, caller: usize, scope: &Scope) -> Option<String> {
        let Caller { claims, shown } = &self.callers[caller];
        shown.as_ref()?;
        let target = match &scope.target {
            Target::Address(address) => address.as_str(),
            Target::Pattern(pattern) => pattern.as_str(),
        };
        let place = target.split('/').nth(1).filter(|place| *place != "*");
        Some((RULES[self.rule].rest)(claims, place))
    }
}

impl Caller {
    fn random(rng: &mut StdRng) -> Caller {
        let claims = Claims {
            sub: NAMES.choose(rng).expect("some"),
            teams: some_of(&NAMES, rng),
            boss: rng.random_bool(0.15),
            level: rng.random_range(0..10),
            places: some_of(&PLACES, rng),
            keys: some_of(&KEYS, rng),
            kind: ["red", "green", "blue"].choose(rng).copied().filter(|_| rng.random_bool(0.7)),
        };
        let Claims { sub, teams, boss, level, places, keys, kind } = &claims;
        let mut all = json!({
            "sub": sub, "writer": false, "teams": teams, "boss": boss, "level": level, "places": places, "keys": keys,
        });
        if let Some(kind) = kind {
            all["kind"] = (*kind).into();
        }
        Caller { claims: Arc::new(claims), shown: Some(all) }
    }
}

/// One of them at least, in order.
fn some_of(all: &[&'static str], rng: &mut StdRng) -> Vec<&'static str> {
    let one = rng.random_range(0..all.len());
    all.iter().enumerate().filter(|(at, _)| *at == one || rng.random_bool(0.3)).map(|(_, name)| *name).collect()
}

fn token(claims: &Value) -> String {
    let mut all = claims.clone();
    (all["iss"], all["aud"]) = ("https://id.example.org".into(), "tidegate".into());
    all["exp"] = seconds_from_now(LASTS).into();
    mint(SECRET, &all)
}
