//! Certificates for tests: an authority made for the process, and what it signs. No key is ever kept
//! in the repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

/// Signs certificates of `localhost` and 127.0.0.1.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If the machine has no randomness.
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Tidegate test authority");
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        let (certificate, pem) = (own.der().clone(), pem("CERTIFICATE", own.der()));
        Authority { issuer: Issuer::new(params, key), certificate, pem }
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this machine in the name of `name`.
    pub fn issue(&self, name: &str) -> Pair {
        self.sign(name, |_| {})
    }

    /// One whose time is over.
    pub fn issue_expired(&self, name: &str) -> Pair {
        self.sign(name, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: pem("CERTIFICATE", cert.der()), key: pem("PRIVATE KEY", key.serialized_der()) }
    }

    /// A client that trusts this authority alone, and offers these protocols.
    ///
    /// # Panics
    /// If the machine's crypto does not work.
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate of ours");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl Pair {
    /// Writes `cert.pem` and `key.pem`, each replaced whole. Returns the paths.
    ///
    /// # Panics
    /// If the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let replace = |name: &str, text: &str| {
            let (fresh, path) = (folder.join(format!("{name}.new")), folder.join(name));
            std::fs::write(&fresh, text).expect("write a file of PEM");
            std::fs::rename(&fresh, &path).expect("replace a file of PEM");
            path
        };
        (replace("cert.pem", &self.cert), replace("key.pem", &self.key))
    }
}

/// As PEM (RFC 7468), in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
