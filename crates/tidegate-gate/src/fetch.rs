//! Outgoing requests: to the key sets, discovery documents and introspection of issuers.
//!
//! A URL may come from a discovery document, and a name may resolve to whatever its owner says; so
//! none of them is trusted to lead outside. Each request is bounded in time and size, follows no
//! redirect, uses no proxy, and goes to public addresses over TLS, but to hosts that the config names.

mod address;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url, redirect};

use crate::config::{ConfigError, FetchConfig};
use crate::secret::Secret;

/// Connections that wait for the next request to one host.
const IDLE_MAX: usize = 4;

/// Why nothing was fetched; for the operator.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("`{0}` is no URL that is fetched: {1}")]
    Url(Box<str>, &'static str),
    #[error("`{0}` leads to {1}, which is not public; list the host under `allow_hosts` if that is meant")]
    Inside(Box<str>, Box<str>),
    #[error("{0} answers with status {1}, where 200 is expected (redirects are not followed)")]
    Status(Box<str>, u16),
    #[error("{0} sends more than {1} bytes")]
    TooLarge(Box<str>, usize),
    #[error("{0}: {1}")]
    Failed(Box<str>, Box<str>),
}

/// Who fetches. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fetcher(Arc<Inner>);

struct Inner {
    /// `None` where the config has no URL: a client wants the system's certificates, which a machine
    /// that talks to nobody may lack.
    clients: Option<Clients>,
    /// `host` or `host:port`.
    hosts: HashSet<String>,
    bytes_max: usize,
}

struct Clients {
    /// Whose names resolve to public addresses alone.
    outside: Client,
    /// For hosts that are allowed by name.
    allowed: Client,
}

impl Fetcher {
    /// `configured` are URLs that the operator wrote: where they name this machine itself, literally,
    /// that is meant.
    pub(crate) fn new(config: &FetchConfig, configured: &[String]) -> Result<Fetcher, ConfigError> {
        let mut hosts: HashSet<String> = config.allow_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        for text in configured {
            // The text may hold a password, so the error does not have it.
            let url =
                Url::parse(text).map_err(|error| ConfigError::new("a URL that cannot be read", error.to_string()))?;
            if is_this_machine(&url) {
                hosts.extend(authority(&url));
            }
        }
        let clients = if configured.is_empty() { None } else { Some(Clients::new(config)?) };
        let fetcher = Fetcher(Arc::new(Inner { clients, hosts, bytes_max: config.bytes_max }));
        for url in configured {
            fetcher
                .client(url)
                .map_err(|error| ConfigError::new("what is fetched may not lead there", error.to_string()))?;
        }
        Ok(fetcher)
    }

    /// The body of a document.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let (client, url) = self.client(url)?;
        self.body(&url, client.get(url.clone())).await
    }

    /// The answer to a form that is posted with a name and a password (RFC 6749, section 2.3.1).
    pub(crate) async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        name: &str,
        password: &Secret,
    ) -> Result<Bytes, FetchError> {
        let (client, url) = self.client(url)?;
        let request = client.post(url.clone()).form(form).basic_auth(name, Some(password.expose()));
        self.body(&url, request).await
    }

    /// The answer to JSON that is posted with headers of its own.
    pub(crate) async fn post_json(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Bytes, FetchError> {
        let (client, url) = self.client(url)?;
        let request = client.post(url.clone()).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        self.body(&url, request.body(body)).await
    }

    /// Which client a URL is for, if any.
    fn client(&self, text: &str) -> Result<(&Client, Url), FetchError> {
        let refuse = |reason| FetchError::Url(text.into(), reason);
        let url = Url::parse(text).map_err(|_| refuse("it cannot be read"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Url(url.host_str().unwrap_or_default().into(), "it has a password in it"));
        }
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        let allowed = self.0.hosts.contains(host) || authority(&url).is_some_and(|own| self.0.hosts.contains(&own));
        match url.scheme() {
            "https" => {}
            "http" if allowed => {}
            "http" => return Err(refuse("it is not https, and its host is not listed under `allow_hosts`")),
            _ => return Err(refuse("it is not https")),
        }
        let clients = self.0.clients.as_ref().ok_or_else(|| refuse("the config has no URL"))?;
        if allowed {
            return Ok((&clients.allowed, url));
        }
        // A literal address is not resolved, so it is judged here.
        if let Some(literal) = literal(host)
            && !address::is_public(literal)
        {
            return Err(FetchError::Inside(text.into(), host.into()));
        }
        Ok((&clients.outside, url))
    }

    async fn body(&self, url: &Url, request: RequestBuilder) -> Result<Bytes, FetchError> {
        let named = || -> Box<str> { url.as_str().into() };
        let failed = |error: reqwest::Error| match inside(&error) {
            Some(addresses) => FetchError::Inside(named(), addresses.into()),
            None => FetchError::Failed(named(), chain(&error.without_url()).into()),
        };
        let answer = request.header("accept", "application/json").send().await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(named(), answer.status().as_u16()));
        }
        let too_large = || FetchError::TooLarge(named(), self.0.bytes_max);
        self.read(answer).await.map_err(failed)?.ok_or_else(too_large)
    }

    /// `None`: there is more than is read.
    async fn read(&self, mut answer: Response) -> Result<Option<Bytes>, reqwest::Error> {
        if answer.content_length().is_some_and(|length| length > self.0.bytes_max as u64) {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > self.0.bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.into()))
    }
}

impl Clients {
    fn new(config: &FetchConfig) -> Result<Clients, ConfigError> {
        let certificates = match &config.certificates {
            Some(pem) => Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| ConfigError::new("fetch.certificates", error.to_string()))?,
            None => Vec::new(),
        };
        let client = || {
            Client::builder()
                .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .no_proxy()
                .timeout(config.timeout)
                .connect_timeout(config.timeout)
                .pool_max_idle_per_host(IDLE_MAX)
                .tls_certs_merge(certificates.clone())
        };
        let built = |builder: ClientBuilder| builder.build().map_err(|error| ConfigError::new("fetch", chain(&error)));
        Ok(Clients { outside: built(client().dns_resolver(PublicNames))?, allowed: built(client())? })
    }
}

fn is_this_machine(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || literal(host).is_some_and(|own| own.is_loopback()))
}

/// `host:port`.
fn authority(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// An address that stands where a name could; `Url` has made one form of all its spellings.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Resolves as the system does, and refuses a name that leads inside: a name with one public and one
/// private address is refused whole, for which of them is used is not ours to say.
struct PublicNames;

#[derive(Debug, thiserror::Error)]
#[error("the name leads to {0}")]
struct LeadsInside(String);

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match addresses.iter().find(|found| !address::is_public(found.ip())) {
                Some(found) => Err(LeadsInside(found.ip().to_string()).into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// The address that a name was refused for.
fn inside(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| cause.downcast_ref::<LeadsInside>()).map(|found| found.0.clone())
}

/// An error and what caused it, in one line.
fn chain(error: &reqwest::Error) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source())
}
