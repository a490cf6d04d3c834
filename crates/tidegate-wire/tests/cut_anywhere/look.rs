//! What is watched, for the server and for the model.

use std::sync::Arc;

use serde_json::Value;
use tidegate_core::{Kind, Scope, Target};
use tidegate_hub::{Access, Caller, Mode, Policy, Right, Vocabulary};
use tidegate_testkit::model::Eye;

/// What is watched, and the same for the model.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) eye: Eye,
    pub(crate) filter: Option<&'static str>,
    pub(crate) fields: Option<&'static str>,
    pub(crate) mode: Mode,
    pub(crate) rate: Option<&'static str>,
    /// The row rule of the channel, and what the caller claims.
    pub(crate) rows: Option<(&'static str, &'static str)>,
    pub(crate) mask: Option<&'static str>,
}

impl Look {
    /// Everything, as it is.
    pub(crate) fn plain(kind: Kind) -> Look {
        let scope = Scope { target: Target::parse("rows/*").expect("pattern"), key: None };
        Look {
            eye: Eye::open(scope, kind),
            filter: None,
            fields: None,
            mode: Mode::Full,
            rate: None,
            rows: None,
            mask: None,
        }
    }

    pub(crate) fn filter(mut self, text: &'static str, passes: fn(&Value) -> bool) -> Look {
        self.eye.filter = Arc::new(move |image| passes(image.data));
        Look { filter: Some(text), ..self }
    }

    /// By a caller with these claims, on a channel with this row rule.
    pub(crate) fn rows(mut self, rule: &'static str, claims: &'static str, passes: fn(&Value) -> bool) -> Look {
        self.eye.row_rule = Arc::new(move |image| passes(image.data));
        Look { rows: Some((rule, claims)), ..self }
    }

    pub(crate) fn mask(self, list: &'static str) -> Look {
        let eye = self.eye.with_mask(&list.split(',').collect::<Vec<_>>());
        Look { eye, mask: Some(list), ..self }
    }

    pub(crate) fn caller(&self) -> Caller {
        self.rows.map_or(Caller::anonymous(), |(_, claims)| Caller::with_claims(claims).expect("claims"))
    }

    pub(crate) fn access(&self, words: &Vocabulary) -> Access {
        let rows = self.rows.map_or("true", |(rule, _)| rule);
        Access {
            rows: Policy::parse(Right::Rows, rows, words).expect("a row rule"),
            mask: self.mask.map(|list| Arc::new(list.parse().expect("a mask"))),
            ..Access::open()
        }
    }

    pub(crate) fn fields(self, list: &'static str) -> Look {
        let eye = self.eye.with_fields(&list.split(',').collect::<Vec<_>>());
        Look { eye, fields: Some(list), ..self }
    }

    pub(crate) fn told(self, mode: Mode, rate: Option<&'static str>) -> Look {
        Look { mode, rate, ..self }
    }
}

/// What is seen of a rule that is judged by a column that nobody is shown.
pub(crate) fn of_red_or_listed(look: Look) -> Look {
    let rule = "data.color in claims.colors || size(data.list) > claims.more";
    let passes = |data: &Value| data["color"] == "red" || data["list"].as_array().is_some_and(|list| list.len() > 2);
    look.rows(rule, r#"{"colors":["red"],"more":2}"#, passes).mask("list,pos.y")
}

pub(crate) fn red_or_low(look: Look) -> Look {
    let passes = |data: &Value| data["color"] == "red" || data["n"].as_u64().is_some_and(|n| n < 300);
    look.filter("data.color == \"red\" || data.n < 300", passes)
}

pub(crate) fn green(look: Look) -> Look {
    look.filter("data.color in [\"green\"]", |data| data["color"] == "green")
}
