//! What a page of the server may set off: a POST to a path of the server's own.

use std::fmt;

use http::{Method, Request};
use hyper::body::Incoming;
use tidegate_core::{ErrorCode, Problem};

use crate::Gateway;
use crate::answer::{self, Answer};

/// Something that a POST sets off. `GET /v1/` lists it, and the page has a button for it.
pub struct Action {
    /// Its first segment begins with `_`, so that no address is there.
    pub path: &'static str,
    /// For people: what stands on the button.
    pub title: String,
    /// Runs on a worker of the runtime, so it must be quick.
    pub run: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("path", &self.path).field("title", &self.title).finish_non_exhaustive()
    }
}

/// Runs the action, if a page that may write asks for it.
pub(crate) fn post(gateway: &Gateway, action: &Action, request: &Request<Incoming>) -> Result<Answer, Problem> {
    if request.method() != Method::POST {
        let problem = Problem::new(ErrorCode::MethodNotAllowed, format!("`{}` is an action", action.path));
        return Ok(answer::not_allowed(&problem.hint("set it off with a POST"), "POST"));
    }
    gateway.allowed.load().origin(request.headers())?;
    (action.run)();
    Ok(answer::empty(204))
}
