//! Who may see what of a channel: a row rule, masks, and the principals that watch it.

mod people;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tidegate_core::{Scope, Target};

use self::people::Caller;
use self::rules::RULES;
use crate::model::{Eye, Image};
use crate::token::{mint, seconds_from_now};

/// Who own rows, and ask for them.
pub(super) const NAMES: [&str; 4] = ["ann", "ben", "cai", "dan"];
/// Stands in every value of the column `secret`, and nowhere else.
pub(super) const CANARY: &str = "hid-";
/// What the server has to know of the tokens.
pub(super) const GATE: &str = "gate:\n  issuers:\n    test: { issuer: \"https://id.example.org\", audience: tidegate, \
     algorithms: HS256, secret: 0123456789abcdef0123456789abcdef, leeway: 1s }\n";
/// So much longer than it says a token is good, in seconds, as is written there.
const LEEWAY: u64 = 1;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Longer than the longest soak.
pub(super) const LASTS: Duration = Duration::from_secs(4 * 3_600);
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

impl Rights {
    /// Any that a channel may have.
    pub(super) fn random(keyed: bool, rng: &mut StdRng) -> Rights {
        let fitting: Vec<usize> = (0..RULES.len()).filter(|at| keyed || !RULES[*at].keyed).collect();
        let needs_token: bool = rng.random();
        Rights {
            rule: *fitting.choose(rng).expect("some"),
            mask: MASKS.choose(rng).copied().filter(|_| rng.random_bool(0.5)),
            needs_token,
            callers: people::random(!needs_token, rng),
            writer: token(&json!({ "sub": "writer", "writer": true }), seconds_from_now(LASTS)),
        }
    }

    /// The `access` of the channel, all of it on one line; `otherwise`: the same in other words.
    pub(super) fn access(&self, otherwise: bool) -> String {
        let read = match (self.needs_token, otherwise) {
            (false, _) => "true",
            (true, false) => "has(claims.sub) && !has(claims.barred)",
            (true, true) => "!has(claims.barred) && has(claims.sub)",
        };
        let publish = if otherwise { "claims.writer == true" } else { "claims.writer" };
        let rows = json!(format!("claims.writer || ({})", RULES[self.rule].text));
        let mask = self.mask.map(|mask| format!(", mask: [{}]", mask.join(", "))).unwrap_or_default();
        format!("{{ read: \"{read}\", publish: \"{publish}\", rows: {rows}{mask} }}")
    }

    /// Any of the principals.
    pub(super) fn caller(&self, rng: &mut StdRng) -> usize {
        rng.random_range(0..self.callers.len())
    }

    /// Any of the principals that are the same person as this one.
    pub(super) fn same_person(&self, caller: usize, rng: &mut StdRng) -> usize {
        let own = self.subject(caller);
        let same: Vec<usize> = (0..self.callers.len()).filter(|other| self.subject(*other) == own).collect();
        *same.choose(rng).expect("itself at least")
    }

    /// Any that shows itself to be another person.
    pub(super) fn another_person(&self, caller: usize, rng: &mut StdRng) -> usize {
        let own = self.subject(caller);
        let others = |other: &usize| self.subject(*other).is_some_and(|sub| Some(sub) != own);
        let others: Vec<usize> = (0..self.callers.len()).filter(others).collect();
        *others.choose(rng).expect("two people at least")
    }

    /// A token of the principal with this id, for what it shows of itself, that ends then, in seconds since 1970.
    pub(super) fn token(&self, caller: usize, id: &str, ends: u64) -> Option<String> {
        let mut claims = self.callers[caller].shown.clone()?;
        claims["jti"] = id.into();
        Some(token(&claims, ends))
    }

    /// The same of who may not read the channel any more, where that is up to what it shows of itself.
    pub(super) fn barred_token(&self, caller: usize, id: &str, ends: u64) -> Option<String> {
        let mut claims = self.callers[caller].shown.clone().filter(|_| self.needs_token)?;
        (claims["jti"], claims["barred"]) = (id.into(), true.into());
        Some(token(&claims, ends))
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

    fn subject(&self, caller: usize) -> Option<&'static str> {
        let Caller { claims, shown } = &self.callers[caller];
        shown.as_ref().map(|_| claims.sub)
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

fn token(claims: &Value, ends: u64) -> String {
    let mut all = claims.clone();
    (all["iss"], all["aud"]) = ("https://id.example.org".into(), "tidegate".into());
    all["exp"] = (ends - LEEWAY).into();
    mint(SECRET, &all)
}
