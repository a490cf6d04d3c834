//! A config made of what a source has discovered: the text that people read and keep is the text
//! that is parsed, so what is shown is what runs.
//!
//! The URL may hold a password, so it never stands in the text: the text names a variable, and the
//! draft's environment holds it.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tidegate_core::{Address, ChannelId};
use tidegate_sources::{Discovered, Discovery, Kind, LeftOut};

use super::env::Environment;
use super::values;

/// Stands in the text for the URL.
pub const URL_VARIABLE: &str = "TIDEGATE_SOURCE_URL";
/// As long as a name may be.
const NAME_BYTES_MAX: usize = 64;
/// What could not be served has a channel, too.
const DEAD_LETTERS: &str = "dead-letters";

/// A config nobody wrote.
pub struct Draft {
    /// It, as YAML.
    pub text: String,
    /// What the text's variables are.
    pub environment: Environment,
    /// What is not in it.
    pub left_out: Vec<LeftOut>,
}

impl Draft {
    /// Makes a config that serves everything that was discovered behind `url` to whoever may reach
    /// `listen`.
    pub fn new(kind: &Kind, url: &str, discovery: &Discovery, listen: SocketAddr, data: &Path) -> Draft {
        let mut left_out = discovery.left_out.clone();
        let source = source(&database(url).unwrap_or_else(|| kind.name.to_owned()));
        let mut text = format!(
            "listen: {}\nadmin:\n  listen: 127.0.0.1:0\nlog:\n  path: {}\nsources:\n  {source}:\n    kind: {}\n    \
             url: ${{{URL_VARIABLE}}}\n",
            scalar(&listen.to_string()),
            scalar(&data.to_string_lossy()),
            kind.name,
        );
        let schema = (kind.schema)();
        for (name, value) in &discovery.settings {
            setting(&mut text, &schema.as_value()["properties"][name], name, value);
        }
        text.push_str("channels:\n");
        let mut taken = Taken::default();
        for table in &discovery.channels {
            if table.key.iter().chain([&table.table]).any(|name| name.contains(char::is_control)) {
                let why = "a name has control characters, which a config cannot have".to_owned();
                left_out.push(LeftOut { table: table.table.clone(), why, remedy: None });
                continue;
            }
            channel(&mut text, &mut taken, &source, table);
        }
        let name = taken.name(DEAD_LETTERS);
        let address = taken.address(&name, &name);
        // Writing to memory.
        let _ = write!(
            text,
            "  # what can be neither placed nor read, with its reason\n  {name}:\n    address: {address}\n    \
             source: {source}\n    dead_letters: true\n    access: {{ read: \"true\" }}\n"
        );
        Draft { text, environment: Environment::of(&[(URL_VARIABLE, url)]), left_out }
    }
}

fn setting(text: &mut String, schema: &Value, name: &str, value: &str) {
    for line in schema["description"].as_str().unwrap_or_default().lines() {
        let _ = writeln!(text, "    # {line}");
    }
    // The schema says what is a boolean; here it need not look like a text.
    let value = if matches!(value, "true" | "false") { value.to_owned() } else { scalar(value) };
    let _ = writeln!(text, "    {name}: {value}");
}

fn channel(text: &mut String, taken: &mut Taken, source: &str, table: &Discovered) {
    let name = taken.name(&table.name);
    let address = taken.address(&table.address, &name);
    let key = match table.key.as_slice() {
        [only] => scalar(only),
        several => format!("[{}]", several.iter().map(|column| scalar(column)).collect::<Vec<_>>().join(", ")),
    };
    let _ = write!(
        text,
        "  {}:\n    address: {}\n    source: {source}\n    table: {}\n    key: {key}\n    \
         access: {{ read: \"true\" }}\n",
        scalar(&name),
        scalar(&address),
        scalar(&table.table),
    );
}

/// The last segment of the URL's path, where databases are named.
fn database(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (place, name) = rest.split(['?', '#']).next()?.rsplit_once('/')?;
    // With an `@` further on this might be a piece of a password.
    let clear = !name.is_empty() && !name.contains(':') && (place.contains('@') || !rest.contains('@'));
    if !clear {
        return None;
    }
    // An escape is one odd character, like a space.
    let mut pieces = name.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        text.push('-');
        text.push_str(piece.get(2..).unwrap_or_default());
    }
    Some(text)
}

/// A name that stays as it is where things upstream are named after it: without upper case and `-`.
fn source(wanted: &str) -> String {
    let name = Taken::default().name(wanted).replace('-', "_").to_ascii_lowercase();
    if scalar(&name) == name { name } else { format!("{name}_source") }
}

/// Names and addresses that are given away.
#[derive(Default)]
struct Taken {
    names: HashSet<ChannelId>,
    addresses: HashSet<String>,
}

impl Taken {
    /// A name that the config allows, as near to `wanted` as can be, and like no other.
    fn name(&mut self, wanted: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let mut name: String = wanted.chars().map(plain).collect();
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            name.insert_str(0, "table-");
        }
        name.truncate(NAME_BYTES_MAX);
        let name = first_free(&name, NAME_BYTES_MAX, |name| self.names.insert(ChannelId::of(name)));
        debug_assert!(values::name(&name).is_ok(), "{name}");
        name
    }

    /// A literal address, escaped, as near to `wanted` as can be; where none can be, made of the name.
    fn address(&mut self, wanted: &str, name: &str) -> String {
        let address = match Address::from_segments(wanted.split('/')) {
            Ok(address) => address.as_str().to_owned(),
            Err(_) => name.to_owned(),
        };
        first_free(&address, usize::MAX, |address| self.addresses.insert(address.to_owned()))
    }
}

/// `text`, or `text-2`, `text-3`, … cut so that it has at most `bytes_max`.
fn first_free(text: &str, bytes_max: usize, mut take: impl FnMut(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|number| {
        let suffix = format!("-{number}");
        let kept = text.len().min(bytes_max - suffix.len());
        format!("{}{suffix}", &text[..kept])
    });
    let mut candidates = std::iter::once(text.to_owned()).chain(numbered);
    candidates.find(|candidate| take(candidate)).expect("there are more numbers than tables")
}

/// A text as YAML, and safe from variables.
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
    let word = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.' || first == '/');
    // These are other things in some YAML; `:` ends a name only before a space.
    let odd =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if word && !odd && !text.ends_with(':') && text.bytes().all(plain) {
        return text.to_owned();
    }
    let text = text.replace("${", "$${");
    // Single quotes have no escapes, so names that SQL quotes stay as they are.
    if text.contains(['"', '\\']) && !text.contains(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
