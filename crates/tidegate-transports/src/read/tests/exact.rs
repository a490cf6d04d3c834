//! Never stale: byte for byte what a read would give, and for who asks while others write, a state
//! between the question and the answer.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

use super::*;

pub(super) const CHANGES: usize = 1_500;
const ASKED: [&str; 14] = [
    "rows/0",
    "rows/0?key=1",
    "rows/1?limit=1",
    "rows/*",
    "rows/*?key=0",
    "rows/*?limit=2",
    "ring/0",
    "ring/1?key=0",
    "ring/*",
    "events/0",
    "events/0?limit=3&chain=true",
    "events/*?limit=2",
    "ring-events/0",
    "ring-events/*?limit=3",
];
/// As many addresses as are read, and some that are not.
const ADDRESSES: usize = 4;

/// Whatever happens to the log: what is answered is, to the byte, what a read gives then.
#[tokio::test]
async fn what_is_kept_is_what_would_be_read() {
    let mut random = seeded();
    let rig = Rig::new(64 * MIB);
    for step in 0..CHANGES {
        change(&rig, &mut random, step);
        for _ in 0..4 {
            let url = ASKED[random.random_range(0..ASKED.len())];
            let (answered, read) = (rig.get(url).await, rig.reading(url).read().await.expect("read"));
            assert_eq!(shown(&answered), shown(&read), "{url} at step {step}");
        }
    }
    let figures = rig.gateway.answers.figures();
    assert!(figures.kept > CHANGES as u64 && figures.read > CHANGES as u64 / 4, "{figures:?}");
}

/// The numbers of a run, which `TIDEGATE_SEED` repeats.
pub(super) fn seeded() -> StdRng {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TIDEGATE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

pub(super) fn change(rig: &Rig, random: &mut StdRng, step: usize) {
    let (channel, _, key, _) = CHANNELS[random.random_range(0..CHANNELS.len())];
    let at = format!("{channel}/{}", random.random_range(0..ADDRESSES));
    let row = random.random_range(0..3).to_string();
    // Rings hold 1 MiB of this: they are trimmed, time and again.
    let data = format!("{{\"step\":{step},\"pad\":\"{}\"}}", "x".repeat(random.random_range(0..16 * 1024)));
    match (random.random_range(0..60), key.is_empty()) {
        (0, _) => rig.log.drain_now().expect("drained"),
        (1, _) => rig.append(channel, Op::Gap, "lost", None, String::new()),
        (2, false) => rig.append(channel, Op::Clear, "cleared", None, String::new()),
        (3..15, false) => rig.append(channel, Op::Delete, &at, Some(&row), String::new()),
        (_, false) => rig.append(channel, Op::Upsert, &at, Some(&row), data),
        (_, true) => rig.append(channel, Op::Append, &at, None, data),
    }
}

/// All that a client sees of it.
pub(super) fn shown(made: &Made) -> String {
    let body = String::from_utf8_lossy(&made.body);
    format!("{:?} at {} {:?} {:?} next {:?} {body}", made.what, made.at, made.cursor, made.etag, made.next)
}

/// Every third version of a row is its deletion.
fn deletes(version: u64) -> bool {
    version.is_multiple_of(3)
}

/// Writers of a row each, and readers of these rows, one by one and all together: nobody sees less than
/// what was durable when it asked, nor more than what was written when it was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_sees_what_was_written_before() {
    const VERSIONS: u64 = 400;
    const READERS: usize = 8;
    let rig = Arc::new(Rig::new(64 * MIB));
    for channel in ["rows", "ring"] {
        let rows: Arc<Vec<[AtomicU64; 2]>> = Arc::new((0..3).map(|_| Default::default()).collect());
        let writers: Vec<_> = (0..rows.len())
            .map(|row| {
                let (rig, rows) = (rig.clone(), rows.clone());
                tokio::task::spawn_blocking(move || {
                    let [begun, durable] = &rows[row];
                    for version in 1..=VERSIONS {
                        begun.store(version, Ordering::SeqCst);
                        let (at, data) = (format!("{channel}/{row}"), version.to_string());
                        match deletes(version) {
                            true => rig.append(channel, Op::Delete, &at, Some("k"), String::new()),
                            false => rig.append(channel, Op::Upsert, &at, Some("k"), data),
                        }
                        durable.store(version, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (rig, rows) = (rig.clone(), rows.clone());
                tokio::spawn(async move {
                    let mut turn = reader;
                    while rows.iter().any(|[_, durable]| durable.load(Ordering::SeqCst) < VERSIONS) {
                        turn += 1;
                        let row = turn % rows.len();
                        let query = if turn % 2 == 0 { "?key=k" } else { "" };
                        let least = rows[row][1].load(Ordering::SeqCst);
                        let made = rig.get(&format!("{channel}/{row}{query}")).await;
                        let most = rows[row][0].load(Ordering::SeqCst);
                        let seen = version(&made);
                        let fits = |version| match seen {
                            Some(seen) => seen == version,
                            None => deletes(version),
                        };
                        assert!((least..=most).any(fits), "{channel}/{row}: {seen:?} is not in {least}..={most}");
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in writers.into_iter().chain(readers) {
            task.await.expect("a task");
        }
        // A tag that was too old for its rows for a moment has not been kept.
        for url in (0..rows.len()).map(|row| format!("{channel}/{row}")) {
            assert_eq!(shown(&*rig.get(&url).await), shown(&rig.reading(&url).read().await.expect("read")));
        }
    }
}

/// The version of the one row in it.
fn version(made: &Made) -> Option<u64> {
    match serde_json::from_slice(&made.body).expect("JSON") {
        serde_json::Value::Number(version) => version.as_u64(),
        body => body["rows"][0]["data"].as_u64(),
    }
}
