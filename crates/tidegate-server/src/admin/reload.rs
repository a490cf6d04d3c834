//! `/reload`: the config is read again.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::json;
use tidegate_transports::Rejudged;

use super::writing::no_page;
use super::{Admin, not_allowed, problem};
use crate::reload::Reloaded;

impl Admin {
    pub(super) async fn answer_reload(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return not_allowed("the config is read again by a POST", "POST");
        }
        if let Err(refused) = no_page(request) {
            return problem(&refused);
        }
        match self.reloader.clone().reload().await {
            Ok(reloaded) => super::json(200, "application/json", &shown(&reloaded)),
            Err(refused) => problem(&refused),
        }
    }
}

fn shown(reloaded: &Reloaded) -> serde_json::Value {
    let Reloaded { changed, channels, watches: Rejudged { judged, changed: others, closed } } = reloaded;
    json!({
        "changed": changed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "channels": channels,
        "watches": { "judged": judged, "changed": others, "closed": closed },
    })
}
