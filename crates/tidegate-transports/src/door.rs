//! Who may knock: the `Host` that a request names, and the `Origin` of a page behind it.
//!
//! A server on loopback is reachable from every web page in the same browser. A page of another
//! origin must not write through it, and a page whose own host name was pointed at 127.0.0.1 must
//! not read through it (DNS rebinding), so both headers are checked before anything else.

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};
use tidegate_core::{ErrorCode, Problem};

/// The names that are ours.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Host names beside the loopback ones, without a port, in lower case.
    pub hosts: Vec<String>,
    /// Origins of pages that may write and open WebSockets beside our own, such as
    /// `https://app.example`.
    pub origins: Vec<String>,
    /// Any host name is taken: the operator chose to listen beyond loopback without naming hosts.
    pub any_host: bool,
}

impl Allowed {
    /// Checks the `Host` of a request.
    pub(crate) fn host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(authority) = one(headers, &HOST)? else {
            return Err(Problem::new(ErrorCode::WrongHost, "the request has no Host"));
        };
        let host = host_of(authority);
        if self.any_host || is_loopback(host) || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
            return Ok(());
        }
        let host = host.to_ascii_lowercase();
        Err(Problem::new(ErrorCode::WrongHost, format!("`{authority}` is no name of this server"))
            .hint(format!("use the address that the server printed, or add `{host}` to `hosts` in the config")))
    }

    /// Checks the `Origin` of a request that writes or opens a WebSocket. Clients that are no
    /// browsers send none.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = one(headers, &ORIGIN)? else { return Ok(()) };
        if self.lists(origin) {
            return Ok(());
        }
        let own = one(headers, &HOST)?;
        let same = origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https") && own.is_some_and(|own| own.eq_ignore_ascii_case(authority))
        });
        if same {
            return Ok(());
        }
        Err(Problem::new(ErrorCode::Forbidden, format!("a page of the origin `{origin}` may not do this"))
            .hint(format!("the operator allows it with `origins: [{origin}]` in the config")))
    }

    /// Whether the config lists the origin, so that its pages may read across origins too.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin))
    }
}

/// The one value of a header. Several would let two readers of the request disagree.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::new(ErrorCode::Invalid, format!("the request has more than one {name}")));
    }
    match first.map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Problem::new(ErrorCode::Invalid, format!("the request's {name} is not ASCII"))),
    }
}

fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value"))).collect()
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let allowed = Allowed { hosts: vec!["live.example".into()], ..Allowed::default() };
        for host in ["127.0.0.1:8080", "localhost", "[::1]:9", "LOCALHOST:1", "live.example:443"] {
            assert!(allowed.host(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "0.0.0.0"] {
            let problem = allowed.host(&headers(&[("host", host)])).expect_err(host);
            assert_eq!(problem.code, ErrorCode::WrongHost);
        }
        assert!(allowed.host(&headers(&[])).is_err());
    }

    #[test]
    fn another_origin_may_not_write() {
        let allowed = Allowed { origins: vec!["https://app.example".into()], ..Allowed::default() };
        let origin = |origin| allowed.origin(&headers(&[("host", "localhost:8080"), ("origin", origin)]));
        assert!(origin("http://localhost:8080").is_ok());
        assert!(origin("https://app.example").is_ok());
        for evil in
            ["http://localhost:8081", "http://evil.example", "null", "file://localhost:8080", "http://app.example"]
        {
            assert_eq!(origin(evil).expect_err(evil).code, ErrorCode::Forbidden);
        }
        assert!(allowed.origin(&headers(&[("host", "localhost")])).is_ok());
    }
}
