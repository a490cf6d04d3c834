//! Who has come, before anybody knows who it is: an address, and what is left to it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use tidegate_core::Problem;
use tidegate_gate::{Account, Fields, Limit};
use tidegate_wire::{Balance, Meter};

use crate::Gateway;
use crate::answer::Answer;
use crate::tls::{Client, Encrypted};

/// Of one request, or of a connection that stays.
pub(crate) struct Visitor {
    /// The client, also behind a proxy.
    pub(crate) address: SocketAddr,
    pub(crate) account: Account,
    /// Who it is by its certificate.
    pub(crate) client: Option<Arc<Client>>,
}

impl Visitor {
    /// Who sends a request over a connection of `peer`.
    pub(crate) fn of<B>(gateway: &Gateway, peer: SocketAddr, request: &http::Request<B>) -> Visitor {
        let address = gateway.proxies.client(peer, request.headers());
        let client = request.extensions().get::<Encrypted>().and_then(|encrypted| encrypted.client.clone());
        Visitor { address, account: gateway.limits.load().of_address(address.ip()), client }
    }

    /// Counts a connection. One of a proxy is of many clients, each of whom is counted by its requests.
    pub(crate) fn connects(gateway: &Gateway, peer: SocketAddr) -> Result<(), Problem> {
        match gateway.proxies.lists(peer.ip()) {
            true => Ok(()),
            false => gateway.limits.load().of_address(peer.ip()).take(Limit::Connects, 1),
        }
    }
}

/// What a caller is told by its watches, against how much that may be.
struct Sent(Account);

impl Meter for Sent {
    fn spend(&self, bytes: u64) -> Balance {
        match self.0.spend(Limit::SentBytes, bytes) {
            Some(left) if left <= 0.0 => Balance::Nothing,
            Some(left) if left < 0.5 => Balance::Little,
            _ => Balance::Enough,
        }
    }
}

/// Where what its watches are told is counted, if anybody's is.
pub(crate) fn meter(gateway: &Gateway, account: &Account) -> Option<Arc<dyn Meter>> {
    gateway.limits.load().has(Limit::SentBytes).then(|| Arc::new(Sent(account.clone().answered())) as Arc<dyn Meter>)
}

/// What an answer says of the limits that were looked at for it.
pub(crate) fn told(account: &Account) -> Option<[(HeaderName, String); 2]> {
    let Fields { policy, limit } = account.fields()?;
    Some([(HeaderName::from_static("ratelimit-policy"), policy), (HeaderName::from_static("ratelimit"), limit)])
}

/// Says it in an answer.
pub(crate) fn tell(account: &Account, answer: &mut Answer) {
    for (name, value) in told(account).into_iter().flatten() {
        answer.headers_mut().insert(name, HeaderValue::try_from(value).expect("names and numbers of ours are ASCII"));
    }
}
