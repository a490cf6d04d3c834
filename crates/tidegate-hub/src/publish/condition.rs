//! Conditions of a write, as HTTP says them: `If-Match` and `If-None-Match: *`.
//!
//! An ETag names the last change of what a `GET` of the same URL shows: `?key=` one key, else the whole address. Only channel,
//! epoch and offset of its cursor count, so that it does not matter over which view it came.

use std::sync::Arc;

use tidegate_core::{Cursor, ErrorCode, Problem, Target};
use tidegate_log::{Condition, Expect, Standing};

use super::place::Place;
use crate::channel::Channel;
use crate::policy::{Caller, Entrance, Policies, refuse_condition};

/// An `If-Match` may name so many ETags; who writes knows one, seldom two.
const ETAGS_MAX: usize = 16;

/// What must hold for a write to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match: "…"`: the ETag is one of these, given without their quotes. Weak ones are left out, as they match nothing.
    Matches(Vec<String>),
    /// `If-Match: *`: the key has a value, the address a record.
    Exists,
    /// `If-None-Match: *`: it has none.
    Absent,
}

/// How much the answer to a condition that does not hold says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Whether something is there, and its ETag.
    All,
    /// No ETag: it changes with masked columns, too.
    NoEtag,
    /// The same whatever is there.
    Nothing,
}

impl Precondition {
    /// Reads the values of the two headers.
    ///
    /// # Errors
    /// `invalid` if they are no ETags, are both there, or ask for something else than to create.
    pub fn read(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Option<Precondition>, Problem> {
        match (if_match.map(str::trim), if_none_match.map(str::trim)) {
            (None, None) => Ok(None),
            (Some("*"), None) => Ok(Some(Precondition::Exists)),
            (Some(tags), None) => Ok(Some(Precondition::Matches(etags(tags)?))),
            (None, Some("*")) => Ok(Some(Precondition::Absent)),
            (None, Some(_)) => Err(Problem::new(ErrorCode::Invalid, "the If-None-Match of a write is `*`")
                .hint("If-None-Match: * creates only; to write over what you have read, use If-Match with its ETag")),
            (Some(_), Some(_)) => {
                Err(Problem::new(ErrorCode::Invalid, "a write has an If-Match or an If-None-Match, not both")
                    .hint("If-Match writes over what you have read, If-None-Match: * creates"))
            }
        }
    }

    pub(super) fn expect(&self, channel: &Channel, place: &Place) -> Expect {
        let condition = match self {
            Precondition::Matches(tags) => {
                let (id, epoch) = (channel.log.id(), channel.log.epoch());
                let cursors = tags.iter().filter_map(|tag| tag.parse::<Cursor>().ok());
                let ours = cursors.filter(|cursor| (cursor.channel, cursor.epoch) == (id, epoch));
                Condition::LastIs(ours.map(|cursor| cursor.offset).collect())
            }
            Precondition::Exists => Condition::Exists,
            Precondition::Absent => Condition::Absent,
        };
        Expect { channel: channel.log.id(), address: place.address.clone(), key: place.key.clone(), condition }
    }

    /// What the answer may tell this caller, who may not see all that is at the place.
    ///
    /// # Errors
    /// `forbidden`, if any answer would tell whether something is there.
    pub(super) fn tells(
        &self,
        (channel, policies): (&Channel, &Arc<Policies>),
        target: &Target,
        caller: &Caller,
    ) -> Result<Tells, Problem> {
        match (Entrance::ask(&channel.config, policies, target, caller), self) {
            (Ok(entrance), _) if entrance.sees_all_rows() => {
                Ok(if entrance.mask.is_none() { Tells::All } else { Tells::NoEtag })
            }
            (_, Precondition::Matches(_)) => Ok(Tells::Nothing),
            (_, Precondition::Exists | Precondition::Absent) => Err(refuse_condition(&channel.config)),
        }
    }

    /// The answer to a write whose condition does not hold.
    pub(super) fn failed(&self, channel: &Channel, place: &Place, standing: Standing, tells: Tells) -> Problem {
        if tells == Tells::Nothing {
            let detail = "the ETag is not that of what is there now; nothing was accepted";
            return Problem::new(ErrorCode::PreconditionFailed, detail)
                .hint("read again what you may see, and decide anew");
        }
        let name = match &place.key {
            Some(key) => format!("the key `{key}` at `{}`", place.address.as_str()),
            None => format!("the address `{}`", place.address.as_str()),
        };
        let (detail, hint) = match (self, standing.last) {
            (Precondition::Absent, _) => (
                format!("{name} is there already"),
                "read it; to write over it, use If-Match with the ETag of this answer",
            ),
            (Precondition::Exists, _) => {
                (format!("{name} is not there"), "to create it, use If-None-Match: * or no condition")
            }
            (Precondition::Matches(_), None) => {
                (format!("{name} has no value"), "it was deleted, or never there; to create it, use If-None-Match: *")
            }
            (Precondition::Matches(tags), Some(_)) if tags.is_empty() => (
                format!("a weak ETag does not match {name}"),
                "only the ETag of one address or key does, unfiltered and uncompressed: without W/",
            ),
            (Precondition::Matches(_), Some(_)) => (
                format!("{name} has changed, or the ETag was never its own"),
                "read it again, and decide anew; its ETag now is that of this answer",
            ),
        };
        let problem = Problem::new(ErrorCode::PreconditionFailed, format!("{detail}; nothing was accepted")).hint(hint);
        match standing.last {
            Some(last) if tells == Tells::All => problem.etag(place.etag(channel, last)),
            _ => problem,
        }
    }
}

/// The opaque text of each strong ETag of a list (RFC 9110, section 8.8.3).
fn etags(text: &str) -> Result<Vec<String>, Problem> {
    let broken = || {
        Problem::new(ErrorCode::Invalid, "the If-Match is no ETag")
            .hint("send the ETag of an answer as it is, in its double quotes: If-Match: \"t…\"")
    };
    let (mut found, mut rest) = (Vec::new(), text);
    for _ in 0..ETAGS_MAX {
        let (weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
        let (tag, after) = tag.strip_prefix('"').and_then(|tag| tag.split_once('"')).ok_or_else(broken)?;
        if !weak {
            found.push(tag.to_owned());
        }
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(found);
        }
        rest = after.strip_prefix(',').ok_or_else(broken)?.trim_start();
    }
    Err(Problem::new(ErrorCode::Invalid, format!("an If-Match has at most {ETAGS_MAX} ETags")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_http_has_them() {
        let read = |text: &str| Precondition::read(Some(text), None).map_err(|problem| problem.code);
        let matches =
            |tags: &[&str]| Ok(Some(Precondition::Matches(tags.iter().map(|tag| (*tag).to_owned()).collect())));
        assert_eq!(read("\"a\""), matches(&["a"]));
        assert_eq!(read(" \"a,b\" ,W/\"c\", \"\" "), matches(&["a,b", ""]));
        assert_eq!(read("W/\"a\""), matches(&[]));
        assert_eq!(read("*"), Ok(Some(Precondition::Exists)));
        for bad in ["", "a", "\"a", "\"a\" \"b\"", "\"a\",", "w/\"a\"", "*, \"a\""] {
            assert_eq!(read(bad), Err(ErrorCode::Invalid), "{bad}");
        }
        assert_eq!(read(&["\"a\""; ETAGS_MAX].join(",")), matches(&["a"; ETAGS_MAX]));
        assert_eq!(read(&["\"a\""; ETAGS_MAX + 1].join(",")), Err(ErrorCode::Invalid));
        let none = |own: Option<&str>, text| Precondition::read(own, Some(text)).map_err(|problem| problem.code);
        assert_eq!(none(None, "*"), Ok(Some(Precondition::Absent)));
        assert_eq!(none(None, "\"a\""), Err(ErrorCode::Invalid));
        assert_eq!(none(Some("\"a\""), "*"), Err(ErrorCode::Invalid));
    }
}
