//! TLS towards a server, for the commands that are clients: who it has to be.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How to be sure of one server.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Towards `host`, whose certificate is from an authority in the file `ca`, or else from one that
    /// the system trusts.
    pub(crate) fn towards(host: &str, ca: Option<&Path>) -> Result<Tls> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| anyhow!("`{host}` is no host name"))?;
        let roots = match ca {
            Some(file) => of_file(file)?,
            None => of_system()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls { config: Arc::new(config), name })
    }

    /// The handshake.
    pub(crate) async fn connect(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.config.clone());
        connector
            .connect(self.name.clone(), socket)
            .await
            .context("no TLS; --ca FILE names the authority of a certificate that the system does not trust")
    }
}

fn of_system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!("the system has no certificates to check the server's with: name a file with --ca");
    }
    Ok(roots)
}

fn of_file(file: &Path) -> Result<RootCertStore> {
    let shown = file.display();
    let certificates: Vec<CertificateDer> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("--ca: {shown} cannot be read"))?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates).0 {
        0 => bail!("--ca: {shown} has no certificate (PEM)"),
        _ => Ok(roots),
    }
}
