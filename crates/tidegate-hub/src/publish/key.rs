//! The key of one line of a publish.

use tidegate_core::placement::PlacementError;
use tidegate_core::{ErrorCode, Key, Op, Problem};

use super::body::Line;
use crate::channel::Channel;

/// The key that a client wrote in a URL, in the one spelling.
///
/// # Errors
/// `unprocessable` if it is none.
pub fn key_text(channel: &Channel, text: &str) -> Result<Key, Problem> {
    let Some(spec) = &channel.config.key else { return Err(unfit(channel, "the channel has no keys".to_owned())) };
    spec.read_text(text).map_err(|error| unfit(channel, error.to_string()))
}

/// The key may stand in the URL, the envelope and the data: where it stands twice, both must say
/// the same.
pub(super) fn of_line(channel: &Channel, line: &Line, op: Op, url: Option<&Key>) -> Result<Option<Key>, Problem> {
    let Some(spec) = &channel.config.key else {
        return match line.key {
            None => Ok(None),
            Some(_) => Err(unfit(channel, "the channel has no keys".to_owned())),
        };
    };
    let envelope = line.key.as_deref().map(|raw| spec.read(raw)).transpose();
    let envelope = envelope.map_err(|error| unfit(channel, error.to_string()))?;
    let outside = url.cloned().or(envelope);
    if op == Op::Delete {
        return outside.map(Some).ok_or_else(|| unfit(channel, "a delete names its `key`".to_owned()));
    }
    match (outside, spec.extract(&line.data)) {
        (Some(outside), Ok(inside)) if outside != inside => Err(Problem::new(
            ErrorCode::Conflict,
            format!("the data's key is `{inside}`, the request's key is `{outside}`"),
        )),
        (None, Ok(key)) => Ok(Some(key)),
        // A key outside makes up for one that the data lacks, not for one that is no key.
        (Some(key), Ok(_) | Err(PlacementError::KeyMissing(_))) => Ok(Some(key)),
        (_, Err(error)) => Err(unfit(channel, error.to_string())),
    }
}

fn unfit(channel: &Channel, detail: String) -> Problem {
    let problem = Problem::new(ErrorCode::Unprocessable, detail);
    match &channel.config.key {
        None => problem.hint(format!("the channel `{}` takes plain events", channel.config.name)),
        Some(spec) => {
            let names = spec.fields().collect::<Vec<_>>().join("`, `");
            problem.hint(format!("the key of the channel `{}` is `{names}` of the data", channel.config.name))
        }
    }
}
