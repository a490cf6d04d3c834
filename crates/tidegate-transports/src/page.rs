//! The page at `/` and at each address, and its parts.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use tidegate_core::{ErrorCode, Problem, Target};

use crate::Gateway;
use crate::answer::{self, Answer};

/// A file that the server serves.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Such as `/tidegate.js`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
}

/// All files that the server serves; `/` is the page.
#[derive(Clone, Debug, Default)]
pub struct Assets(pub Vec<Asset>);

/// The page shows payloads that anybody may have published, so nothing runs but its own files.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A file.
pub(crate) fn asset(gateway: &Gateway, path: &str) -> Result<Answer, Problem> {
    let asset = gateway.assets.0.iter().find(|asset| asset.path == path).ok_or_else(|| {
        Problem::new(ErrorCode::ChannelNotFound, format!("there is nothing at `{path}`"))
            .hint("addresses are below /v1/; GET /v1/ lists them")
    })?;
    let mut answer = answer::with_body(200, asset.content_type, Bytes::from_static(asset.body));
    answer::header(&mut answer, CONTENT_SECURITY_POLICY, POLICY);
    answer::header(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer::header(&mut answer, REFERRER_POLICY, "no-referrer");
    if asset.path.ends_with(".js") {
        // The client may be imported by pages of other origins; what it may read is decided there.
        answer::header(&mut answer, HeaderName::from_static("access-control-allow-origin"), "*");
    }
    answer::header(&mut answer, http::header::CACHE_CONTROL, "no-cache");
    Ok(answer)
}

/// The page at an address that may be read.
pub(crate) fn live(gateway: &Gateway, target: &Target) -> Result<Answer, Problem> {
    gateway.hub.catalog().readable(target)?;
    asset(gateway, "/")
}
