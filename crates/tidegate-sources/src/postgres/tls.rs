//! TLS towards Postgres: what `sslmode` and `sslrootcert` of a URL mean, once, for both kinds of connection.
//!
//! The modes are those of libpq. `prefer` and `require` do not look at who answers, which is what the URLs of hosted
//! databases ask for and what works without any file; `verify-ca` and `verify-full` do. Certificates are checked
//! against `sslrootcert`, or against those that the system trusts: whoever runs a private authority has installed it
//! there.

mod connector;
mod route;
mod verify;

use std::io;
use std::sync::{Arc, Once};

use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) use connector::Connector;
use verify::Verifier;

/// Whether and how connections are encrypted.
#[derive(Clone)]
pub(super) struct Tls {
    mode: Mode,
    /// Unless they never are.
    config: Option<Arc<ClientConfig>>,
}

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    /// Plain if the server knows no TLS.
    Prefer,
    Require,
    /// The certificate is from an authority that we trust.
    VerifyCa,
    /// And it is that of the host in the URL.
    VerifyFull,
}

const MODES: &[(&str, Mode)] = &[
    ("disable", Mode::Disable),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// No encrypted connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{0}")]
    Connect(io::Error),
    #[error("the server does not speak TLS, and sslmode asks for it")]
    Refused,
    #[error("TLS: {0}")]
    Handshake(io::Error),
    #[error("no socket for the replication connection: {0}")]
    Route(io::Error),
}

/// Makes aws-lc-rs the crypto provider of the process. Whoever connects calls it first: rustls panics at first use where
/// it finds no provider, or two of them.
pub(super) fn provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error says that there is one already, which an embedding program may have chosen.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

impl Tls {
    /// Reads the two parameters of a URL as they stand there. The error says what to write.
    pub(super) fn of(sslmode: Option<&str>, sslrootcert: Option<&str>) -> Result<Tls, String> {
        let root = sslrootcert.map(|text| percent_decode_str(text).decode_utf8_lossy());
        let mut mode = match sslmode {
            // As libpq: to trust the whole world's authorities is only worth something with the name.
            None if root.as_deref() == Some("system") => Mode::VerifyFull,
            None => Mode::Prefer,
            Some(name) => {
                let known = MODES.iter().find(|(known, _)| *known == name);
                known.ok_or_else(|| format!("sslmode `{name}`: write {}", names()))?.1
            }
        };
        let roots = match (mode, root.as_deref()) {
            (Mode::Disable | Mode::Prefer, Some(_)) => {
                return Err("sslrootcert without sslmode=verify-full or verify-ca would check nothing".to_owned());
            }
            (Mode::Require | Mode::VerifyCa, Some("system")) => {
                return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
            }
            (Mode::Disable | Mode::Prefer | Mode::Require, None) => RootCertStore::empty(),
            (Mode::VerifyCa | Mode::VerifyFull, None | Some("system")) => system_roots()?,
            (_, Some(file)) => file_roots(file)?,
        };
        if mode == Mode::Require && root.is_some() {
            // As libpq: who names a certificate wants it checked.
            mode = Mode::VerifyCa;
        }
        provider();
        let config = (mode != Mode::Disable).then(|| {
            let verifier = match mode {
                Mode::VerifyFull => Verifier::host(roots),
                Mode::VerifyCa => Verifier::authority(roots),
                _ => Verifier::anybody(),
            };
            let mut config = ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            config.alpn_protocols = vec![b"postgresql".to_vec()];
            Arc::new(config)
        });
        Ok(Tls { mode, config })
    }

    /// For connections for SQL.
    pub(super) fn connector(&self) -> Connector {
        Connector(self.clone())
    }

    /// What the client for SQL asks the server; the certificate is our own business.
    pub(super) fn tokio_mode(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    /// The handshake, on a connection whose server has agreed to it.
    async fn handshake<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(config) = &self.config else { return Err(io::Error::other("sslmode=disable")) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    }
}

fn names() -> String {
    MODES.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err("the system has no certificates to check the server's with: write sslrootcert=FILE".to_owned()),
        false => Ok(roots),
    }
}

fn file_roots(file: &str) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| format!("sslrootcert: {file}: {error}"))?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates).0 {
        0 => Err(format!("sslrootcert: {file} has no certificate (PEM)")),
        _ => Ok(roots),
    }
}

#[cfg(test)]
mod tests;
