//! Conditions of a history's writes: ETags that the server gave, stale and invented ones, and which of them must win.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tidegate_core::{Cursor, Offset};

use crate::client::{Answer, get_json_as};
use crate::model::Channel;

/// A `GET` is tried so often while the server is down.
const TRIES_MAX: u32 = 600;

/// What a condition is of: an address, or one key there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) address: String,
    pub(super) key: Option<String>,
}

/// What a correct server makes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Wins,
    Loses,
    /// Retention may have taken what the condition is judged by.
    Either,
}

/// What the writer knows of ETags.
pub(super) struct Conditions {
    server: SocketAddr,
    /// What the writer shows of itself.
    token: Option<String>,
    /// Retention may take all events of an address, and with them what the server knows of it.
    forgetful: bool,
    /// Every ETag that the server gave of a place, with the model's last change of the place at that time.
    seen: HashMap<Place, Vec<(String, Option<Offset>)>>,
}

impl Conditions {
    pub(super) fn new(server: SocketAddr, token: Option<String>, forgetful: bool) -> Conditions {
        Conditions { server, token, forgetful, seen: HashMap::new() }
    }

    /// A header line for a write to a place, and what must come of it.
    pub(super) async fn choose(
        &mut self,
        place: &Place,
        channel: &Channel,
        rng: &mut StdRng,
    ) -> Result<(String, Expected), String> {
        let last = channel.last_change(&place.address, place.key.as_deref());
        let sure = |wins| match wins {
            _ if self.forgetful && last.is_some() => Expected::Either,
            true => Expected::Wins,
            false => Expected::Loses,
        };
        match rng.random_range(0..8) {
            0 => return Ok(("If-None-Match: *".to_owned(), sure(last.is_none()))),
            1 => return Ok(("If-Match: *".to_owned(), sure(last.is_some()))),
            _ => {}
        }
        let now = self.read(place, channel.keyed, rng).await?;
        self.note(place, now.as_deref(), last)?;
        let kind = rng.random_range(0..6);
        let stale = self.seen.get(place).and_then(|seen| seen.choose(rng)).filter(|_| kind < 2);
        let (etag, then) = match (stale, now) {
            (Some((etag, then)), _) => (etag.clone(), *then),
            (None, Some(now)) if kind < 5 => (now, last),
            (None, now) => {
                let (etag, is_further_on) = invented(now, channel, rng);
                // Of a place that retention has emptied meanwhile the ETag may be just that: where what is kept begins.
                let expected = if is_further_on && self.forgetful { Expected::Either } else { Expected::Loses };
                return Ok((format!("If-Match: {etag}"), expected));
            }
        };
        // However little the server knows, what has changed since must not look unchanged.
        let expected = match (then == last, place.key.is_some() && last.is_none()) {
            (true, false) if self.forgetful => Expected::Either,
            (true, false) => Expected::Wins,
            _ => Expected::Loses,
        };
        Ok((format!("If-Match: {etag}"), expected))
    }

    /// Notes the ETag of an answer, `last` being the last change of the place at that time.
    pub(super) fn note(&mut self, place: &Place, etag: Option<&str>, last: Option<Offset>) -> Result<(), String> {
        let Some(etag) = etag else {
            return match (&place.key, last) {
                (Some(_), None) => Ok(()),
                _ => Err(format!("{place:?} has no ETag; its last change is {last:?}")),
            };
        };
        let seen = self.seen.entry(place.clone()).or_default();
        if place.key.is_some() && last.is_none() {
            return Err(format!("{place:?} has no value and the ETag {etag}"));
        }
        if !self.forgetful
            && let Some((other, _)) = seen.iter().find(|(other, then)| (other == etag) != (*then == last))
        {
            return Err(format!("{place:?} has the ETag {etag}; {other} came at another time of its, last {last:?}"));
        }
        if !seen.iter().any(|(other, then)| other == etag && *then == last) {
            seen.push((etag.to_owned(), last));
        }
        Ok(())
    }

    /// The ETag of a place now; a key without a value has none.
    async fn read(&self, place: &Place, keyed: bool, rng: &mut StdRng) -> Result<Option<String>, String> {
        let query = match &place.key {
            Some(key) => format!("?key={key}"),
            None if keyed => String::new(),
            None => "?limit=1".to_owned(),
        };
        let url = format!("/v1/{}{query}", place.address);
        for _ in 0..TRIES_MAX {
            match get_json_as(self.server, &url, self.token.as_deref()).await {
                Ok(answer) if matches!(answer.head.status, 200 | 404) => return Ok(etag(&answer)),
                Ok(answer) if answer.head.status != 503 => return Err(format!("{url} got {answer:?}")),
                _ => tokio::time::sleep(Duration::from_millis(rng.random_range(20..120))).await,
            }
        }
        Err(format!("{url} was not answered in {TRIES_MAX} tries"))
    }
}

pub(super) fn etag(answer: &Answer) -> Option<String> {
    answer.head.header("etag").map(str::to_owned)
}

/// What names no change of the place: another channel's position, a weak one, any text; or a position further on, and whether it
/// is that.
fn invented(now: Option<String>, channel: &Channel, rng: &mut StdRng) -> (String, bool) {
    let cursor = now.as_ref().and_then(|etag| etag.trim_matches('"').parse::<Cursor>().ok());
    match (cursor, rng.random_range(0..4)) {
        (Some(cursor), 0) => (format!("\"{}\"", cursor.at(cursor.offset + rng.random_range(1..9))), true),
        (Some(cursor), 1) => {
            let other = tidegate_core::ChannelId::of(&format!("{}-other", channel.name));
            (format!("\"{}\"", Cursor { channel: other, ..cursor }), false)
        }
        (Some(cursor), 2) => (format!("W/\"{cursor}\""), false),
        _ => ("\"invented\"".to_owned(), false),
    }
}
