//! `tidegate key`: API keys of a running server, through its admin listener.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::client::{Remote, read};
use crate::terminal::{printable, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(clap::Subcommand)]
enum KeyCommand {
    /// Make a key, and print it: the only time that it can be seen.
    Create {
        /// What people call it.
        name: String,
        /// Whom it stands for, `claims.sub`; without it, itself: `key:ID`.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// What it may, `claims.scope`; several times for several.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it ends: a time (RFC 3339), or how long it lasts, such as 90d.
        #[arg(long, value_name = "WHEN", value_parser = expires)]
        expires: Option<String>,
        #[command(flatten)]
        admin: Admin,
    },
    /// List the keys, without what is secret of them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// End a key, and every watch that was opened with it.
    Revoke {
        /// Its id, as listed.
        id: String,
        /// Take it off the list, too.
        #[arg(long)]
        forget: bool,
        #[command(flatten)]
        admin: Admin,
    },
}

/// Where operators connect.
#[derive(clap::Args)]
struct Admin {
    /// The admin listener of the server.
    #[arg(long = "admin", value_name = "URL", default_value = "http://127.0.0.1:8081")]
    url: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            KeyCommand::Create { name, subject, scopes, expires, admin } => {
                let new = json!({ "name": name, "subject": subject, "scopes": scopes, "expires": expires });
                let made = admin.ask("POST", "/keys", Some(new)).await?;
                let text = |member: &str| made[member].as_str().unwrap_or_default();
                eprintln!("the key {} stands for {}; it is not shown again:", text("id"), printable(text("subject")));
                say(text("key"));
            }
            KeyCommand::List { json, admin } => {
                let list = admin.ask("GET", "/keys", None).await?;
                match json {
                    true => say(list["keys"].to_string()),
                    false => list["keys"].as_array().into_iter().flatten().for_each(|key| say(line(key))),
                }
            }
            KeyCommand::Revoke { id, forget, admin } => {
                let path = format!("/keys/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
                let ended = admin.ask("DELETE", &path, None).await?;
                if forget {
                    admin.ask("DELETE", &format!("{path}?forget=true"), None).await?;
                }
                say(format!("{id} is revoked; {} watches end", ended["ended"]));
            }
        }
        Ok(())
    })
}

impl Admin {
    /// What the admin side answers; null where that is nothing.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = Remote::parse(&self.url, None)?.send(request, body).await?;
        let text = read(answer).await?;
        match text.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_str(&text).context("the admin side answered something else than JSON"),
        }
    }
}

/// A key for people; its texts are of whoever made it.
fn line(key: &Value) -> String {
    let text = |member: &str| printable(key[member].as_str().unwrap_or_default());
    let scopes: Vec<String> =
        key["scopes"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(printable)).collect();
    let scopes = if scopes.is_empty() { String::new() } else { format!(", {}", scopes.join(" ")) };
    let end = match (key["revoked"].as_str(), key["expires"].as_str()) {
        (Some(time), _) => format!(", revoked {time}"),
        (None, Some(time)) => format!(", until {time}"),
        (None, None) => String::new(),
    };
    format!("{}  {}  as {}{scopes}{end}", text("id"), text("name"), text("subject"))
}

/// A time as the admin side takes it.
fn expires(text: &str) -> Result<String> {
    if text.contains('T') {
        return Ok(text.to_owned());
    }
    let lasts: Duration = humantime::parse_duration(text)
        .map_err(|_| anyhow!("write a time such as 2030-01-01T00:00:00Z, or a duration such as 90d"))?;
    let ends = SystemTime::now().checked_add(lasts).context("that is too long")?;
    Ok(humantime::format_rfc3339_seconds(ends).to_string())
}
