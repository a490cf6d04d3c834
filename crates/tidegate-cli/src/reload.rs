//! `tidegate reload`: a server reads its config again, and runs what it says.

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Request;
use serde_json::Value;

use crate::client::{Remote, read};
use crate::serve::runtime;
use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The admin side of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    runtime()?.block_on(reload(arguments))
}

async fn reload(Arguments { admin }: Arguments) -> Result<()> {
    let answer = Remote::parse(&admin, None)?.send(Request::post("/reload"), Bytes::new()).await?;
    let text = read(answer).await?;
    let made: Value = serde_json::from_str(&text).with_context(|| format!("no answer of a server: {text}"))?;
    let changed: Vec<&str> = made["changed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if changed.is_empty() {
        say("nothing has changed");
        return Ok(());
    }
    changed.into_iter().for_each(|name| say(format!("changed {name}")));
    let watches = &made["watches"];
    say(format!(
        "{} watches judged anew: {} see something else, {} closed",
        watches["judged"], watches["changed"], watches["closed"]
    ));
    Ok(())
}
