//! How watchers look at their channels: filters, each as text and as a closure, and fields.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tidegate_core::{Kind, Scope};

use super::filters::{FILTERS, Filter, On};
use super::rights::Rights;
use crate::model::Eye;

/// What a watch looks at, beside its address: all that its fingerprint is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Look {
    /// Of [`FILTERS`].
    filter: Option<usize>,
    /// Of [`FIELDS`].
    fields: Option<usize>,
    /// The first of the principals who may see what this one may.
    rows: usize,
}

/// How it is told of changes, which may be another way with each connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Manner {
    pub(super) mode: Option<&'static str>,
    pub(super) rate: Option<&'static str>,
}

/// Lists that mean the same.
const FIELDS: [&[&str]; 6] = [
    &["n"],
    &["kind,pos.x", "pos.x,kind"],
    &["id,lines.sku,flag"],
    &["owner,kind", "kind,owner"],
    &["note,tags,missing", "\"note\",tags,missing"],
    &["pos,lines,seq", "seq,lines,pos,pos.x"],
];
const MODES: [&str; 3] = ["patch", "json-patch", "full"];
const RATES: [&str; 4] = ["50/s", "10/s", "150/m", "1/s"];

impl Look {
    /// Any that a watch of this kind may have.
    pub(super) fn random(keyed: bool, kind: Kind, rights: Option<&Rights>, rng: &mut StdRng) -> Look {
        // What reads a masked column is refused.
        let masked = |text: &str| text.contains("owner") && rights.is_some_and(|rights| rights.masks("owner"));
        let fits = |filter: &Filter| match filter.on {
            _ if masked(filter.spellings[0]) => false,
            On::All => true,
            On::Keyed => keyed,
            On::Records => !keyed || kind == Kind::History,
            On::Changes => keyed && kind == Kind::History,
        };
        let fitting: Vec<usize> = (0..FILTERS.len()).filter(|at| fits(&FILTERS[*at])).collect();
        let fields = rng.random_bool(0.35).then(|| rng.random_range(0..FIELDS.len()));
        Look {
            filter: fitting.choose(rng).copied().filter(|_| rng.random_bool(0.6)),
            fields: fields.filter(|at| !masked(FIELDS[*at][0])),
            rows: 0,
        }
    }

    /// Any other of the same principal.
    pub(super) fn again(self, keyed: bool, kind: Kind, rights: Option<&Rights>, rng: &mut StdRng) -> Look {
        Look::random(keyed, kind, rights, rng).of(self.rows)
    }

    /// The same of what a principal may see.
    pub(super) fn of(self, rows: usize) -> Look {
        Look { rows, ..self }
    }

    /// Whether it may see other rows.
    pub(super) fn sees_other_rows(self, other: Look) -> bool {
        self.rows != other.rows
    }

    /// The text of the filter, in any of its spellings.
    pub(super) fn filter(self, rng: &mut StdRng) -> Option<String> {
        let spellings = FILTERS[self.filter?].spellings;
        spellings.choose(rng).map(|text| (*text).to_owned())
    }

    /// The list of fields, in any of its spellings.
    pub(super) fn fields(self, rng: &mut StdRng) -> Option<String> {
        FIELDS[self.fields?].choose(rng).map(|text| (*text).to_owned())
    }

    /// What the model looks with.
    pub(super) fn eye(self, scope: &Scope, kind: Kind, rights: Option<&Rights>) -> Eye {
        let mut eye = Eye::open(scope.clone(), kind);
        if let Some(filter) = self.filter.map(|at| &FILTERS[at]) {
            filter.spellings[0].clone_into(&mut eye.rules);
            // What cannot be said is a no.
            eye.filter = Arc::new(|image| (filter.passes)(image) == Some(true));
        }
        if let Some(rights) = rights {
            eye = rights.narrow(eye, self.rows);
        }
        match self.fields {
            Some(at) => eye.with_fields(&FIELDS[at][0].split(',').collect::<Vec<_>>()),
            None => eye,
        }
    }

    pub(super) fn filters(self) -> bool {
        self.filter.is_some()
    }

    pub(super) fn projects(self) -> bool {
        self.fields.is_some()
    }
}

impl Manner {
    /// Whether a change may come as a patch.
    pub(super) fn patches(self) -> bool {
        matches!(self.mode, Some("patch" | "json-patch"))
    }

    /// Any that a watch of this kind may have on a stream.
    pub(super) fn random(keyed: bool, kind: Kind, rng: &mut StdRng) -> Manner {
        let state = kind == Kind::State;
        Manner {
            mode: MODES.choose(rng).copied().filter(|_| state && rng.random_bool(0.6)),
            rate: RATES.choose(rng).copied().filter(|_| (state || !keyed) && rng.random_bool(0.35)),
        }
    }
}
