//! The document in which an issuer says where its things are (OpenID Connect Discovery 1.0).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::Deserialize;

use crate::fetch::Fetcher;

/// Reads and keeps the document of one issuer: read again with its keys, and once where it has none.
pub(crate) struct Discovery {
    issuer: Box<str>,
    fetcher: Fetcher,
    last: ArcSwapOption<Document>,
}

/// What is used of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    issuer: String,
    #[serde(rename = "jwks_uri")]
    pub(crate) key_set: Option<String>,
    #[serde(rename = "introspection_endpoint")]
    pub(crate) introspection: Option<String>,
}

impl Discovery {
    pub(crate) fn new(issuer: &str, fetcher: Fetcher) -> Discovery {
        Discovery { issuer: issuer.into(), fetcher, last: ArcSwapOption::empty() }
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// Where the document of an issuer is.
    pub(crate) fn url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// The document as it is now.
    pub(crate) async fn read(&self) -> Result<Arc<Document>, String> {
        let body = self.fetcher.get(&Discovery::url(&self.issuer)).await.map_err(|error| error.to_string())?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|error| format!("its discovery document cannot be read: {error}"))?;
        // Section 4.3: else another issuer could hand out its keys for this one's.
        if document.issuer != *self.issuer {
            return Err(format!("its discovery document is of `{}`", document.issuer));
        }
        let document = Arc::new(document);
        self.last.store(Some(Arc::clone(&document)));
        Ok(document)
    }

    /// The document as it was when it was last read, or as it is.
    pub(crate) async fn last(&self) -> Result<Arc<Document>, String> {
        match self.last.load_full() {
            Some(document) => Ok(document),
            None => self.read().await,
        }
    }
}
