//! Broken configs and what people are shown, whole. `TIDEGATE_WRITE=1` writes what is shown now.

use std::path::{Path, PathBuf};

use tidegate_server::config::{Config, Environment};

#[test]
fn mistakes_are_shown_where_they_stand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() > 10, "the cases are gone");
    let environment = Environment::of(&[("SHOP_DB_URL", "postgres://shop")]);
    let mut differing = Vec::new();
    for path in cases {
        let source = std::fs::read_to_string(&path).expect("a config");
        let name = path.file_name().expect("a name").to_string_lossy();
        let report = Config::parse(&name, &source, Path::new(""), &environment).expect_err(&name);
        if !agrees(&path.with_extension("expected"), &report.render(false)) {
            differing.push(name.into_owned());
        }
    }
    assert!(differing.is_empty(), "shown otherwise than expected, see TIDEGATE_WRITE=1: {differing:?}");
}

/// What people copy has to work.
#[test]
fn the_configs_of_the_docs_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let environment = Environment::of(&[
        ("SHOP_DB_URL", "postgres://app@localhost/shop"),
        ("HOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDuVXjZ2mf4tk="),
    ]);
    let mut count = 0;
    for page in ["README.md", "CONTRIBUTING.md", "protocol/PROTOCOL.md", "docs/hooks.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            if block.contains("\nchannels:") {
                count += 1;
                if let Err(report) = Config::parse(page, block, Path::new(""), &environment) {
                    panic!("{report}");
                }
            }
        }
    }
    assert!(count > 0, "the README shows a config");
}

/// Whatever a text holds, it is read or refused, and a refusal can be shown.
#[test]
fn no_text_is_too_odd_to_be_refused() {
    const GOOD: &str = r#"
listen: 127.0.0.1:0
hosts: [a.example]
log: { path: ./d, journal_bytes: 1MiB }
sources:
  host: { kind: system, interval: "${SHOP_DB_URL}" }
  shop: { kind: postgres, url: "postgres://a:b@[::1]:1/c?sslmode=disable", slot_lag_max: 1GiB, temporary: true }
channels:
  machine: { address: "machine/{group}", source: host, key: [name, group], retain: &r { age: 1h } }
  chat: { address: "rooms/{room}/é", access: { read: true }, title: "x", idempotency: { keys: 1k } }
  ticks: { address: "t/{a}/{b}", retain: { <<: *r, bytes: 1GiB } }
  calls: { address: calls, retain: *r }
  orders: { address: "o/{region}", source: shop, table: 's."O p"', key: [a, b], numbers: string }
  lost: { address: lost, source: shop, dead_letters: true }
"#;
    const ODD: &[u8] = b"{}[]:,#&*!|>'\"%@`\\ \t\n\r-?~$ax0\xc3\xff";
    let environment = Environment::of(&[("SHOP_DB_URL", "1s")]);
    assert!(Config::parse("odd.yaml", GOOD, Path::new(""), &environment).is_ok());
    // A fixed sequence, so that a failure comes again; xorshift is random enough for texts.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..5_000 {
        let mut text = GOOD.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = ODD[random(ODD.len())],
                1 => text.insert(at, ODD[random(ODD.len())]),
                _ => drop(text.drain(at..(at + 1 + random(12)).min(text.len()))),
            }
        }
        let text = String::from_utf8_lossy(&text);
        match Config::parse("odd.yaml", &text, Path::new(""), &environment) {
            Ok(_) => read += 1,
            Err(report) => {
                assert!(report.render(true).contains("odd.yaml"));
                refused += 1;
            }
        }
    }
    assert!(read > 100 && refused > 500, "{read} read, {refused} refused");
}

fn agrees(path: &Path, found: &str) -> bool {
    if std::env::var_os("TIDEGATE_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, found).expect("written");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected != found {
        eprintln!("--- {}\nexpected:\n{expected}\nfound:\n{found}", path.display());
    }
    expected == found
}
