//! `/revocations`: what was good and is to be so no more; made, listed, taken back.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::{NewRevocation, Revocation, Revoked};
use tidegate_hub::{FoundWatch, Order, WatchId};

use super::list::Wanted;
use super::writing::{body, no_page};
use super::{Admin, problem, with_type};
use crate::revoked::{revoke, take_back};

/// What may be sent.
const SHOWN: &str = r#"{"subject":"ann","issuer":"https://id.example.org","until":"2030-01-01T00:00:00Z"}"#;

/// `POST /revocations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    subject: Option<String>,
    token_id: Option<String>,
    api_key: Option<String>,
    /// What this watch showed, as narrowly as it can be said.
    watch: Option<String>,
    issuer: Option<String>,
    until: Option<String>,
}

impl Admin {
    pub(super) async fn answer_revocations(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = match Wanted::of(&request, "/revocations") {
            Wanted::Read => Ok(self.list_revocations()),
            Wanted::Make => self.make_revocation(request).await,
            Wanted::End(id) => self.end_revocation(&request, &id).await,
            Wanted::Refused(answer) => return answer,
        };
        answered.unwrap_or_else(|refused| problem(&refused))
    }

    fn list_revocations(&self) -> Response<Full<Bytes>> {
        let list: Vec<Value> = self.revocations.list(Millis::now().seconds()).iter().map(|own| shown(own)).collect();
        json_of(&json!({ "count": list.len(), "revocations": list }))
    }

    async fn make_revocation(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        no_page(&request)?;
        let asked: Asked = body(request, SHOWN).await?;
        let Asked { subject, token_id, api_key, watch, issuer, until } = asked;
        let wrong = |detail: &str| Problem::new(ErrorCode::Invalid, detail).hint(format!("send such as {SHOWN}"));
        let until = until.map(|text| match Millis::parse_rfc3339(&text) {
            Some(time) => Ok(time.seconds()),
            None => Err(wrong("`until` is no time of RFC 3339")),
        });
        let until = until.transpose()?;
        let named = |what, name| NewRevocation { what, name, issuer: issuer.clone(), until };
        let new = match (subject, token_id, api_key, watch) {
            (Some(name), None, None, None) => named(Revoked::Subject, name),
            (None, Some(name), None, None) => named(Revoked::TokenId, name),
            (None, None, Some(name), None) if issuer.is_none() => named(Revoked::ApiKey, name),
            (None, None, None, Some(id)) if issuer.is_none() => match self.watched(&id, until)? {
                Some(new) => new,
                // Nothing was shown, so there is nothing to remember.
                None => return Ok(json_of(&json!({ "id": null, "watch": id, "ended": 1 }))),
            },
            _ => {
                return Err(wrong(
                    "exactly one of `subject`, `token_id`, `api_key` and `watch` is named, the first two with an `issuer` where wanted",
                ));
            }
        };
        let (revocation, ended) = revoke(&self.hub, &self.revocations, new).await?;
        let mut answer = shown(&revocation);
        answer["ended"] = ended.into();
        Ok(json_of(&answer))
    }

    /// What a watch showed; one that showed nothing is ended here.
    fn watched(&self, id: &str, until: Option<u64>) -> Result<Option<NewRevocation>, Problem> {
        let found = id.parse::<WatchId>().ok().and_then(|id| self.hub.watches().find(id));
        let FoundWatch { entry, handle, .. } = found.ok_or_else(|| {
            Problem::new(ErrorCode::KeyNotFound, format!("there is no watch `{id}`"))
                .hint("GET /watches lists them; one that has ended can be revoked by its subject")
        })?;
        let new = NewRevocation::of_credential(&entry.principal, until);
        if new.is_none() {
            handle.tell(Order::End(Problem::new(ErrorCode::TokenRevoked, "the operator has ended the watch")));
        }
        Ok(new)
    }

    async fn end_revocation(&self, request: &Request<Incoming>, id: &str) -> Result<Response<Full<Bytes>>, Problem> {
        no_page(request)?;
        match take_back(&self.hub, &self.revocations, id).await? {
            true => Ok(with_type(204, "application/json", String::new())),
            false => Err(Problem::new(ErrorCode::KeyNotFound, format!("there is no revocation `{id}`"))
                .hint("GET /revocations lists those that hold")),
        }
    }
}

fn shown(revocation: &Revocation) -> Value {
    let Revocation { id, what, name, issuer, since, until } = revocation;
    let time = |seconds: u64| Millis::of_seconds(seconds).to_string();
    let mut shown = json!({ "id": id, "issuer": issuer, "since": time(*since), "until": until.map(time) });
    shown[what.as_str()] = (**name).into();
    shown
}

fn json_of(value: &Value) -> Response<Full<Bytes>> {
    super::json(200, "application/json", value)
}
