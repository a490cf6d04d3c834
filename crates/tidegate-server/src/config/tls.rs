//! The `tls:` of the config.

use std::path::{Path, PathBuf};

use super::fields::{Field, Reader};
use super::shape;
use super::values::Complaint;

/// Where a certificate and its key are. The files are read when the server starts, and again when
/// they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM: the server's certificate, then those of the authorities behind it.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// `Some(None)` where it is not given, `None` after a mistake.
pub(super) fn read(reader: Reader, field: Option<Field>, folder: &Path) -> Option<Option<TlsConfig>> {
    let Some(field) = field else { return Some(None) };
    let fields = reader.open::<shape::Tls>(field.node(), field.name_span(), "`tls`")?;
    let cert = fields.require("cert", "cert: /etc/tidegate/cert.pem");
    let key = fields.require("key", "key: /etc/tidegate/key.pem");
    fields.finish();
    let cert = cert.and_then(|field| field.parse(file));
    let key = key.and_then(|field| field.parse(file));
    Some(Some(TlsConfig { cert: folder.join(cert?), key: folder.join(key?) }))
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
