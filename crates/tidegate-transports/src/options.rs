//! The options of a request: read once, each with its meaning, or refused with the nearest name.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;
use percent_encoding::percent_decode_str;
use tidegate_core::fields::PathError;
use tidegate_core::suggest::nearest;
use tidegate_core::{Cursor, ErrorCode, Fields, Millis, Problem, Target};
use tidegate_hub::{From, Mode, Rate, RateError, WatchRequest};

use crate::negotiate::Representation;

/// Says who asks, where no header can.
pub(crate) const TICKET: &str = "ticket";
/// Options that this release has.
const KNOWN: [&str; 15] = [
    "after", "from", "at", "key", "limit", "snapshot", "filter", "fields", "mode", "rate", "chain", "as", "wait",
    "turn", "page",
];
/// Where clients of other servers write a token. A URL is logged on its way.
const TOKENS: [&str; 2] = ["access_token", "token"];
/// A long-poll waits no longer; proxies cut at 60 s.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A page of JSON has at most so many frames or rows.
pub(crate) const LIMIT_MAX: usize = 10_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// All options of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) after: Option<Cursor>,
    pub(crate) from: Option<From>,
    pub(crate) at: Option<Millis>,
    pub(crate) key: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) snapshot: Option<bool>,
    pub(crate) filter: Option<String>,
    pub(crate) fields: Option<Fields>,
    pub(crate) mode: Mode,
    pub(crate) rate: Option<Rate>,
    pub(crate) chain: bool,
    pub(crate) representation: Option<Representation>,
    pub(crate) wait: Option<Duration>,
    /// Which of the waits at one cursor it is: it makes another URL, and means nothing else.
    pub(crate) turn: Option<u64>,
    pub(crate) page: Option<String>,
    /// A ticket says who asks; it was looked at before.
    pub(crate) ticket: bool,
    /// No header said anything that a query would say.
    pub(crate) in_url: bool,
    /// As the client wrote them, for the `begin` frame.
    pub(crate) given: Vec<(String, String)>,
}

impl Options {
    /// Reads the query of a URL and the headers that are options.
    pub(crate) fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Options, Problem> {
        let mut options = Options::of(pairs(query.unwrap_or_default())?)?;
        options.in_url = true;
        if let Some(header) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) {
            options.after = Some(cursor(header.to_str().unwrap_or("?"))?);
            options.in_url = false;
        }
        if options.wait.is_none() {
            options.wait = prefer_wait(headers)?;
            options.in_url &= options.wait.is_none();
        }
        Ok(options)
    }

    /// Reads the members of a message that are options.
    pub(crate) fn of_members(Members(members): Members) -> Result<Options, Problem> {
        let text = |(name, value): (String, serde_json::Value)| match value {
            serde_json::Value::String(text) => Ok((name, text)),
            value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Ok((name, value.to_string())),
            _ => Err(invalid(format!("the option `{name}` is no text, number or boolean"), "write it as in a URL")),
        };
        let options = Options::of(members.into_iter().map(text).collect::<Result<_, _>>()?)?;
        if options.ticket {
            return Err(invalid("a ticket stands in a URL".to_owned(), "leave `ticket` out: who asks is known"));
        }
        match options.representation {
            None => Ok(options),
            Some(_) => Err(invalid("`as` makes no sense for a watch on a WebSocket".to_owned(), "leave `as` out")),
        }
    }

    fn of(pairs: Vec<(String, String)>) -> Result<Options, Problem> {
        let mut options = Options::default();
        for (name, value) in pairs {
            options.set(&name, &value)?;
            if !name.starts_with("x-") && name != TICKET {
                options.given.push((name, value));
            }
        }
        if options.after.is_some() && options.from.is_some() {
            return Err(Problem::new(ErrorCode::Invalid, "`from` and `after` both say where to begin")
                .hint("leave one of the two out"));
        }
        if options.after.is_some() && options.at.is_some() {
            return Err(Problem::new(
                ErrorCode::Invalid,
                "`at` begins with the state at a time, and `after` goes on from a cursor",
            )
            .hint("leave `after` out to begin at that time, or `at` to go on"));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if self.given.iter().any(|(given, _)| given == name) {
            return Err(invalid(format!("the option `{name}` stands twice"), "give each option once"));
        }
        match name {
            "after" => self.after = Some(cursor(value)?),
            "from" => self.from = Some(from(value)?),
            "at" => self.at = Some(at(value)?),
            "key" => self.key = Some(value.to_owned()),
            "limit" => self.limit = Some(limit(value)?),
            "snapshot" => self.snapshot = Some(boolean(name, value)?),
            "filter" => self.filter = Some(value.to_owned()),
            "fields" => self.fields = Some(fields(value)?),
            "mode" => self.mode = mode(value)?,
            "rate" => self.rate = Some(rate(value)?),
            "chain" => self.chain = boolean(name, value)?,
            "as" => self.representation = Some(representation(value)?),
            "wait" => self.wait = Some(wait(value)?),
            "turn" => self.turn = Some(turn(value)?),
            "page" => self.page = Some(value.to_owned()),
            TICKET if !self.ticket => self.ticket = true,
            TICKET => return Err(invalid("the option `ticket` stands twice".to_owned(), "give each option once")),
            _ if name.starts_with("x-") => {}
            _ if TOKENS.contains(&name) => return Err(token_in_url()),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// What the hub needs to know.
    pub(crate) fn request(&self, target: Target) -> WatchRequest {
        WatchRequest {
            target,
            key: self.key.clone().map(String::into_boxed_str),
            from: self.from,
            at: self.at,
            after: self.after,
            snapshot: self.snapshot,
            filter: self.filter.clone().map(String::into_boxed_str),
            fields: self.fields.clone(),
            mode: self.mode,
            rate: self.rate,
        }
    }

    /// Refuses the options that belong to streams.
    pub(crate) fn for_answer(&self) -> Result<(), Problem> {
        match self.rate {
            None => Ok(()),
            Some(_) => Err(invalid(
                "`rate` belongs to streams, and this is one answer".to_owned(),
                "leave `rate` out and ask as often as you like, or ask for a stream with `as=sse` or `as=ndjson`",
            )),
        }
    }

    /// Whether they say where a watch begins.
    pub(crate) fn begins(&self) -> bool {
        self.after.is_some() || self.from.is_some() || self.at.is_some()
    }

    /// Refuses the options that belong to JSON answers.
    pub(crate) fn for_stream(&self) -> Result<(), Problem> {
        let belongs = [
            ("limit", self.limit.is_some()),
            ("wait", self.wait_in_url()),
            ("turn", self.turn.is_some()),
            ("page", self.page.is_some()),
        ];
        match belongs.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(invalid(
                format!("`{name}` belongs to JSON answers, and this is a stream"),
                &format!("leave `{name}` out, or ask for JSON with `as=json`"),
            )),
        }
    }

    fn wait_in_url(&self) -> bool {
        self.given.iter().any(|(name, _)| name == "wait")
    }
}

/// Refuses what is written into logs and histories on its way.
pub(crate) fn token_in_url() -> Problem {
    invalid(
        "a token does not belong into a URL, which is logged on its way".to_owned(),
        "send `Authorization: Bearer TOKEN`; where no header can be sent, take a ticket with POST /v1/_tickets and open \
         the watch with `?ticket=…`, or use the cookie `tidegate_token`",
    )
}

/// What of a query says who asks: a ticket.
///
/// # Errors
/// A token, whatever it is good for.
pub(crate) fn shown_in(query: &str) -> Result<Option<String>, Problem> {
    let mut ticket = None;
    for (name, value) in pairs(query)? {
        if TOKENS.contains(&name.as_str()) {
            return Err(token_in_url());
        }
        if name == TICKET {
            ticket = Some(value);
        }
    }
    Ok(ticket)
}

/// Members of a message, each as often as it stands there.
pub(crate) struct Members(Vec<(String, serde_json::Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Members, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(All)
    }
}

/// The decoded pairs of a query.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        if !text.contains(['+', '%']) {
            return Ok(text.to_owned());
        }
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned())
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => Ok((name, value)),
                _ => Err(invalid(format!("the option `{name}` is not percent-encoded UTF-8"), "encode it as UTF-8")),
            }
        })
        .collect()
}

fn invalid(detail: String, hint: &str) -> Problem {
    Problem::new(ErrorCode::Invalid, detail).hint(hint)
}

fn unknown(name: &str) -> Problem {
    let problem = Problem::new(ErrorCode::UnknownOption, format!("there is no option `{name}`"));
    match nearest(name, KNOWN.into_iter().chain([TICKET])) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("the options are `{}`; names that begin with x- are ignored", KNOWN.join("`, `"))),
    }
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|error: tidegate_core::CursorError| {
        Problem::new(ErrorCode::CursorInvalid, format!("`{}`: {error}", text.chars().take(80).collect::<String>()))
    })
}

fn from(value: &str) -> Result<From, Problem> {
    match value {
        "start" => Ok(From::Start),
        "now" => Ok(From::Now),
        _ => Millis::parse_rfc3339(value).map(From::Time).ok_or_else(|| {
            invalid(
                format!("`from={value}` is no place to begin"),
                "use `start`, `now`, or a time such as 2026-01-31T12:00:00Z (a `+` of an offset is written %2B)",
            )
        }),
    }
}

fn at(value: &str) -> Result<Millis, Problem> {
    Millis::parse_rfc3339(value).ok_or_else(|| {
        invalid(
            format!("`at={value}` is no time"),
            "use a time such as 2026-01-31T12:00:00Z (a `+` of an offset is written %2B)",
        )
    })
}

fn limit(value: &str) -> Result<usize, Problem> {
    value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        invalid(format!("`limit={value}` is out of range"), &format!("use a number from 1 to {LIMIT_MAX}"))
    })
}

fn fields(value: &str) -> Result<Fields, Problem> {
    value.parse().map_err(|error: PathError| {
        invalid(format!("`fields={value}`: {error}"), "name members with commas between: `fields=id,customer.name`")
    })
}

fn mode(value: &str) -> Result<Mode, Problem> {
    const MODES: [(&str, Mode); 3] = [("full", Mode::Full), ("patch", Mode::Patch), ("json-patch", Mode::JsonPatch)];
    MODES.into_iter().find(|(word, _)| *word == value).map(|(_, mode)| mode).ok_or_else(|| {
        let near = nearest(value, MODES.into_iter().map(|(word, _)| word));
        let hint = near.map_or("use full, patch or json-patch".to_owned(), |near| format!("did you mean `{near}`?"));
        invalid(format!("`mode={value}` is no way to tell a change"), &hint)
    })
}

fn rate(value: &str) -> Result<Rate, Problem> {
    value.parse().map_err(|error: RateError| invalid(format!("`rate={value}`: {error}"), "such as `rate=2/s`"))
}

fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(
            format!("`{name}={value}` is neither true nor false"),
            &format!("use `{name}=true` or `{name}=false`"),
        )),
    }
}

fn representation(value: &str) -> Result<Representation, Problem> {
    Representation::WORDS
        .into_iter()
        .find(|(word, _)| *word == value)
        .map(|(_, representation)| representation)
        .ok_or_else(|| {
            let near = nearest(value, Representation::WORDS.into_iter().map(|(word, _)| word));
            let hint =
                near.map_or("use json, sse, ndjson, poll or html".to_owned(), |near| format!("did you mean `{near}`?"));
            invalid(format!("`as={value}` is no representation"), &hint)
        })
}

/// `30s`, `500ms`, or whole seconds.
fn wait(value: &str) -> Result<Duration, Problem> {
    let number = |text: &str| text.parse::<u64>().ok();
    let parsed = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(text), _) => number(text).map(Duration::from_millis),
        (None, Some(text)) => number(text).map(Duration::from_secs),
        (None, None) => number(value).map(Duration::from_secs),
    };
    parsed
        .map(|wait| wait.min(WAIT_MAX))
        .ok_or_else(|| invalid(format!("`wait={value}` is no time to wait"), "use seconds, such as `wait=30s`"))
}

fn turn(value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| invalid(format!("`turn={value}` is no number"), "follow the Link header as it is"))
}

/// `Prefer: wait=30` (RFC 7240).
fn prefer_wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    for header in headers.get_all(PREFER) {
        for preference in header.to_str().unwrap_or_default().split(',') {
            if let Some(value) = preference.split(';').next().and_then(|own| own.trim().strip_prefix("wait=")) {
                return wait(value.trim_matches('"')).map(Some);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> Problem {
        Options::read(Some(query), &HeaderMap::new()).expect_err(query)
    }

    #[test]
    fn a_slip_gets_the_nearest_name() {
        let problem = refused("aftr=x");
        assert_eq!(problem.code, ErrorCode::UnknownOption);
        assert_eq!(problem.hint, "did you mean `after`?");
        assert!(refused("ticket=x&ticket=x").detail.contains("`ticket` stands twice"));
        assert!(refused("access_token=x").hint.contains("/v1/_tickets"));
        assert!(Options::read(Some("x-anything=1&x-anything=2"), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "limit=0",
            "limit=10001",
            "limit=x",
            "chain=yes",
            "from=yesterday",
            "at=yesterday",
            "at=start",
            "as=xml",
            "wait=soon",
            "turn=next",
            "key=%ff",
            "chain=true&chain=true",
            "rate=1/h",
            "mode=delta",
            "fields=",
            "fields=a..b",
        ] {
            assert_eq!(refused(query).code, ErrorCode::Invalid, "{query}");
        }
        assert_eq!(refused("after=nonsense").code, ErrorCode::CursorInvalid);
    }

    #[test]
    fn a_header_that_is_an_option_is_noticed() {
        let in_url = |query, name: &'static str, value: &str| {
            let headers = [(HeaderName::from_static(name), value.parse().expect("a value"))].into_iter().collect();
            Options::read(Some(query), &headers).expect(query).in_url
        };
        let cursor = "tAAAAAAAAAAAAAAAAAAAAAAA2f";
        assert!(in_url("wait=1s", "accept", "*/*"));
        assert!(in_url("wait=1s", "prefer", "wait=30"), "the URL beats it");
        assert!(!in_url("chain=true", "prefer", "wait=30"));
        assert!(!in_url("wait=1s", "last-event-id", cursor));
    }

    #[test]
    fn waiting_has_its_limit() {
        let wait = |query| Options::read(Some(query), &HeaderMap::new()).expect(query).wait;
        assert_eq!(wait("wait=30s"), Some(Duration::from_secs(30)));
        assert_eq!(wait("wait=250ms"), Some(Duration::from_millis(250)));
        assert_eq!(wait("wait=3600"), Some(WAIT_MAX));
    }
}
