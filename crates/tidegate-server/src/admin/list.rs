//! Lists of the admin side whose things are made and ended: by `GET` and `POST` of the list, and `DELETE` of a thing below it.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use super::not_allowed;

/// What is wanted of a list.
pub(super) enum Wanted {
    Read,
    Make,
    /// The thing of this id is ended.
    End(String),
    Refused(Response<Full<Bytes>>),
}

impl Wanted {
    /// `list`: its path.
    pub(super) fn of(request: &Request<Incoming>, list: &str) -> Wanted {
        let path = request.uri().path();
        let id = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        match *request.method() {
            Method::GET | Method::HEAD if path == list => Wanted::Read,
            Method::POST if path == list => Wanted::Make,
            Method::DELETE if !id.is_empty() => Wanted::End(id.to_owned()),
            _ => {
                let methods = if path == list { "GET, HEAD, POST" } else { "DELETE" };
                Wanted::Refused(not_allowed(&format!("not of `{path}`"), methods))
            }
        }
    }
}
