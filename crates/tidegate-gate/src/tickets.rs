//! Tickets: what a browser shows in a URL where it cannot send headers. Each is good for one watch, for a minute or so.
//!
//! ```text
//!   issue ─► unused ─ first use ─► seated ─ a cursor of its watch ─► seated elsewhere
//!                                    │                               (the old watch ends)
//!                                    └─ anything else ─► a replay: refused
//! ```
//!
//! A URL is written to logs and histories on its way, so what stands in it must be worth nothing to who finds it there: by
//! then it has been used. A ticket is 256 random bits, of which only the hash is held, and found by it. Nothing is
//! stored: after a restart there are no tickets, and whoever had one takes another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidegate_core::Principal;

use crate::digest::Digest;
use crate::error::{Reason, Refusal};
use crate::secret::Secret;

/// What every ticket begins with, for scanners of leaked secrets.
const PREFIX: &str = "tgt_";
const BYTES: usize = 32;
/// Tickets at once, about 200 bytes each; one more is refused until some have ended.
const TICKETS_MAX: usize = 100_000;

/// All tickets that have not ended.
pub struct Tickets {
    age: Duration,
    held: Mutex<HashMap<Digest, Held>>,
}

struct Held {
    principal: Principal,
    /// The one address or pattern that it is for.
    target: Option<Box<str>>,
    /// In seconds since 1970.
    ends: u64,
    seat: Option<Seat>,
}

/// The watch that a ticket is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    view: Box<str>,
    watch: Box<str>,
}

/// A ticket that was issued: the only time that its text is seen.
#[derive(Debug)]
pub struct IssuedTicket {
    /// Its text.
    pub text: Secret,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

/// A ticket that somebody has shown, and that is known.
#[derive(Clone)]
pub struct ShownTicket {
    digest: Digest,
    principal: Principal,
}

/// What a ticket is used for.
#[derive(Debug)]
pub struct Use {
    /// The address or pattern, as it is spelled canonically.
    pub target: Box<str>,
    /// What names the view of the watch.
    pub view: Box<str>,
    /// What would name the view of the cursor that was shown, if one was.
    pub resumed: Option<Box<str>>,
    /// What names the watch.
    pub watch: Box<str>,
}

impl Tickets {
    /// None; each will be good for so long.
    pub fn new(age: Duration) -> Tickets {
        Tickets { age, held: Mutex::default() }
    }

    /// Makes one for whoever asks, which ends with what it showed at the latest.
    ///
    /// # Errors
    /// There are too many, or the system has no randomness.
    pub fn issue(&self, principal: &Principal, target: Option<&str>, now: u64) -> Result<IssuedTicket, Refusal> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_| Refusal::new(Reason::Busy, "the system has no randomness"))?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let ends = now.saturating_add(self.age.as_secs()).min(principal.expires().unwrap_or(u64::MAX));
        let mut held = self.lock();
        if held.len() >= TICKETS_MAX {
            held.retain(|_, ticket| ticket.ends > now);
            if held.len() >= TICKETS_MAX {
                return Err(Refusal::new(Reason::Busy, format!("{TICKETS_MAX} tickets at once")));
            }
        }
        let ticket = Held { principal: principal.clone(), target: target.map(Into::into), ends, seat: None };
        held.insert(Digest::of(&[text.as_bytes()]), ticket);
        Ok(IssuedTicket { text: Secret::new(text), ends })
    }

    /// Whose ticket this is; it is not used by that.
    ///
    /// # Errors
    /// There is none, or it has ended.
    pub fn show(&self, text: &Secret, now: u64) -> Result<ShownTicket, Refusal> {
        let digest = Digest::of(&[text.expose().as_bytes()]);
        let mut held = self.lock();
        match held.get(&digest) {
            Some(ticket) if ticket.ends > now => Ok(ShownTicket { digest, principal: ticket.principal.clone() }),
            Some(_) => {
                held.remove(&digest);
                Err(Refusal::new(Reason::Ticket, "a ticket that has ended"))
            }
            None => Err(Refusal::new(Reason::Ticket, "a ticket that does not exist")),
        }
    }

    /// Uses it for a watch. Returns the watch that is replaced by that.
    ///
    /// # Errors
    /// It is for something else, or was used, and what is shown is not of its watch.
    pub fn seat(&self, shown: &ShownTicket, wanted: Use, now: u64) -> Result<Option<Box<str>>, Refusal> {
        let mut held = self.lock();
        let ticket = held.get_mut(&shown.digest).filter(|ticket| ticket.ends > now);
        let ticket = ticket.ok_or_else(|| Refusal::new(Reason::Ticket, "a ticket that has ended"))?;
        let Use { target, view, resumed, watch } = wanted;
        if ticket.target.as_ref().is_some_and(|own| *own != target) {
            return Err(Refusal::new(Reason::Ticket, "a ticket for another address"));
        }
        let replaced = match &ticket.seat {
            None => None,
            Some(seat) if seat.view == view && resumed.as_ref() == Some(&view) => Some(seat.watch.clone()),
            Some(_) => return Err(Refusal::new(Reason::TicketUsed, "a replayed ticket")),
        };
        ticket.seat = Some(Seat { view, watch });
        Ok(replaced)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShownTicket {
    /// Who took it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::principal::Vouched;

    use super::*;

    fn ann() -> Principal {
        Vouched { subject: Some("ann".into()), expires: Some(1_000), ..Vouched::default() }.into()
    }

    fn wanted(view: &str, resumed: Option<&str>, watch: &str) -> Use {
        Use { target: "a/b".into(), view: view.into(), resumed: resumed.map(Into::into), watch: watch.into() }
    }

    #[test]
    fn a_ticket_is_good_for_one_watch() {
        let tickets = Tickets::new(Duration::from_secs(60));
        let issued = tickets.issue(&ann(), None, 100).expect("a ticket");
        assert_eq!(issued.ends, 160);
        let shown = tickets.show(&issued.text, 100).expect("it is known");
        assert_eq!(shown.principal().subject(), Some("ann"));
        assert_eq!(tickets.seat(&shown, wanted("v", None, "w1"), 100).expect("the first use"), None);
        for replay in [wanted("v", None, "w2"), wanted("v", Some("u"), "w2"), wanted("u", Some("v"), "w2")] {
            let refusal = tickets.seat(&shown, replay, 101).expect_err("a replay");
            assert_eq!(refusal.reason(), Reason::TicketUsed);
        }
        for (next, before) in [("w2", "w1"), ("w3", "w2")] {
            let replaced = tickets.seat(&shown, wanted("v", Some("v"), next), 102).expect("its watch");
            assert_eq!(replaced.as_deref(), Some(before));
        }
        assert_eq!(tickets.seat(&shown, wanted("v", Some("v"), "w4"), 160).expect_err("late").reason(), Reason::Ticket);
        assert!(tickets.show(&issued.text, 160).is_err());
        assert!(tickets.lock().is_empty());
    }

    #[test]
    fn a_ticket_for_an_address_is_for_no_other_and_ends_with_its_token() {
        let tickets = Tickets::new(Duration::from_secs(60));
        let issued = tickets.issue(&ann(), Some("a/c"), 990).expect("a ticket");
        assert_eq!(issued.ends, 1_000);
        let shown = tickets.show(&issued.text, 990).expect("it is known");
        assert!(tickets.seat(&shown, wanted("v", None, "w1"), 990).is_err());
        let there = Use { target: "a/c".into(), ..wanted("v", None, "w1") };
        assert!(tickets.seat(&shown, there, 990).is_ok());
        assert!(tickets.show(&Secret::new("tgt_x"), 990).is_err());
    }
}
