//! The audit: who was let in, and who was not, as lines of the log under a target of their own.
//!
//! All refusals are told, and a share of what is allowed. A line names the caller by what was vouched for and the request
//! by its id; never a token, and never what the claims say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, Method};
use tidegate_core::{ErrorCode, Problem};
use tidegate_gate::Refusal;

use crate::caller::Caller;

/// The target of its lines.
pub const AUDIT: &str = "tidegate::audit";
/// A request's id as its client or a proxy chose it has at most this many characters.
const ID_MAX: usize = 64;
/// What a gate says no with.
const DENIALS: [ErrorCode; 7] = [
    ErrorCode::Unauthenticated,
    ErrorCode::TokenExpired,
    ErrorCode::TokenRevoked,
    ErrorCode::TicketUsed,
    ErrorCode::Forbidden,
    ErrorCode::StepUpRequired,
    ErrorCode::RateLimited,
];

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// To watch, or to read once.
    Read,
    /// To publish.
    Publish,
}

/// Counts decisions and tells of them. Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct Audit {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Of 2^32 allowed decisions so many are told.
    told: AtomicU64,
    allowed: AtomicU64,
    denied: [AtomicU64; DENIALS.len()],
}

/// Where a decision was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) act: Act,
    /// The address as it was asked for.
    pub(crate) address: &'a str,
    /// Of the request; on an open WebSocket there is none.
    pub(crate) headers: Option<&'a HeaderMap>,
}

impl Audit {
    /// Tells a share of what is allowed, from 0 to 1, and all that is not.
    pub fn new(allows: f64) -> Audit {
        let audit = Audit::default();
        audit.tell_share(allows);
        audit
    }

    /// Tells another share from now on.
    pub fn tell_share(&self, allows: f64) {
        self.counts.told.store((allows.clamp(0.0, 1.0) * 2f64.powi(32)) as u64, Relaxed);
    }

    /// The config was read again: what came of it, and what that was to those who watched.
    pub fn reloaded(&self, result: Result<&dyn std::fmt::Display, &Problem>) {
        let (decision, code) = match result {
            Ok(_) => ("allow", None),
            Err(problem) => ("deny", Some(problem.code.as_str())),
        };
        let detail = match result {
            Ok(changed) => changed.to_string(),
            Err(problem) => problem.detail.clone(),
        };
        tracing::info!(target: AUDIT, decision, act = "reload", code, detail);
    }

    /// How many decisions allowed something so far. Answers that are kept for everyone are not counted.
    pub fn allowed(&self) -> u64 {
        self.counts.allowed.load(Relaxed)
    }

    /// How many refused, by code.
    pub fn denied(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        DENIALS.into_iter().zip(&self.counts.denied).map(|(code, count)| (code, count.load(Relaxed)))
    }

    /// Of what a caller asked for; a problem that is not the gate's is no decision.
    pub(crate) fn decided(&self, caller: &Caller, asked: &Asked<'_>, refused: Option<&Problem>) {
        match refused {
            None => self.allow(caller, asked),
            Some(problem) => self.deny(caller, asked, problem),
        }
    }

    fn allow(&self, caller: &Caller, asked: &Asked<'_>) {
        self.counts.allowed.fetch_add(1, Relaxed);
        let told = self.counts.told.load(Relaxed);
        if told == 0 || u64::from(rand::random::<u32>()) >= told {
            return;
        }
        tell("allow", caller, asked, None);
    }

    fn deny(&self, caller: &Caller, asked: &Asked<'_>, problem: &Problem) {
        if self.count(problem.code) {
            tell("deny", caller, asked, Some(problem));
        }
    }

    /// Of somebody whom the gate does not know, with what the operator is told of it.
    pub(crate) fn stranger(&self, refusal: &Refusal, headers: &HeaderMap, peer: SocketAddr) {
        let code = refusal.problem().code;
        if !self.count(code) {
            tracing::warn!(reason = ?refusal.reason(), detail = refusal.operator(), "a caller could not be identified");
            return;
        }
        tracing::info!(
            target: AUDIT,
            decision = "deny",
            act = "identify",
            code = code.as_str(),
            rule = ?refusal.reason(),
            detail = refusal.operator(),
            %peer,
            request = request_id(headers),
        );
    }

    /// Returns whether it is a refusal of the gate.
    fn count(&self, code: ErrorCode) -> bool {
        let place = DENIALS.iter().position(|denial| *denial == code);
        place.is_some_and(|place| {
            self.counts.denied[place].fetch_add(1, Relaxed);
            true
        })
    }
}

/// The line of a decision about somebody who is known, or about nobody in particular.
fn tell(decision: &str, caller: &Caller, asked: &Asked<'_>, refused: Option<&Problem>) {
    let principal = caller.principal();
    tracing::info!(
        target: AUDIT,
        decision,
        act = asked.act.as_str(),
        address = asked.address,
        code = refused.map(|problem| problem.code.as_str()),
        rule = refused.map(|problem| tracing::field::display(&problem.detail)),
        principal = principal.identity(),
        token_id = principal.token_id(),
        api_key = principal.api_key_id(),
        peer = %caller.peer,
        request = asked.headers.and_then(request_id),
    );
}

impl Act {
    /// What a method does; not all of them do something.
    pub(crate) fn of(method: &Method) -> Option<Act> {
        match *method {
            Method::GET | Method::HEAD => Some(Act::Read),
            Method::POST | Method::PUT | Method::DELETE => Some(Act::Publish),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Act::Read => "read",
            Act::Publish => "publish",
        }
    }
}

/// By what a line of ours is found with those of others: `X-Request-Id`, or the trace of `traceparent` (W3C).
fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_plain = |id: &&str| {
        (1..=ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let trace = || text("traceparent").split('-').nth(1);
    Some(text("x-request-id")).filter(is_plain).or_else(|| trace().filter(is_plain)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_sender() {
        let id = |pairs: &[(&'static str, &str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value")));
            request_id(&pairs.collect())
        };
        let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(id(&[]), None);
        assert_eq!(id(&[("x-request-id", "a-1_b.c"), trace]).as_deref(), Some("a-1_b.c"));
        assert_eq!(id(&[trace]).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        // What could be taken for another line is no id.
        assert_eq!(id(&[("x-request-id", "a b"), trace]).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(id(&[("x-request-id", &"a".repeat(65))]).as_deref(), None);
    }

    #[test]
    fn what_is_no_decision_is_not_counted() {
        let audit = Audit::default();
        let asked = Asked { act: Act::Read, address: "rooms/a", headers: None };
        let decided = |code| audit.decided(&Caller::anonymous(), &asked, Some(&Problem::new(code, "")));
        decided(ErrorCode::Forbidden);
        decided(ErrorCode::Forbidden);
        decided(ErrorCode::Invalid);
        audit.clone().decided(&Caller::anonymous(), &asked, None);
        let denied: u64 = audit.denied().map(|(_, count)| count).sum();
        assert_eq!((audit.allowed(), denied), (1, 2));
    }
}
