//! Who asks: from what a request shows to somebody whom the gate has identified.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use tidegate_core::{ErrorCode, Problem};
use tidegate_gate::{Account, Credential, Limit, Principal, Refusal, ShownTicket};
use tidegate_hub::{Channel, WatchEntry};

use crate::Gateway;
use crate::visitor::Visitor;

/// A browser that cannot send headers (EventSource, WebSocket) shows its token in this cookie. Whoever sets it
/// makes it `SameSite`, `Secure` and `HttpOnly`.
const COOKIE_NAME: &str = "tidegate_token";

/// A caller that the gate has identified, also as nobody in particular.
#[derive(Clone)]
pub(crate) struct Caller {
    principal: Principal,
    policy: tidegate_hub::Caller,
    /// Where it asks from.
    pub(crate) peer: SocketAddr,
    /// What is left to it.
    pub(crate) account: Account,
    /// What it asks with, where that is a ticket.
    ticket: Option<Seat>,
}

/// A ticket on its way to its watch.
#[derive(Clone)]
enum Seat {
    /// It has to be used yet.
    Free(ShownTicket),
    /// It is used up by this connection.
    Taken,
}

impl Caller {
    /// Nobody in particular.
    #[cfg(test)]
    pub(crate) fn anonymous() -> Caller {
        let (principal, policy) = (Principal::anonymous(), tidegate_hub::Caller::anonymous());
        let (peer, account) = (SocketAddr::from(([127, 0, 0, 1], 1)), Account::default());
        Caller { principal, policy, peer, account, ticket: None }
    }

    /// Identifies the caller of a request.
    ///
    /// # Errors
    /// `unauthenticated`, `token-expired` or `invalid` for a credential that is not good, also where none was needed;
    /// `rate-limited` for who asks too often.
    pub(crate) async fn of(gateway: &Gateway, headers: &HeaderMap, visitor: &Visitor) -> Result<Caller, Problem> {
        // Before anything that costs more.
        visitor.account.take(Limit::Requests, 1)?;
        let refused = |refusal| {
            gateway.audit.stranger(&refusal, headers, visitor.address);
            refused(&refusal)
        };
        let credential = match (credential(headers, refused)?, &visitor.client) {
            // A token says more, and was meant.
            (Credential::None, Some(client)) => {
                Credential::Certificate { subject: client.subject.clone(), expires: client.expires }
            }
            (shown, _) => shown,
        };
        let principal = gateway.gate.identify(&credential).await.map_err(refused)?;
        let account = visitor.account.with(&principal);
        account.take_known(Limit::Requests, 1)?;
        Caller::identified(gateway, principal, headers, (visitor.address, account)).await
    }

    async fn identified(
        gateway: &Gateway,
        principal: Principal,
        headers: &HeaderMap,
        (peer, account): (SocketAddr, Account),
    ) -> Result<Caller, Problem> {
        let principal = match gateway.hooks.connect(&principal, headers, peer).await? {
            Some(claims) => principal.with_claims(claims),
            None => principal,
        };
        gateway.gate.check(&principal).map_err(|refusal| refused(&refusal))?;
        let policy = policy(&principal)?;
        Ok(Caller { principal, policy, peer, account, ticket: None })
    }

    /// Whoever took a ticket, who was identified then.
    pub(crate) fn with_ticket(gateway: &Gateway, visitor: &Visitor, ticket: ShownTicket) -> Result<Caller, Problem> {
        let principal = ticket.principal().clone();
        gateway.gate.check(&principal).map_err(|refusal| refused(&refusal))?;
        let account = visitor.account.with(&principal);
        account.take_known(Limit::Requests, 1)?;
        let policy = policy(&principal)?;
        let (peer, ticket) = (visitor.address, Some(Seat::Free(ticket)));
        Ok(Caller { principal, policy, peer, account, ticket })
    }

    /// Whose a watch is that goes on.
    pub(crate) fn of_watch(entry: &WatchEntry) -> Result<Caller, Problem> {
        let principal = entry.principal.clone();
        let policy = policy(&principal)?;
        let peer = entry.peer.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(Caller { principal, policy, peer, account: Account::default(), ticket: None })
    }

    /// The ticket that has to be used for its watch.
    pub(crate) fn ticket(&self) -> Option<&ShownTicket> {
        match &self.ticket {
            Some(Seat::Free(ticket)) => Some(ticket),
            _ => None,
        }
    }

    /// The same on the connection of the watch that its ticket was used for, if it had one.
    pub(crate) fn seated(self) -> Caller {
        Caller { ticket: self.ticket.map(|_| Seat::Taken), ..self }
    }

    /// The same on a connection that stays, with its head sent.
    pub(crate) fn answered(self) -> Caller {
        Caller { account: self.account.answered(), ..self }
    }

    /// Whether it may do more than watch: a ticket was in a URL.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn writes(&self) -> Result<(), Problem> {
        match self.ticket {
            None => Ok(()),
            Some(_) => Err(Problem::new(ErrorCode::Forbidden, "a ticket is good for watching, not for publishing")
                .hint("publish with a POST, and show the token in `Authorization`")),
        }
    }

    /// Identifies somebody by another token that is shown on a connection that stays.
    ///
    /// # Errors
    /// As of a request.
    pub(crate) async fn of_token(&self, gateway: &Gateway, token: &str) -> Result<Caller, Problem> {
        self.account.take(Limit::Requests, 1)?;
        let headers = HeaderMap::new();
        let refused = |refusal| {
            gateway.audit.stranger(&refusal, &headers, self.peer);
            refused(&refusal)
        };
        let credential = Credential::from_text(token).map_err(refused)?;
        let principal = gateway.gate.identify(&credential).await.map_err(refused)?;
        Caller::identified(gateway, principal, &headers, (self.peer, self.account.clone())).await
    }

    /// Goes by the limits that are in force now: on a connection that stays, they may be others than when it came.
    pub(crate) fn limit_as_now(&mut self, gateway: &Gateway) {
        let limits = gateway.limits.load();
        if !limits.are_of(&self.account) {
            self.account = limits.of_address(self.peer.ip()).with(&self.principal).answered();
        }
    }

    /// What the hub judges.
    pub(crate) fn policy(&self) -> &tidegate_hub::Caller {
        &self.policy
    }

    /// Under what its idempotency keys are remembered.
    pub(crate) fn identity(&self) -> String {
        self.principal.identity()
    }

    /// Who it is.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether what it showed is still good: on a connection that stays, time goes by.
    ///
    /// # Errors
    /// `token-revoked` or `token-expired`.
    pub(crate) fn good(&self, gateway: &Gateway) -> Result<(), Problem> {
        gateway.gate.check(&self.principal).map_err(|refusal| refused(&refusal))?;
        match self.until() {
            Some(until) if until <= Instant::now() => {
                Err(Problem::new(ErrorCode::TokenExpired, "the token has expired")
                    .hint("open another connection with a fresh token, and resume with your cursors"))
            }
            _ => Ok(()),
        }
    }

    /// When what it showed is no longer good.
    pub(crate) fn until(&self) -> Option<Instant> {
        instant(Duration::from_secs(self.principal.expires()?))
    }

    /// How often its issuer is asked about its token, if it is.
    pub(crate) fn asked_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.principal.asked()?.every_seconds))
    }

    /// When it may no longer watch a channel: its token has ended, or its sign-in is too old.
    pub(crate) fn until_of(&self, channel: &Channel) -> Option<Instant> {
        let stale = channel.sign_in_ends(&self.policy).and_then(|until| instant(Duration::from_millis(until.0)));
        self.until().into_iter().chain(stale).min()
    }
}

/// A time since 1970 by the clock that does not jump; `None`: further off than anybody waits.
fn instant(since: Duration) -> Option<Instant> {
    let left = SystemTime::UNIX_EPOCH.checked_add(since)?.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}

fn policy(principal: &Principal) -> Result<tidegate_hub::Caller, Problem> {
    tidegate_hub::Caller::of(principal.clone())
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("the claims of the token: {error}")))
}

/// Whether a request shows anything of its own.
pub(crate) fn shows(headers: &HeaderMap) -> bool {
    !matches!(credential(headers, |refusal| refused(&refusal)), Ok(Credential::None))
}

/// What a request shows. Two credentials would let two readers of the request disagree.
fn credential(headers: &HeaderMap, refused: impl FnOnce(Refusal) -> Problem) -> Result<Credential, Problem> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    });
    let credential = match (shown.next(), cookies.next()) {
        (None, None) => return Ok(Credential::None),
        (Some(header), None) => Credential::from_authorization(header.as_bytes()),
        (None, Some(cookie)) => Credential::from_text(cookie),
        (Some(_), Some(_)) => return Err(several()),
    };
    if shown.next().is_some() || cookies.next().is_some() {
        return Err(several());
    }
    credential.map_err(refused)
}

fn several() -> Problem {
    Problem::new(ErrorCode::Invalid, "the request shows more than one credential")
        .hint(format!("send one `Authorization: Bearer TOKEN`, or the cookie `{COOKIE_NAME}`"))
}

/// The client's text of a refusal.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    let problem = refusal.problem();
    match refusal.challenge(None) {
        Some(challenge) => problem.challenge(challenge),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(headers: &HeaderMap) -> Result<Credential, Problem> {
        super::credential(headers, |refusal| refused(&refusal))
    }

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_request_shows_one_credential_or_none() {
        assert!(matches!(credential(&headers(&[])), Ok(Credential::None)));
        assert!(matches!(credential(&headers(&[(AUTHORIZATION, "Bearer abc")])), Ok(Credential::Bearer(_))));
        assert!(matches!(credential(&headers(&[(COOKIE, "a=b; tidegate_token=abc")])), Ok(Credential::Bearer(_))));
        assert!(matches!(credential(&headers(&[(COOKIE, "tidegate_token2=abc")])), Ok(Credential::None)));
        let several: [&[(http::HeaderName, &str)]; 3] = [
            &[(AUTHORIZATION, "Bearer abc"), (COOKIE, "tidegate_token=abc")],
            &[(AUTHORIZATION, "Bearer abc"), (AUTHORIZATION, "Bearer abc")],
            &[(COOKIE, "tidegate_token=abc; tidegate_token=def")],
        ];
        for pairs in several {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name.clone(), http::HeaderValue::from_static(value));
            }
            assert_eq!(credential(&headers).expect_err("two").code, ErrorCode::Invalid);
        }
    }
}
