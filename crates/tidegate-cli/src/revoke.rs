//! `tidegate revoke`: a credential, or all of a subject, is to be good no more. Its watches end at once.

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::client::{Remote, read};
use crate::serve::runtime;
use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    what: What,
    /// Only what this issuer vouches for.
    #[arg(long, value_name = "ISSUER", conflicts_with_all = ["api_key", "watch"])]
    issuer: Option<String>,
    /// Until this time, such as 2030-01-01T00:00:00Z; without it, until it is taken back.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The admin side of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Everything that is of this subject.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// One token, by its `jti`.
    #[arg(long, value_name = "JTI")]
    token_id: Option<String>,
    /// One API key.
    #[arg(long, value_name = "ID")]
    api_key: Option<String>,
    /// What this watch showed; `GET /watches` lists them.
    #[arg(long, value_name = "ID")]
    watch: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    runtime()?.block_on(revoke(arguments))
}

async fn revoke(Arguments { what, issuer, until, admin }: Arguments) -> Result<()> {
    let What { subject, token_id, api_key, watch } = what;
    let given = [
        ("subject", subject),
        ("token_id", token_id),
        ("api_key", api_key),
        ("watch", watch),
        ("issuer", issuer),
        ("until", until),
    ];
    let body: Map<String, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    let request = Request::post("/revocations").header(CONTENT_TYPE, "application/json");
    let answer = Remote::parse(&admin, None)?.send(request, Bytes::from(Value::Object(body).to_string())).await?;
    let text = read(answer).await?;
    let made: Value = serde_json::from_str(&text).with_context(|| format!("no answer of a server: {text}"))?;
    say(format!("{}: {} watches ended", made["id"].as_str().unwrap_or("revoked"), made["ended"]));
    Ok(())
}
