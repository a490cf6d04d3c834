use schemars::json_schema;
use tidegate_sources::{DiscoverError, SettingError};

use super::*;

const KIND: Kind = Kind {
    name: "shelf",
    about: "",
    schema: || json_schema!({ "properties": { "brief": { "description": "Leaves nothing behind;\nreads anew." } } }),
    configure: |_| Err(SettingError { field: "url", what: String::new(), help: String::new() }),
    members: &[],
    tables: true,
    schemes: &["shelf"],
    discover: |_| Err(DiscoverError { what: String::new(), help: None }),
};

fn table(name: &str, key: &[&str]) -> Discovered {
    Discovered {
        name: name.replace('/', "."),
        address: name.to_owned(),
        table: format!("public.\"{}\"", name.replace('"', "\"\"")),
        key: key.iter().map(|column| (*column).to_owned()).collect(),
    }
}

fn draft(url: &str, channels: Vec<Discovered>) -> Draft {
    let settings = vec![("brief".to_owned(), "true".to_owned())];
    let discovery = Discovery { settings, channels, ..Discovery::default() };
    Draft::new(&KIND, url, &discovery, ([127, 0, 0, 1], 8080).into(), Path::new("./my data"))
}

#[test]
fn a_draft_is_what_a_person_would_write() {
    let draft = draft(
        "shelf://app:secret@db/shop?x=1",
        vec![table("orders", &["id"]), table("sales/items", &["order id", "line"])],
    );
    assert_eq!(
        draft.text,
        r#"listen: 127.0.0.1:8080
admin:
  listen: 127.0.0.1:0
log:
  path: "./my data"
sources:
  shop:
    kind: shelf
    url: ${TIDEGATE_SOURCE_URL}
    # Leaves nothing behind;
    # reads anew.
    brief: true
channels:
  orders:
    address: orders
    source: shop
    table: 'public."orders"'
    key: id
    access: { read: "true" }
  sales-items:
    address: sales/items
    source: shop
    table: 'public."sales/items"'
    key: ["order id", line]
    access: { read: "true" }
  # what can be neither placed nor read, with its reason
  dead-letters:
    address: dead-letters
    source: shop
    dead_letters: true
    access: { read: "true" }
"#
    );
}

#[test]
fn every_table_gets_a_name_and_an_address_of_its_own() {
    let mut taken = Taken::default();
    let mut give = |name: &str, address: &str| {
        let name = taken.name(name);
        let address = taken.address(address, &name);
        format!("{name} at {address}")
    };
    assert_eq!(give("orders", "orders"), "orders at orders");
    assert_eq!(give("a.b", "a/b"), "a-b at a/b");
    assert_eq!(give("a-b", "a-b"), "a-b-2 at a-b");
    assert_eq!(give("a/b", "a/b"), "a-b-3 at a/b-2");
    assert_eq!(give("_jobs", "_jobs"), "table-_jobs at table-_jobs");
    assert_eq!(give("2fa", "2fa"), "table-2fa at 2fa");
    assert_eq!(give("Straße", "Straße"), "Stra-e at Stra%C3%9Fe");
    assert_eq!(give("{x}", "{x}"), "table--x- at %7Bx%7D");
    assert_eq!(give("*", "*"), "table-- at %2A");
    assert_eq!(give("..", ".."), "table--- at table---");
    let long = "x".repeat(63);
    assert_eq!(give(&format!("{long}.{long}"), &format!("{long}/{long}")), format!("{long}- at {long}/{long}"));
    assert_eq!(
        give(&format!("{long}.y"), &format!("{long}/y")),
        format!("{long}-2 at {long}/y").replacen("x-2", "-2", 1)
    );
}

#[test]
fn texts_are_quoted_where_yaml_would_read_something_else() {
    for plain in ["orders", "public.orders", "./data", "127.0.0.1:8080"] {
        assert_eq!(scalar(plain), plain);
    }
    assert_eq!(scalar("[::1]:0"), r#""[::1]:0""#);
    assert_eq!(scalar("a: b"), r#""a: b""#);
    assert_eq!(scalar("No"), r#""No""#);
    assert_eq!(scalar("-"), r#""-""#);
    assert_eq!(scalar(r#"public."It's""#), r#"'public."It''s"'"#);
    assert_eq!(scalar("a${b}"), r#""a$${b}""#);
}

#[test]
fn the_source_is_named_after_the_database() {
    let name = |url: &str| database(url);
    assert_eq!(name("shelf://app:secret@db/shop?x=/y").as_deref(), Some("shop"));
    assert_eq!(name("shelf://db/shop").as_deref(), Some("shop"));
    assert_eq!(source("My-Shop"), "my_shop");
    assert_eq!(source("true"), "true_source");
    assert_eq!(name("shelf://db/my%20shop").as_deref(), Some("my-shop"));
    for without in ["shelf://db", "shelf://db/", "shelf://a:se/cret?x@db/shop", "shelf"] {
        assert_eq!(name(without), None, "{without}");
    }
}

/// What is printed is what runs, so all of it has to be read as it was meant.
#[cfg(feature = "postgres")]
#[test]
fn every_draft_is_read() {
    let odd = [
        "a b",
        "${HOME}",
        "x\"y",
        "it's: {odd}, #1",
        "-",
        "*",
        "..",
        "null",
        "ÄÖ",
        "_v",
        "9",
        "a\\b",
        "%41",
        "dead-letters",
    ];
    let tables: Vec<Discovered> = odd.iter().map(|name| table(name, &["true", name])).collect();
    let url = "postgres://app:${HOME}@db/my%20shop";
    let discovery = Discovery {
        settings: vec![("temporary".to_owned(), "true".to_owned())],
        channels: [tables.clone(), vec![table("bell\u{7}", &["id"])]].concat(),
        ..Discovery::default()
    };
    let kind = Kind::of_url(url).expect("a kind");
    let draft = Draft::new(kind, url, &discovery, ([127, 0, 0, 1], 0).into(), Path::new("/tmp/a b"));
    let read = crate::config::Config::parse("draft", &draft.text, Path::new("."), &draft.environment);
    let config = read.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.log.path, Path::new("/tmp/a b"));
    assert_eq!(draft.left_out.iter().map(|left| left.table.as_str()).collect::<Vec<_>>(), ["public.\"bell\u{7}\""]);
    let (dead_letters, channels) = config.channels.split_last().expect("channels");
    assert!(dead_letters.dead_letters && dead_letters.name == "dead-letters-2");
    assert_eq!(channels.len(), tables.len());
    for (channel, table) in channels.iter().zip(&tables) {
        assert_eq!(channel.table.as_ref(), Some(&table.table));
        let key = channel.key.as_ref().expect("a key");
        assert!(key.fields().eq(table.key.iter().map(String::as_str)), "{key:?}");
    }
    assert!(!draft.text.contains("app:"), "{}", draft.text);
}
