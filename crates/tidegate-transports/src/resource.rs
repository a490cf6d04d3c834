//! `/.well-known/oauth-protected-resource`: where tokens for this server come from (RFC 9728), so that a client that was
//! refused can find out by itself.

use http::header::{HOST, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Request};
use serde_json::json;

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::tls::Encrypted;

/// Where it is.
pub(crate) const PATH: &str = "/.well-known/oauth-protected-resource";

/// What is told of the server, where there is anybody to get a token from.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// Its own name, as tokens have it in `aud`; without one, the address that was asked.
    pub name: Option<String>,
    /// The issuers of the tokens that it takes; only those that are URLs can be found.
    pub issuers: Vec<String>,
}

/// The address by which the server was asked. `Host` has been looked at before.
#[derive(Debug, Clone)]
pub(crate) struct Base(String);

impl Base {
    pub(crate) fn of<B>(gateway: &Gateway, request: &Request<B>) -> Option<Base> {
        if gateway.resource.issuers.is_empty() {
            return None;
        }
        if let Some(name) = &gateway.resource.name {
            return Some(Base(name.trim_end_matches('/').to_owned()));
        }
        let host = request.headers().get(HOST)?.to_str().ok()?;
        let scheme = if request.extensions().get::<Encrypted>().is_some() { "https" } else { "http" };
        Some(Base(format!("{scheme}://{host}")))
    }

    /// The document.
    pub(crate) fn answer(&self, gateway: &Gateway) -> Answer {
        let Base(resource) = self;
        let document = json!({
            "resource": resource,
            "authorization_servers": gateway.resource.issuers,
            "bearer_methods_supported": ["header"],
            "resource_documentation": format!("{resource}/v1/_problems/unauthenticated"),
        });
        answer::json(document.to_string())
    }

    /// Names the document in a challenge (RFC 9728, section 5.1).
    pub(crate) fn name_in(&self, headers: &mut HeaderMap) {
        let Some(challenge) = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()) else { return };
        let named = format!("{challenge}, resource_metadata=\"{}{PATH}\"", self.0);
        // A Host that could end the quotes is none of ours, and was refused.
        if let Some(value) = HeaderValue::from_str(&named).ok().filter(|_| !self.0.contains(['"', '\\'])) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
    }
}
