//! A certificate and its key, read from files and found to belong together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::TlsConfig;

/// A file of certificates or a key is small; a larger one is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Whoever renews certificates does so earlier.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A certificate with what is behind it, and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When the certificate begins and ceases to be good.
    valid_from: SystemTime,
    valid_until: SystemTime,
    /// Whose certificate it is.
    subject: String,
}

/// Why there is no pair. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("{field}: cannot read {}: {error}", path.display())]
    Unreadable {
        /// In the config.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{field}: {}: {what}", path.display())]
    Wrong {
        /// In the config.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to write there.
        what: String,
    },
    /// Each is good by itself.
    #[error(
        "tls: the key in {} is not that of the first certificate in {}.\n\
         Name the key that the certificate was made for; the server's own certificate comes first in its file, those of \
         the authorities behind it",
        key.display(), cert.display()
    )]
    Strangers {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// If a file cannot be read or holds something else, or the key is that of another certificate.
    pub fn load(files: &TlsConfig) -> Result<Pair, PairError> {
        let chain = certificates("tls.cert", &files.cert)?;
        let first = Certificate::from_der(&chain[0]).map_err(|error| {
            wrong("tls.cert", &files.cert, format!("its first certificate cannot be read: {error}"))
        })?;
        let key = private_key(&files.key)?;
        let signing = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| {
            wrong(
                "tls.key",
                &files.key,
                "no key that can be used: it has to be RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519"
                    .to_owned(),
            )
        })?;
        let key = CertifiedKey::new(chain, signing);
        match key.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(PairError::Strangers { cert: files.cert.clone(), key: files.key.clone() });
            }
            Err(error) => {
                return Err(wrong("tls.cert", &files.cert, format!("its first certificate is no good: {error}")));
            }
        }
        let validity = first.tbs_certificate().validity();
        Ok(Pair {
            key: Arc::new(key),
            valid_from: validity.not_before.to_system_time(),
            valid_until: validity.not_after.to_system_time(),
            subject: first.tbs_certificate().subject().to_string(),
        })
    }

    /// When the certificate ceases to be good, in seconds since 1970.
    pub fn expiry_seconds(&self) -> u64 {
        self.valid_until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Whose it is and until when, for people.
    pub fn title(&self) -> String {
        format!("{}, valid until {}", self.subject, shown(self.valid_until))
    }

    /// What is wrong with its time, if anything.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let remedy = "renew it; the server takes the new files without a restart";
        if now >= self.valid_until {
            return Some(format!("the certificate has expired on {}: {remedy}", shown(self.valid_until)));
        }
        if now < self.valid_from {
            let from = shown(self.valid_from);
            return Some(format!(
                "the certificate is not valid before {from}: look whether this machine's clock is right"
            ));
        }
        match now + SOON >= self.valid_until {
            true => Some(format!("the certificate expires on {}: {remedy}", shown(self.valid_until))),
            false => None,
        }
    }
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let text = read(field, path)?;
    let chain: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| wrong(field, path, format!("no PEM: {error}")))?;
    if chain.is_empty() {
        let what = "there is no certificate in it; it has to be PEM, with a line `-----BEGIN CERTIFICATE-----`";
        return Err(wrong(field, path, what.to_owned()));
    }
    Ok(chain)
}

/// The authorities whose certificates clients may show.
///
/// # Errors
/// If the file cannot be read or has none.
pub fn authorities(path: &Path) -> Result<RootCertStore, PairError> {
    let field = "tls.clients.ca";
    let mut store = RootCertStore::empty();
    for certificate in certificates(field, path)? {
        store
            .add(certificate)
            .map_err(|error| wrong(field, path, format!("a certificate in it is of no authority: {error}")))?;
    }
    Ok(store)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PairError> {
    let text = read("tls.key", path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let what = match error {
            PemError::NoItemsFound if text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) => {
                "the key is encrypted; write it without its passphrase: `openssl pkey -in OLD -out NEW`".to_owned()
            }
            PemError::NoItemsFound => {
                "there is no private key in it; it has to be PEM, with a line `-----BEGIN PRIVATE KEY-----`".to_owned()
            }
            error => format!("no PEM: {error}"),
        };
        wrong("tls.key", path, what)
    })
}

/// Stands in the first line of keys with a passphrase.
const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, PairError> {
    use io::Read;
    let unreadable = |error| PairError::Unreadable { field, path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(field, path, format!("more than {FILE_BYTES_MAX} bytes, which is no file of PEM")));
    }
    Ok(text)
}

fn wrong(field: &'static str, path: &Path, what: String) -> PairError {
    PairError::Wrong { field, path: path.to_owned(), what }
}

fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
