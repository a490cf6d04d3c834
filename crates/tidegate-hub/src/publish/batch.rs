//! A body becomes the entries of a batch: all of its lines, or none.

use bytes::Bytes;
use tidegate_core::{Address, ErrorCode, Millis, Op, Problem, json};
use tidegate_log::{Batch, Entry};

use super::Action;
use super::body::{self, Format, Line, Text};
use super::condition::Precondition;
use super::idempotency::Idempotency;
use super::key::{self, key_text};
use super::place::Place;
use crate::channel::Channel;
use crate::policy::{Caller, Policies, may_write};

/// One event may have this many bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Smaller values are always copied out of their body: a body may lie in a buffer of a connection.
const SHARED_BYTES_MIN: usize = 64 * 1024;

/// Hashes and reads the body; nothing is accepted if any line is wrong.
pub(super) fn batch(
    (channel, policies): (&Channel, &Policies),
    caller: &Caller,
    address: Address,
    action: Action,
    idempotency: Option<Idempotency>,
    condition: Option<&Precondition>,
) -> Result<(Batch, Place), Problem> {
    // The condition is no part of what is repeated: a repeat asks what became of the first, which was judged.
    let idempotency = idempotency.map(|own| own.into_log(channel, &address, &action)).transpose()?;
    let key = match &action {
        Action::Put { key, .. } | Action::Delete { key } => Some(key_text(channel, key)?),
        Action::Post { .. } => None,
    };
    let place = Place { address, key };
    let entries = entries((channel, policies), caller, &place, action, condition.is_some())?;
    let expect = condition.map(|condition| condition.expect(channel, &place));
    Ok((Batch { entries, checkpoints: Vec::new(), idempotency, expect, tx: None }, place))
}

fn entries(
    (channel, policies): (&Channel, &Policies),
    caller: &Caller,
    place: &Place,
    action: Action,
    conditional: bool,
) -> Result<Vec<Entry>, Problem> {
    let now = Millis::now();
    let body_len = action.body_len();
    let read = |line| {
        let entry = entry(channel, place, line, now, body_len)?;
        let written = (entry.op, &entry.address, entry.key.as_deref(), &*entry.data);
        may_write(&channel.config, policies, caller, now, written)?;
        Ok(entry)
    };
    let (format, body) = match action {
        Action::Put { body, .. } => {
            let json = body::single(&body)?;
            return Ok(vec![read(Line::read(Format::Json, json)?)?]);
        }
        Action::Delete { .. } => return Ok(vec![read(Line::delete())?]),
        Action::Post { format, body } => (format, body),
    };
    let texts = body::texts(format, &body)?;
    if texts.is_empty() {
        return Err(Problem::new(ErrorCode::Invalid, "the body has no event")
            .hint("send one JSON value, a JSON array of them, or one on each line as application/x-ndjson"));
    }
    let single = texts.len() == 1;
    texts
        .into_iter()
        .map(|Text { number, json }| {
            Line::read(format, json)
                .and_then(read)
                .and_then(|entry| if conditional { place.own(entry) } else { Ok(entry) })
                .map_err(|problem| if single { problem } else { nothing_accepted(problem, number) })
        })
        .collect()
}

/// Names the line, and says what became of the others.
fn nothing_accepted(problem: Problem, line: usize) -> Problem {
    let detail = format!("line {line}: {}; nothing was accepted", problem.detail);
    Problem { detail, ..problem }.line(line)
}

fn entry(channel: &Channel, place: &Place, line: Line, time: Millis, body_len: usize) -> Result<Entry, Problem> {
    if line.data.len() > EVENT_BYTES_MAX {
        return Err(Problem::new(ErrorCode::TooLarge, format!("an event has at most {EVENT_BYTES_MAX} bytes")));
    }
    let address = line_address(channel, &place.address, line.address.as_deref())?;
    let op = match line.op {
        Some(op) => op,
        None if channel.keyed() => Op::Upsert,
        None => Op::Append,
    };
    if channel.keyed() == (op == Op::Append) {
        let wanted = if channel.keyed() { "`upsert` or `delete`" } else { "`append`" };
        return Err(Problem::new(ErrorCode::Unprocessable, format!("op `{}` does not fit the channel", op.as_str()))
            .hint(format!("the channel `{}` takes {wanted}", channel.config.name)));
    }
    let key = key::of_line(channel, &line, op, place.key.as_ref())?;
    if op != Op::Delete {
        parameters_agree(channel, &address, &line.data)?;
    }
    Ok(Entry { channel: channel.log.id(), op, address, key, time, data: kept(line.data, body_len) })
}

/// The value as the log keeps it in memory while the record is hot. A slice keeps its whole body
/// alive, and the log counts only the slice, so one is kept only if it is at least half of the body:
/// then what is pinned is at most twice what is counted (four times, where the buffer of the body
/// has doubled just before its end). All else is copied, which together is at
/// most the body once more, for as long as the publish lasts.
fn kept(data: Bytes, body_len: usize) -> Bytes {
    let share = data.len() >= SHARED_BYTES_MIN && data.len() >= body_len / 2;
    if share { data } else { Bytes::copy_from_slice(&data) }
}

fn line_address(channel: &Channel, url: &Address, own: Option<&str>) -> Result<Address, Problem> {
    let Some(text) = own else { return Ok(url.clone()) };
    let address = Address::parse(text)
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("the address `{text}`: {error}")))?;
    if !channel.fits(&address) {
        return Err(Problem::new(
            ErrorCode::Unprocessable,
            format!("the address `{text}` is not one of the channel `{}`", channel.config.name),
        )
        .hint(format!("a batch is for one channel; its addresses fit `{}`", channel.config.template.as_str())));
    }
    Ok(address)
}

/// Data that names an address parameter must say what the address says; nothing is injected.
fn parameters_agree(channel: &Channel, address: &Address, data: &[u8]) -> Result<(), Problem> {
    for (name, value) in channel.config.template.extract(address).unwrap_or_default() {
        let Some(raw) = json::member(data, name).filter(|raw| *raw != b"null") else { continue };
        let detail = match json::scalar_text(raw) {
            Some(said) if said == value => continue,
            Some(said) => format!("the data says `{name}` is `{said}`, the address says `{value}`"),
            None => format!("the data's `{name}` is no string and no number, the address says `{value}`"),
        };
        return Err(Problem::new(ErrorCode::Conflict, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_does_not_keep_its_body_alive() {
        let body = Bytes::from(vec![b'1'; 1024 * 1024]);
        let shared = |from: usize, to: usize| {
            let kept = kept(body.slice(from..to), body.len());
            assert_eq!(kept, body.slice(from..to));
            body.as_ptr_range().contains(&kept.as_ptr())
        };
        assert!(shared(1, 1024 * 1024 - 1));
        assert!(!shared(0, 200_000));
        // However small its body, a small value may lie in a large buffer.
        let small = body.slice(..100);
        assert!(!body.as_ptr_range().contains(&kept(small.clone(), small.len()).as_ptr()));
    }
}
