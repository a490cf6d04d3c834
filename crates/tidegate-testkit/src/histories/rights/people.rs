//! Who watches: a few people, each of whom has been told more than one thing of itself.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

use super::NAMES;
use crate::histories::plan::{KEYS, PLACES};

/// People of a channel.
const PEOPLE: usize = 2;
/// What each may show of itself, one at a time.
const CLAIMS_EACH: usize = 3;

/// One principal: a person and what is known of it now.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) claims: Arc<Claims>,
    /// As its tokens have them; `None`: it says nothing of itself.
    pub(super) shown: Option<Value>,
}

/// What is known of a principal.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    pub(super) sub: &'static str,
    pub(super) teams: Vec<&'static str>,
    pub(super) boss: bool,
    pub(super) level: i64,
    pub(super) places: Vec<&'static str>,
    pub(super) keys: Vec<&'static str>,
    pub(super) kind: Option<&'static str>,
}

/// The people of a channel, with nobody among them where who says nothing of itself is let in.
pub(super) fn random(nobody: bool, rng: &mut StdRng) -> Vec<Caller> {
    let mut names = NAMES;
    names.shuffle(rng);
    let of_each = names[..PEOPLE].iter().flat_map(|name| [*name; CLAIMS_EACH]);
    let mut callers: Vec<Caller> = of_each.map(|name| Caller::random(name, rng)).collect();
    callers.extend(nobody.then(|| Caller { claims: Arc::default(), shown: None }));
    callers
}

impl Caller {
    fn random(sub: &'static str, rng: &mut StdRng) -> Caller {
        let claims = Claims {
            sub,
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
