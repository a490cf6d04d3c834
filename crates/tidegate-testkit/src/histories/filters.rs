//! Filters of watchers: what each says in CEL, and beside it the same as a closure.

use serde_json::Value;
use tidegate_core::Op;

use crate::model::Image;

/// One filter.
pub(super) struct Filter {
    /// Its text, and others that mean the same.
    pub(super) spellings: &'static [&'static str],
    pub(super) on: On,
    /// `None`: it cannot be said.
    pub(super) passes: fn(&Image<'_>) -> Option<bool>,
}

/// Where it can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum On {
    All,
    Keyed,
    /// Where records are watched, not the state.
    Records,
    /// In the history of a keyed channel.
    Changes,
}

pub(super) const FILTERS: &[Filter] = &[
    // Not indexed.
    all(&["data.n > 5", "data.n>5", "(data.n > 5)"], |image| Some(number(image, "n")? > 5.0)),
    all(&["!(data.n > 5)", "! (data.n > 5)"], |image| Some(number(image, "n")? <= 5.0)),
    all(&["data.n % 2 == 0"], |image| Some(int(image, "n")? % 2 == 0)),
    all(&["10 / data.n > 2"], |image| Some(10i64.checked_div(int(image, "n")?)? > 2)),
    all(&["data.n + 0.5 > 2.0"], |image| match int(image, "n") {
        Some(_) => None,
        None => Some(number(image, "n")? + 0.5 > 2.0),
    }),
    all(&["data.pos.x < data.pos.y"], |image| {
        let pos = image.data.get("pos")?;
        Some(pos.get("x")?.as_i64()? < pos.get("y")?.as_i64()?)
    }),
    all(&["has(data.note)"], |image| Some(image.data.get("note").is_some())),
    all(&["\"hot\" in data.tags"], |image| Some(image.data.get("tags")?.as_array()?.iter().any(|tag| tag == "hot"))),
    all(&["data.lines.exists(line, line.count > 1)"], |image| {
        let lines = image.data.get("lines")?.as_array()?.iter();
        lines.map(|line| Some(line.get("count")?.as_i64()? > 1)).fold(Some(false), or)
    }),
    all(&["data.kind == \"red\" ? data.n > 3 : data.flag"], |image| match is(image, "kind", "red")? {
        true => Some(number(image, "n")? > 3.0),
        false => image.data.get("flag")?.as_bool(),
    }),
    all(&["data.kind == \"red\" || data.n > 7"], |image| {
        or(is(image, "kind", "red"), number(image, "n").map(|n| n > 7.0))
    }),
    all(&["data.missing == 1"], |_| None),
    all(&["data.missing == 1 || data.n < 4"], |image| or(None, number(image, "n").map(|n| n < 4.0))),
    all(&["params.part == \"x\" || data.flag"], |image| {
        or(Some(param(image, 2) == "x"), image.data.get("flag").and_then(Value::as_bool))
    }),
    // Indexed.
    all(&["data.place == \"a\"", "data[\"place\"]==\"a\""], |image| is(image, "place", "a")),
    all(&["data.kind == \"red\""], |image| is(image, "kind", "red")),
    all(&["data.kind in [\"red\", \"blue\"]"], |image| or(is(image, "kind", "red"), is(image, "kind", "blue"))),
    all(&["data.kind == \"blue\" || data.kind == \"green\""], |image| {
        or(is(image, "kind", "blue"), is(image, "kind", "green"))
    }),
    all(&["data.kind == \"red\" && data.n < 6"], |image| {
        and(is(image, "kind", "red"), number(image, "n").map(|n| n < 6.0))
    }),
    all(&["data.note == null"], |image| Some(image.data.get("note")?.is_null())),
    all(&["data.n == 3 || data.n == 2.5"], |image| {
        // It equals no text, and says so.
        image.data.get("n")?;
        Some(matches!(number(image, "n"), Some(n) if n == 3.0 || n == 2.5))
    }),
    all(&["data.flag"], |image| image.data.get("flag")?.as_bool()),
    all(&["data.owner == \"ann\""], |image| is(image, "owner", "ann")),
    all(&["data.owner == \"ben\" || data.flag"], |image| {
        or(is(image, "owner", "ben"), image.data.get("flag").and_then(Value::as_bool))
    }),
    all(&["!data.flag"], |image| image.data.get("flag")?.as_bool().map(|flag| !flag)),
    all(&["params.place == \"b\""], |image| Some(param(image, 1) == "b")),
    all(&["params.place == \"a\" && data.kind in [\"red\", \"green\"]"], |image| {
        and(Some(param(image, 1) == "a"), or(is(image, "kind", "red"), is(image, "kind", "green")))
    }),
    Filter { spellings: &["key == \"k1\""], on: On::Keyed, passes: |image| Some(image.key? == "k1") },
    Filter {
        spellings: &["key in [\"k2\", \"5\"] && data.n < 8", "(key in [\"k2\",\"5\"]) && (data.n < 8)"],
        on: On::Keyed,
        passes: |image| and(Some(matches!(image.key?, "k2" | "5")), number(image, "n").map(|n| n < 8.0)),
    },
    Filter { spellings: &["key != \"k3\""], on: On::Keyed, passes: |image| Some(image.key? != "k3") },
    Filter {
        spellings: &["time > timestamp(\"2020-01-01T00:00:00Z\") && data.n > 2"],
        on: On::Records,
        passes: |image| Some(number(image, "n")? > 2.0),
    },
    Filter {
        spellings: &["op == \"delete\" || data.n > 5"],
        on: On::Changes,
        passes: |image| or(Some(image.op == Op::Delete), number(image, "n").map(|n| n > 5.0)),
    },
    Filter {
        spellings: &["op == \"upsert\" && data.kind == \"red\""],
        on: On::Changes,
        passes: |image| and(Some(image.op == Op::Upsert), is(image, "kind", "red")),
    },
];

const fn all(spellings: &'static [&'static str], passes: fn(&Image<'_>) -> Option<bool>) -> Filter {
    Filter { spellings, on: On::All, passes }
}

/// A number of any kind.
pub(super) fn number(image: &Image<'_>, name: &str) -> Option<f64> {
    image.data.get(name)?.as_f64()
}

/// A whole number.
fn int(image: &Image<'_>, name: &str) -> Option<i64> {
    image.data.get(name)?.as_i64()
}

/// A member equals a text; nothing else does.
pub(super) fn is(image: &Image<'_>, name: &str, text: &str) -> Option<bool> {
    Some(image.data.get(name)? == text)
}

/// A segment of the address.
fn param<'v>(image: &Image<'v>, at: usize) -> &'v str {
    image.address.split('/').nth(at).unwrap_or_default()
}

pub(super) fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    or(a.map(|a| !a), b.map(|b| !b)).map(|neither| !neither)
}
