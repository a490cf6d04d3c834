use std::time::Duration;

use tidegate_hub::{Access, History, Policy};

use super::*;

fn parse(source: &str) -> Config {
    let environment = Environment::of(&[("ROOMS", "rooms")]);
    match Config::parse("tidegate.yaml", source, Path::new("/etc/tidegate"), &environment) {
        Ok(config) => config,
        Err(report) => panic!("{report}"),
    }
}

#[test]
fn a_small_config_has_all_defaults() {
    let config = parse("channels:\n  chat: { address: a }\n");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:8081");
    assert_eq!(config.heartbeat, Duration::from_secs(15));
    assert_eq!(config.log.path, Path::new("/etc/tidegate/./tidegate-data"));
    assert_eq!((config.log.journal_bytes, config.log.segment_bytes), (64 << 20, 128 << 20));
    let chat = &config.channels[0];
    assert_eq!(chat.access, Access::default());
    assert_eq!(chat.retain, Retain::Within { age: Some(Duration::from_secs(7 * 86_400)), bytes: Some(1 << 30) });
    assert_eq!((chat.idempotency_age, chat.idempotency_keys), (Duration::from_secs(600), 1_000_000));
    assert_eq!(chat.batch_bytes_max, 8 << 20);
}

#[test]
fn every_field_is_read() {
    let config = parse(
        r#"
listen: "[::1]:0"
admin: { listen: 127.0.0.1:0 }
hosts: [Live.example.org]
origins: [https://app.example.org]
heartbeat: 5s
log: { path: /var/lib/tidegate, journal_bytes: 1MiB, segment_bytes: 2MiB }
sources:
  host: { kind: system, interval: 250ms }
channels:
  machine:
    address: machine/{group}
    title: This machine
    source: host
    key: name
    retain: { age: 1h, bytes: 64MiB }
    access: { read: true }
    idempotency: { age: 1h, keys: 10k }
    batch_bytes_max: 64KiB
  chat:
    address: ${ROOMS}/{room}/messages
    key: [from, id]
    access: { read: "true", publish: "true" }
  ticks:
    address: ticks/{symbol}
    retain: none
"#,
    );
    assert_eq!(config.hosts, ["live.example.org"]);
    assert_eq!(config.origins, ["https://app.example.org"]);
    assert_eq!(config.log.path, Path::new("/var/lib/tidegate"));
    assert_eq!(format!("{:?}", config.sources[0].source), "System { interval: 250ms }");
    let [machine, chat, ticks] = config.channels.as_slice() else { panic!("three channels") };
    assert_eq!(machine.source.as_deref(), Some("host"));
    assert_eq!(machine.access, Access { read: Policy::Always, ..Access::default() });
    assert_eq!(chat.address.as_str(), "rooms/{room}/messages");
    assert_eq!(chat.key.as_ref().map(|key| key.fields().collect()), Some(vec!["from", "id"]));
    assert_eq!(ticks.retain, Retain::None);
}

#[test]
fn policies_are_read_and_those_that_are_never_true_are_told() {
    let config = parse(
        r#"
channels:
  orders:
    address: orders/{org}
    key: id
    access:
      read: claims.org == params.org
      publish: '"clerk" in claims.roles && data.total < 1000'
      history: 7d
      rows: data.owner == claims.sub || claims.admin
      mask: [ssn, pay.iban]
  dead:
    address: dead/{org}
    access: { read: 'params.org == "a" && params.org == "b"', history: false, rows: "true" }
"#,
    );
    let [orders, dead] = config.channels.as_slice() else { panic!("two channels") };
    let Access { read, history, rows, mask, .. } = &orders.access;
    let text = |policy: &Policy| match policy {
        Policy::When(expression) => expression.canonical().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(
        (text(read), text(rows)),
        ("claims.org==params.org".to_owned(), "claims.sub==data.owner||claims.admin".to_owned())
    );
    assert_eq!(*history, History::Within(Duration::from_secs(7 * 86_400)));
    assert_eq!(mask.as_ref().map(|mask| mask.as_str()), Some("pay.iban,ssn"));
    assert!(orders.access_warnings.is_empty(), "{:?}", orders.access_warnings);
    assert_eq!((&dead.access.read, &dead.access.history), (&Policy::Never, &History::Nothing));
    assert!(dead.access_warnings[0].contains("can never be true"), "{:?}", dead.access_warnings);
}
