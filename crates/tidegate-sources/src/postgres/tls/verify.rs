//! Which certificates of a server are good enough.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Decides as `sslmode` says.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None`: anybody is good enough.
    roots: Option<RootCertStore>,
    /// Whether it must be the certificate of the host that we asked for.
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// `prefer` and `require`: encrypts, against those who only listen.
    pub(super) fn anybody() -> Verifier {
        Verifier { roots: None, name: false, algorithms: algorithms() }
    }

    /// `verify-ca`.
    pub(super) fn authority(roots: RootCertStore) -> Verifier {
        Verifier { roots: Some(roots), name: false, algorithms: algorithms() }
    }

    /// `verify-full`.
    pub(super) fn host(roots: RootCertStore) -> Verifier {
        Verifier { roots: Some(roots), name: true, algorithms: algorithms() }
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    super::provider();
    CryptoProvider::get_default().expect("installed").signature_verification_algorithms
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms) {
            // The manual of Postgres shows how to make a server certificate that signs itself, and clients are then
            // given that very certificate. It is an authority by its form, and those are refused as servers. What is
            // in its time is looked at before that.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if is_root(end_entity, roots) => {}
            other => other?,
        }
        if self.name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.roots {
            // Nothing is known of who signs; and certificates of the first version, which many self-made ones are,
            // cannot be read.
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls12_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.roots {
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether it is one of those that are trusted: the same name and the same key, and the handshake proves that the
/// server has the key.
fn is_root(certificate: &CertificateDer<'_>, roots: &RootCertStore) -> bool {
    let mut own = RootCertStore::empty();
    if own.add(certificate.clone().into_owned()).is_err() {
        return false;
    }
    let same = |a: &TrustAnchor<'_>, b: &TrustAnchor<'_>| {
        a.subject == b.subject && a.subject_public_key_info == b.subject_public_key_info
    };
    own.roots.iter().any(|own| roots.roots.iter().any(|root| same(own, root)))
}
