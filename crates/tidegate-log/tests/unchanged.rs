//! What is kept of a read holds for as long as the log says that nothing came since: it must never say
//! so where something did, and it says so where memory shows that nothing did.

mod common;

use common::{ALL, append, batch, clear, delete, gap, notice, scope, upsert};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_core::{Offset, Scope};
use tidegate_log::{Channel, ChannelSpec, Log, Options, Retain};

const STEPS: usize = 600;
const SCOPES: [(&str, Option<&str>); 5] =
    [("a/0", None), ("a/0", Some("1")), ("a/1", None), ("a/*", None), ("a/*", Some("0"))];
const CHANNELS: [&str; 4] = ["kept", "kept-plain", "ring", "ring-plain"];

fn open(folder: &tempfile::TempDir) -> Log {
    let ephemeral = Retain { ephemeral: true, ..Retain::default() };
    let specs = vec![
        ChannelSpec::keyed("kept"),
        ChannelSpec::plain("kept-plain"),
        ChannelSpec { retain: ephemeral, ..ChannelSpec::keyed("ring") },
        ChannelSpec { retain: ephemeral, ..ChannelSpec::plain("ring-plain") },
    ];
    Log::open(Options::new(folder.path()), specs).expect("the log opens")
}

fn scopes() -> impl Iterator<Item = Scope> {
    SCOPES.into_iter().map(|(target, key)| Scope { key: key.map(Into::into), ..scope(target) })
}

/// What a read from there would bring.
fn later(channel: &Channel, after: Offset, scope: &Scope) -> usize {
    channel.read(after, Offset::MAX, scope, ALL).map_or(usize::MAX, |page| page.records.len())
}

#[test]
fn it_is_said_exactly_when_nothing_came() {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TIDEGATE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    // The head of each channel when the log was drained.
    let mut drained = [0; CHANNELS.len()];
    let mut said = [0; 2];
    for step in 0..STEPS {
        for name in CHANNELS {
            let (at, key) = (format!("a/{}", random.random_range(0..6)), random.random_range(0..4).to_string());
            let entry = match random.random_range(0..100) {
                0 if !name.ends_with("plain") => clear(name),
                1 => gap(name),
                2 => notice(name, step as u64),
                3..20 if !name.ends_with("plain") => delete(name, &at, &key),
                _ if name.ends_with("plain") => append(name, &at, "1"),
                _ => upsert(name, &at, &key, "1"),
            };
            log.append(batch([entry])).expect("appended");
        }
        if step % 150 == 149 {
            log.drain_now().expect("drained");
            drained = CHANNELS.map(|name| log.channel(name).expect("a channel").head());
        }
        for (name, drained) in CHANNELS.into_iter().zip(drained) {
            let channel = log.channel(name).expect("a channel");
            let after = random.random_range(0..=channel.head());
            for scope in scopes() {
                let unchanged = channel.unchanged(after, &scope);
                let came = later(&channel, after, &scope);
                let memory_says = after == channel.head() || channel.ephemeral() || after >= drained;
                assert_eq!(unchanged, (came == 0 && memory_says).then_some(channel.head()), "{name} {after} {scope:?}");
                said[usize::from(unchanged.is_some())] += 1;
            }
        }
    }
    assert!(said[0] > STEPS && said[1] > STEPS, "{said:?}");
}

#[test]
fn a_long_time_ago_is_not_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    for name in ["kept", "ring"] {
        let channel = log.channel(name).expect("a channel");
        log.append(batch((0..1_024).map(|_| upsert(name, "a/1", "0", "1")))).expect("appended");
        assert_eq!(channel.unchanged(0, &scope("b/*")), Some(1_024), "{name}");
        log.append(batch([upsert(name, "a/1", "0", "1")])).expect("appended");
        assert_eq!(channel.unchanged(0, &scope("b/*")), None, "{name}");
        assert_eq!(channel.unchanged(1, &scope("b/*")), Some(1_025), "{name}");
        assert_eq!(channel.unchanged(0, &scope("a/*")), None, "{name}");
    }
}

/// A row in memory needs no disk; one that was drained does.
#[test]
fn a_row_in_memory_is_found_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    let channel = log.channel("kept").expect("a channel");
    let hot = |key: &str| channel.row_hot(&common::address("a/0"), key);
    log.append(batch([upsert("kept", "a/0", "0", "7"), upsert("kept", "a/0", "1", "8"), delete("kept", "a/0", "1")]))
        .expect("appended");
    let (row, at) = hot("0").expect("in memory");
    assert_eq!((row.map(|row| row.data), at), (Some("7".into()), 3));
    assert_eq!(hot("1"), Some((None, 3)));
    assert_eq!(hot("2"), None);
    log.drain_now().expect("drained");
    assert_eq!(hot("0"), None);
    log.append(batch([clear("kept")])).expect("cleared");
    assert_eq!(hot("0"), Some((None, 4)));
    assert_eq!(log.channel("kept-plain").expect("a channel").row_hot(&common::address("a/0"), "0"), None);
}
