//! Row rules, each as text and as a closure.

use super::people::Claims;
use crate::histories::filters::{is, number, or};
use crate::model::Image;

/// One row rule.
pub(super) struct Rule {
    pub(super) text: &'static str,
    /// Only where there are keys.
    pub(super) keyed: bool,
    /// What of the claims is left in it: who has the same left shares a view. Known is the place, where the scope has one.
    pub(super) rest: fn(&Claims, Option<&str>) -> String,
    /// `None`: it cannot be said.
    pub(super) admits: fn(&Claims, &Image<'_>) -> Option<bool>,
}

pub(super) const RULES: &[Rule] = &[
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
