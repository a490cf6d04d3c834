//! `/v1/_problems/{code}`: the page behind a problem's `type`, with cause and cure.

use std::fmt::Write;

use http::HeaderMap;
use serde_json::json;
use tidegate_core::suggest::nearest;
use tidegate_core::{ErrorCode, Problem};

use crate::answer::{self, Answer};
use crate::negotiate::{Representation, accepted};

/// One code, or all of them.
pub(crate) fn page(word: &str, headers: &HeaderMap) -> Result<Answer, Problem> {
    let codes = if word.is_empty() { ErrorCode::ALL.to_vec() } else { vec![parse(word)?] };
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepted(accept)? == Representation::Html {
        return Ok(answer::with_body(200, "text/html; charset=utf-8", html(&codes)));
    }
    let rows: Vec<serde_json::Value> = codes.iter().map(|code| row(*code)).collect();
    let body = if word.is_empty() { json!({ "problems": rows }) } else { rows[0].clone() };
    Ok(answer::json(body.to_string()))
}

fn parse(word: &str) -> Result<ErrorCode, Problem> {
    ErrorCode::parse(word).ok_or_else(|| {
        let problem = Problem::new(ErrorCode::ChannelNotFound, format!("there is no problem `{word}`"));
        match nearest(word, ErrorCode::ALL.map(ErrorCode::as_str)) {
            Some(near) => problem.hint(format!("did you mean /v1/_problems/{near} ?")),
            None => problem.hint("/v1/_problems/ lists all"),
        }
    })
}

fn row(code: ErrorCode) -> serde_json::Value {
    json!({
        "code": code.as_str(),
        "title": code.title(),
        "status": code.status(),
        "websocket_close": code.close_code(),
        "retry_ms": code.retry_ms(),
        "cause": code.cause(),
        "cure": code.cure(),
    })
}

/// The texts are constants of ours and have no markup.
fn html(codes: &[ErrorCode]) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Problems</title>");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/_assets/page.css\"><main>");
    for code in codes {
        let come_back = match code.retry_ms() {
            Some(ms) => format!("come back, by default after {ms} ms"),
            None => "do not repeat it unchanged".to_owned(),
        };
        let _ = write!(
            page,
            "<h1>{}</h1><p><code>{}</code> · HTTP {} · WebSocket close {} · {come_back}</p><h2>Cause</h2><p>{}</p><h2>Cure</h2><p>{}</p>",
            code.title(),
            code.as_str(),
            code.status(),
            code.close_code(),
            code.cause(),
            code.cure(),
        );
    }
    page.push_str("</main></html>");
    page
}
