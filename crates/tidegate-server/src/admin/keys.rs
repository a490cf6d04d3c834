//! `/keys`: API keys are made, listed, revoked.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::{ListedKey, NewKey};

use super::list::Wanted;
use super::writing::{body, no_page};
use super::{Admin, problem, with_type};
use crate::keys;

/// What may be sent.
const SHOWN: &str = r#"{"name":"billing","subject":"shop","scopes":["orders"],"expires":"2030-01-01T00:00:00Z"}"#;

/// `POST /keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    subject: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    expires: Option<String>,
}

impl Admin {
    pub(super) async fn answer_keys(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = match Wanted::of(&request, "/keys") {
            Wanted::Read => Ok(self.list_keys()),
            Wanted::Make => self.make_key(request).await,
            Wanted::End(id) => self.end_key(&request, &id).await,
            Wanted::Refused(answer) => return answer,
        };
        answered.unwrap_or_else(|refused| problem(&refused))
    }

    fn list_keys(&self) -> Response<Full<Bytes>> {
        let list: Vec<Value> = self.keys.list().iter().map(shown).collect();
        super::json(200, "application/json", &json!({ "count": list.len(), "keys": list }))
    }

    /// The one answer that has the key itself.
    async fn make_key(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        no_page(&request)?;
        let Asked { name, subject, scopes, expires } = body(request, SHOWN).await?;
        let wrong = |detail: &str| Problem::new(ErrorCode::Invalid, detail).hint(format!("send such as {SHOWN}"));
        let expires = expires.map(|text| match Millis::parse_rfc3339(&text) {
            Some(time) if time.seconds() > Millis::now().seconds() => Ok(time.seconds()),
            Some(_) => Err(wrong("`expires` is over")),
            None => Err(wrong("`expires` is no time of RFC 3339")),
        });
        let new = NewKey { name, subject, scopes, expires: expires.transpose()? };
        let created = keys::create(&self.hub, &self.keys, &new).await?;
        let listed = self.keys.list().into_iter().find(|key| *key.id == *created.id);
        let mut answer = listed.as_ref().map(shown).unwrap_or_default();
        answer["key"] = created.text.expose().into();
        let mut answer = super::json(201, "application/json", &answer);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    async fn end_key(&self, request: &Request<Incoming>, id: &str) -> Result<Response<Full<Bytes>>, Problem> {
        no_page(request)?;
        let absent =
            || Problem::new(ErrorCode::KeyNotFound, format!("there is no API key `{id}`")).hint("GET /keys lists them");
        match request.uri().query() {
            None => match keys::revoke(&self.hub, &self.keys, id).await? {
                Some(ended) => Ok(super::json(200, "application/json", &json!({ "id": id, "ended": ended }))),
                None => Err(absent()),
            },
            Some("forget=true") => match keys::forget(&self.hub, &self.keys, id).await? {
                true => Ok(with_type(204, "application/json", String::new())),
                false => Err(absent()),
            },
            Some(_) => Err(Problem::new(ErrorCode::UnknownOption, "a key is revoked, or forgotten")
                .hint("DELETE /keys/{id} revokes it; with ?forget=true it is also off the list")),
        }
    }
}

fn shown(key: &ListedKey) -> Value {
    let ListedKey { id, name, subject, scopes, created, expires, revoked } = key;
    let time = |seconds: u64| Millis::of_seconds(seconds).to_string();
    json!({
        "id": id,
        "name": name,
        "subject": subject,
        "scopes": scopes,
        "created": time(*created),
        "expires": expires.map(time),
        "revoked": revoked.map(time),
    })
}
