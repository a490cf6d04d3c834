//! Who is behind a connection: the peer, or, where a proxy of ours has it, whom the proxy names.
//!
//! Only peers that the config lists are believed. From anybody else a `Forwarded` is one more header that nobody
//! reads, and a PROXY header is no request.
//!
//! ```text
//!   peer ─► listed? ── no ──► the peer is the client
//!              │ yes
//!              ├─ proxy_protocol ─► header before TLS and HTTP names the client, or the connection ends
//!              └─ header ─► from the right, the first address that is no proxy of ours
//! ```

mod forwarded;
mod protocol;

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
pub use ipnet::IpNet;
use tidegate_core::Problem;
use tokio::net::TcpStream;

/// Proxies that are ours.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Where they are.
    pub from: Vec<IpNet>,
    /// The one header in which they name the client. One alone: a client can send those that its proxy does not write.
    pub header: Option<ForwardedBy>,
    /// Their connections begin with a header of the PROXY protocol, version 1 or 2.
    pub proxy_protocol: bool,
}

/// How a proxy names its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`, the list of addresses before there was a standard.
    XForwardedFor,
}

impl Proxies {
    /// Whether this is a proxy of ours.
    pub(crate) fn lists(&self, address: IpAddr) -> bool {
        // Behind a socket that takes both, an IPv4 address comes as one of IPv6.
        let address = address.to_canonical();
        self.from.iter().any(|network| network.contains(&address))
    }

    /// Who has connected; of a proxy of ours that says so, whom it introduces.
    ///
    /// # Errors
    /// The proxy does not say, or not in the way that it should.
    pub(crate) async fn introduced(&self, socket: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, Problem> {
        if !self.proxy_protocol || !self.lists(peer.ip()) {
            return Ok(peer);
        }
        protocol::read(socket).await.map(|client| client.unwrap_or(peer))
    }

    /// For whom a request is; `peer` is who has connected, or was introduced.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let Some(header) = self.header.filter(|_| self.lists(peer.ip())) else { return peer };
        let mut client = peer;
        for hop in forwarded::hops(header, headers).into_iter().rev() {
            // An address that cannot be read, or is hidden, is nobody's: who passed it on is as far as is known.
            let Some(hop) = hop else { break };
            client = hop;
            if !self.lists(hop.ip()) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ForwardedBy) -> Proxies {
        let from = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network")).into();
        Proxies { from, header: Some(header), proxy_protocol: false }
    }

    fn client(header: ForwardedBy, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        proxies(header).client(peer.parse().expect("an address"), &map).to_string()
    }

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let forged = [("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")];
        for header in [ForwardedBy::Forwarded, ForwardedBy::XForwardedFor] {
            assert_eq!(client(header, "192.0.2.7:9", &forged), "192.0.2.7:9");
            assert_eq!(client(header, "10.1.1.1:9", &forged), "1.2.3.4:0");
            assert_eq!(client(header, "[::ffff:10.1.1.1]:9", &forged), "1.2.3.4:0");
            assert_eq!(client(header, "10.1.1.1:9", &[]), "10.1.1.1:9");
        }
    }

    /// A client writes what it likes to the left of what our proxy adds.
    #[test]
    fn what_a_client_writes_before_its_proxy_is_not_believed() {
        let of = |value| client(ForwardedBy::Forwarded, "10.1.1.1:9", &[("forwarded", value)]);
        assert_eq!(of("for=127.0.0.1, for=198.51.100.5"), "198.51.100.5:0");
        assert_eq!(of("for=127.0.0.1, for=198.51.100.5;proto=https, for=10.2.2.2"), "198.51.100.5:0");
        assert_eq!(of("For=\"[2001:db8::5]:4711\";by=10.0.0.1"), "[2001:db8::5]:4711");
        assert_eq!(of("for=\"198.51.100.5:80\""), "198.51.100.5:80");
        // A quote that is not closed, an unknown one, a hidden one: the proxy is all that is known.
        for unreadable in ["for=1.2.3.4, for=\"5.6.7.8", "for=1.2.3.4, for=unknown", "for=1.2.3.4, for=_hidden", "for="]
        {
            assert_eq!(of(unreadable), "10.1.1.1:9", "{unreadable}");
        }
        let of = |value| client(ForwardedBy::XForwardedFor, "10.1.1.1:9", &[("x-forwarded-for", value)]);
        assert_eq!(of("127.0.0.1, 198.51.100.5"), "198.51.100.5:0");
        assert_eq!(of("1.2.3.4, 2001:db8::5, fd00::1"), "[2001:db8::5]:0");
        assert_eq!(of("1.2.3.4, nonsense"), "10.1.1.1:9");
    }

    /// Else who sends the header that the proxy does not write would be whom it likes.
    #[test]
    fn the_other_header_is_not_read() {
        let both = [("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "198.51.100.5")];
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.1.1.1:9", &both), "198.51.100.5:0");
        let lines = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "198.51.100.5, 10.2.2.2")];
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.1.1.1:9", &lines), "198.51.100.5:0");
    }
}
