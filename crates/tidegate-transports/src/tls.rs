//! TLS towards clients: what is spoken, the handshake, and a word to those who came without.
//!
//! ```text
//!   first byte ─┬─ handshake ─► ALPN ─┬─ h2 ───────► HTTP/2
//!               │                     └─ otherwise ► HTTP/1.1
//!               └─ anything else ─► 400: this port speaks TLS
//! ```
//!
//! Which certificate is shown is the resolver's business, which may change its mind at any time:
//! connections that are open go on with what they have.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ProtocolVersion, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};
use tidegate_core::{ErrorCode, Problem};
use tidegate_wire::Line;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::opening::{Opening, look, turn_away};

/// A handshake must be complete within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// So much may be encrypted and not yet taken by the client; a write beyond waits.
const ENCRYPTED_BYTES_MAX: usize = 64 * 1024;
/// Protocols inside, the better first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Marks requests that came encrypted.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    /// Whose certificate the client has shown, if any.
    pub(crate) client: Option<Arc<Client>>,
}

/// Who a client is by its certificate, whose chain was verified.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its subject, as RFC 4514 text.
    pub(crate) subject: Box<str>,
    /// When its time is over, in seconds since 1970.
    pub(crate) expires: u64,
}

/// What is asked of clients.
#[derive(Debug)]
pub struct Clients {
    /// The authorities whose certificates are good.
    pub authorities: RootCertStore,
    /// Without a certificate there is no connection.
    pub required: bool,
}

/// The suites that there are, the better first: those of aws-lc-rs, all of which have forward secrecy and authenticate
/// what they encrypt.
pub fn suites() -> &'static [SupportedCipherSuite] {
    aws_lc_rs::DEFAULT_CIPHER_SUITES
}

/// Its name in the registry of IANA; rustls names those of TLS 1.3 differently.
pub fn suite_name(suite: CipherSuite) -> String {
    suite.as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

/// What connections speak: TLS 1.3, and 1.2 unless the `oldest` is 1.3, with the first of `chosen` that the client has,
/// or where nothing was chosen with the one of the [`suites`] that it likes best, and HTTP/2 or HTTP/1.1 inside. There is no renegotiation and no compression. The crypto provider is named here, so that nothing
/// depends on what the process has installed.
///
/// # Errors
/// If the provider does not work on this machine, no suite is of a version that is spoken, or there is no authority of
/// clients.
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    oldest: ProtocolVersion,
    chosen: Option<Vec<SupportedCipherSuite>>,
    clients: Option<Clients>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let own_order = chosen.is_some();
    let cipher_suites = chosen.unwrap_or_else(|| suites().to_vec());
    let provider = Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() });
    let versions: &[&SupportedProtocolVersion] =
        if oldest == ProtocolVersion::TLSv1_3 { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(Clients { authorities, required }) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            let built = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(built)
        }
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.ignore_client_order = own_order;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    // Tickets, so that thousands who come back do not cost a signature each, and no memory.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// The handshake. `None` when there is no connection, and the client was told if it can be.
pub(crate) async fn handshake(
    socket: TcpStream,
    peer: SocketAddr,
    config: Arc<ServerConfig>,
) -> Option<TlsStream<TcpStream>> {
    match look(&socket).await {
        Ok(Opening::Tls) => {}
        Ok(Opening::Http1 | Opening::Http2) => {
            refuse(socket, peer).await;
            return None;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection ended before its handshake");
            return None;
        }
    }
    let accept = TlsAcceptor::from(config).accept_with(socket, |connection| {
        connection.set_buffer_limit(Some(ENCRYPTED_BYTES_MAX));
    });
    match timeout(HANDSHAKE_TIMEOUT, accept).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took longer than {} s", HANDSHAKE_TIMEOUT.as_secs());
            None
        }
    }
}

/// What is known of the client of a connection. One whose certificate cannot be read has shown none: what is verified is
/// read by others than us.
pub(crate) fn encrypted(stream: &TlsStream<TcpStream>) -> Encrypted {
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let client = shown.and_then(|der| {
        let certificate = Certificate::from_der(der).ok()?;
        let signed = certificate.tbs_certificate();
        let until = signed.validity().not_after.to_system_time().duration_since(SystemTime::UNIX_EPOCH);
        Some(Client { subject: signed.subject().to_string().into(), expires: until.ok()?.as_secs() })
    });
    Encrypted { client: client.map(Arc::new) }
}

/// Whether HTTP/2 was agreed on.
pub(crate) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(ALPN[0])
}

/// The connection as a lane takes it.
pub(crate) fn line(stream: TlsStream<TcpStream>) -> io::Result<Line> {
    let (socket, connection) = stream.into_inner();
    Ok(Line::Tls(socket.into_std()?, Box::new(connection)))
}

/// Answers a client that does not speak TLS in the only way that it may understand.
async fn refuse(socket: TcpStream, peer: SocketAddr) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(%peer, "a client spoke plain HTTP to the port that speaks TLS: its URL must begin with https://; further ones are logged at debug");
    });
    tracing::debug!(%peer, "plain HTTP on the port that speaks TLS");
    let problem = Problem::new(ErrorCode::Invalid, "this port speaks TLS")
        .hint("write https:// instead of http://, or wss:// instead of ws://");
    turn_away(socket, &problem).await;
}
