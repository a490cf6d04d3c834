//! The `tls:` of the config.

use std::path::{Path, PathBuf};

use rustls::{ProtocolVersion, SupportedCipherSuite};
use tidegate_transports::{suite_name, suites};

use super::fields::{Field, Reader, quoted};
use super::shape::{self, defaults};
use super::values::{self, Complaint};

/// Where a certificate and its key are. The files are read when the server starts, and again when
/// they change.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// PEM: the server's certificate, then those of the authorities behind it.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub min_version: ProtocolVersion,
    /// What is spoken with, the better first; at least one of a version that is spoken. `None`: as clients like it.
    pub ciphers: Option<Vec<SupportedCipherSuite>>,
    /// What is asked of clients.
    pub clients: Option<ClientsConfig>,
}

/// Certificates of clients. The file is read when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientsConfig {
    /// PEM: the authorities whose certificates are good.
    pub ca: PathBuf,
    /// Without a certificate there is no connection.
    pub required: bool,
}

/// `Some(None)` where it is not given, `None` after a mistake.
pub(super) fn read(reader: Reader, field: Option<Field>, folder: &Path) -> Option<Option<TlsConfig>> {
    let Some(field) = field else { return Some(None) };
    let fields = reader.open::<shape::Tls>(field.node(), field.name_span(), "`tls`")?;
    let cert = fields.require("cert", "cert: /etc/tidegate/cert.pem");
    let key = fields.require("key", "key: /etc/tidegate/key.pem");
    let min_version = fields.value("min_version", defaults::min_version(), |text| match text {
        "1.2" => Ok(ProtocolVersion::TLSv1_2),
        "1.3" => Ok(ProtocolVersion::TLSv1_3),
        _ => {
            Err(Complaint::new("no version that is spoken").help("write `\"1.2\"` or `\"1.3\"`; older ones are broken"))
        }
    });
    let ciphers = fields
        .optional("ciphers", |field| field.list(true, cipher).filter(|ciphers| speaks(field, ciphers, min_version)));
    let clients = fields.optional("clients", |field| clients(reader, field, folder));
    fields.finish();
    let cert = cert.and_then(|field| field.parse(file));
    let key = key.and_then(|field| field.parse(file));
    let (cert, key) = (folder.join(cert?), folder.join(key?));
    Some(Some(TlsConfig { cert, key, min_version: min_version?, ciphers: ciphers?, clients: clients? }))
}

fn cipher(text: &str) -> Result<SupportedCipherSuite, Complaint> {
    let known = || suites().iter().map(|suite| suite_name(suite.suite()));
    suites().iter().copied().find(|suite| suite_name(suite.suite()) == text).ok_or_else(|| {
        Complaint::new("no cipher suite that is spoken").help(format!("they are, by IANA's names, {}", quoted(known())))
    })
}

/// Whether there is one of a version that is spoken; else no client could connect.
fn speaks(field: &Field, ciphers: &[SupportedCipherSuite], oldest: Option<ProtocolVersion>) -> bool {
    let newest_alone = oldest == Some(ProtocolVersion::TLSv1_3);
    let speaks = ciphers.iter().any(|suite| !newest_alone || matches!(suite, SupportedCipherSuite::Tls13(_)));
    if !speaks {
        let complaint = match ciphers.is_empty() {
            true => Complaint::new("no cipher suite").help("leave `ciphers` out for all that are safe"),
            false => Complaint::new("none of them is of TLS 1.3, which is the oldest version that is spoken")
                .help("add `TLS_AES_256_GCM_SHA384`, or leave `ciphers` out"),
        };
        field.complain(field.span(), complaint);
    }
    speaks
}

fn clients(reader: Reader, field: &Field, folder: &Path) -> Option<ClientsConfig> {
    let fields = reader.open::<shape::Clients>(field.node(), field.name_span(), "`clients`")?;
    let ca = fields.require("ca", "ca: /etc/tidegate/clients.pem").and_then(|field| field.parse(file));
    let required = fields.value("required", defaults::required(), values::boolean);
    fields.finish();
    Some(ClientsConfig { ca: folder.join(ca?), required: required? })
}

fn file(text: &str) -> Result<PathBuf, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("no file").help("name a file of PEM, such as `./cert.pem`"));
    }
    if text.contains("-----BEGIN") {
        return Err(Complaint::new("this is the text of a file").help("name the file; keys do not stand in the config"));
    }
    Ok(PathBuf::from(text))
}
