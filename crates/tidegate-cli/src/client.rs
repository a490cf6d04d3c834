//! HTTP requests to a server, one connection each: a command makes few, and long ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_core::Target;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls::Tls;

/// A connection that takes longer is as good as none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A problem or the answer to a publish is far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The variable with a token, for those who do not keep it in a file.
const TOKEN: &str = "TIDEGATE_TOKEN";
/// Everything but RFC 3986 `unreserved`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server, as `--url` names it.
#[derive(Clone)]
pub(crate) struct Remote {
    /// Host and port.
    authority: String,
    /// With `https://`.
    tls: Option<Tls>,
    /// Read for each request: tokens are renewed.
    token_file: Option<PathBuf>,
}

/// Where the server is, and whom it has to be.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Trust the certificates in this file (PEM) instead of the system's; with https://.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Say who asks by the token in this file, read again for each request; without it, by the one in `TIDEGATE_TOKEN`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Nobody answered, or the connection broke: try again.
    Unreachable(anyhow::Error),
    /// The server said no.
    Refused(Refusal),
}

/// A problem of the server.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What happened, for people.
    pub(crate) what: String,
    /// What to do; may be empty.
    pub(crate) hint: String,
    /// Where in the filter, in characters from 1.
    pub(crate) column: Option<usize>,
    /// When to come back; `None`: not as you are.
    pub(crate) retry: Option<Duration>,
}

impl Remote {
    /// The server that the command line names.
    pub(crate) fn of(server: &Server) -> Result<Remote> {
        let remote = Remote::parse(&server.url, server.ca.as_deref())?;
        Ok(Remote { token_file: server.token_file.clone(), ..remote })
    }

    /// Reads `http://host[:port]` or `https://host[:port]`.
    pub(crate) fn parse(url: &str, ca: Option<&Path>) -> Result<Remote> {
        let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => bail!("`{url}` does not begin with http:// or https://"),
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            bail!("`{url}` is no server: write http://HOST:PORT or https://HOST:PORT and nothing behind");
        }
        if ca.is_some() && !secure {
            bail!("--ca goes with https://, and `{url}` is not encrypted");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
            _ => (authority, if secure { "443" } else { "80" }),
        };
        let tls = secure.then(|| Tls::towards(host, ca)).transpose()?;
        Ok(Remote { authority: format!("{host}:{port}"), tls, token_file: None })
    }

    /// Whether it speaks TLS.
    pub(crate) fn encrypted(&self) -> bool {
        self.tls.is_some()
    }

    fn url(&self) -> String {
        format!("{}://{}", if self.encrypted() { "https" } else { "http" }, self.authority)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request; `path` begins with `/`.
    pub(crate) async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let response = self.exchange(request, body).await.map_err(Failure::Unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = read(response).await.map_err(Failure::Unreachable)?;
        Err(Failure::Refused(Refusal::read(status.as_u16(), &text)))
    }

    async fn exchange(&self, request: hyper::http::request::Builder, body: Bytes) -> Result<Response<Incoming>> {
        let mut request: Request<Full<Bytes>> = request
            .header(HOST, HeaderValue::from_str(&self.authority)?)
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))?;
        if let Some(authorization) = self.authorization()? {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let mut sender = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| anyhow!("{} does not answer", self.authority))?
            .with_context(|| format!("cannot reach {}", self.url()))?;
        Ok(sender.send_request(request).await?)
    }

    /// Who asks; no argument, since those are seen by all on the machine.
    fn authorization(&self) -> Result<Option<HeaderValue>> {
        let token = match &self.token_file {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
            None => std::env::var(TOKEN).unwrap_or_default(),
        };
        let token = token.trim();
        if token.is_empty() {
            return Ok(None);
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).context("the token is not ASCII")?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(&self.authority).await?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => speak(socket).await,
            Some(tls) => speak(tls.connect(socket).await?).await,
        }
    }
}

async fn speak(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(async move {
        // An error shows in the answer's body, where somebody reads it.
        let _ = connection.await;
    });
    Ok(sender)
}

impl Refusal {
    /// Reads the answer that says no.
    pub(crate) fn read(status: u16, body: &str) -> Refusal {
        let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) else {
            // No problem of ours: a proxy in between.
            let retry = matches!(status, 429 | 502..=504).then(|| Duration::from_secs(1));
            let what = format!("the server answered {status}");
            return Refusal { what, hint: String::new(), column: None, retry };
        };
        let member = |name: &str| problem[name].as_str().unwrap_or_default();
        let line = problem["line"].as_u64().map_or_else(String::new, |line| format!(" (line {line})"));
        Refusal {
            what: format!("{}{line}: {}", member("code"), member("detail")),
            hint: member("hint").to_owned(),
            column: problem["column"].as_u64().and_then(|column| usize::try_from(column).ok()),
            retry: problem["retry_ms"].as_u64().map(Duration::from_millis),
        }
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> anyhow::Error {
        match failure {
            Failure::Unreachable(error) => error,
            Failure::Refused(refusal) => anyhow!("{refusal}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n{}", self.hint) }
    }
}

/// The whole body of an answer.
pub(crate) async fn read(response: Response<Incoming>) -> Result<String> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| anyhow!(error))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// The path of an address with options.
pub(crate) fn path(target: &Target, options: &[(&str, &str)]) -> String {
    let mut path = format!("/v1/{}", target.as_str());
    for (index, (name, value)) in options.iter().enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.extend(utf8_percent_encode(value, QUERY));
    }
    path
}

/// Reads the address of the command line.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    let text = text.strip_prefix("/v1/").unwrap_or(text);
    Target::parse(text).map_err(|error| error.to_string())
}

/// How long to wait before attempt `failures` + 1: doubles up to half a minute, and is drawn from
/// the whole range, so that clients that were cut together do not come back together.
pub(crate) fn backoff(failures: u32) -> Duration {
    let ceiling = 500_u64.saturating_mul(1 << failures.min(6)).min(30_000);
    Duration::from_millis(rand::random_range(0..=ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_servers() {
        let of = |url: &str| Remote::parse(url, None).map(|remote| remote.url()).ok();
        assert_eq!(of("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(of("http://live.example.org/").as_deref(), Some("http://live.example.org:80"));
        assert_eq!(of("http://[::1]:9").as_deref(), Some("http://[::1]:9"));
        for bad in ["127.0.0.1:8080", "ftp://a", "http://", "http://a/v1/b", "http://u@a"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert!(Remote::parse("http://a", Some(Path::new("ca.pem"))).is_err(), "a plain server shows no certificate");
    }

    #[test]
    fn options_are_escaped() {
        let target = target("/v1/rooms/a b/messages").expect("target");
        assert_eq!(
            path(&target, &[("after", "x"), ("key", "a&b=c")]),
            "/v1/rooms/a%20b/messages?after=x&key=a%26b%3Dc"
        );
    }

    #[test]
    fn problems_become_text() {
        let refusal = Refusal::read(
            422,
            r#"{"code":"unprocessable","detail":"no key","hint":"add one","line":3,"retry_ms":null}"#,
        );
        assert_eq!(refusal.to_string(), "unprocessable (line 3): no key\nadd one");
        assert_eq!((refusal.retry, refusal.column), (None, None));
        assert_eq!(Refusal::read(400, r#"{"code":"invalid","column":7}"#).column, Some(7));
        assert!(Refusal::read(502, "<html>").retry.is_some());
    }
}
