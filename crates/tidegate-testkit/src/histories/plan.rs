//! What one history will try, decided by its seed alone.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tidegate_core::{Kind, Scope, Target};

use super::rights::Rights;

/// Segments of the addresses of a history.
pub(super) const PLACES: [&str; 2] = ["a", "b"];
/// The same, for the last segment.
pub(super) const PARTS: [&str; 2] = ["x", "y"];
/// Keys of a history.
pub(super) const KEYS: [&str; 5] = ["k1", "k2", "k3", "k4", "5"];

/// More than a ring and a socket's buffers hold, of payloads of so many bytes: who pauses falls behind.
pub(super) const LARGE: usize = 10_000;

/// One history.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Number of the history over all rounds.
    pub(super) number: u64,
    /// Name of the channel, and first segment of its addresses.
    pub(super) channel: String,
    pub(super) keyed: bool,
    /// The `retain` of the channel.
    pub(super) retain: &'static str,
    /// Whether retention may trim while watchers are on.
    pub(super) trims: bool,
    /// Payloads are filled up to so many bytes.
    pub(super) pad_max: usize,
    pub(super) batches: usize,
    /// The writer waits up to so long between batches.
    pub(super) pace_ms: u64,
    /// `None`: everybody sees everything.
    pub(super) rights: Option<Rights>,
    pub(super) watchers: Vec<Spec>,
}

/// One watcher.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) path: String,
    pub(super) scope: Scope,
    pub(super) kind: Kind,
    pub(super) from: Option<String>,
    pub(super) chain: bool,
    pub(super) forget_at_reset: bool,
    /// It begins after so many batches.
    pub(super) joins_after: usize,
    pub(super) seed: u64,
    /// It keeps to HTTP/2 and lets little come before it has read what came, so that much is between it and the server.
    pub(super) dawdles: bool,
}

impl Plan {
    pub(super) fn new(seed: u64, number: u64) -> Plan {
        let mut rng = rng(seed, number, 0);
        let channel = format!("h{number}");
        let keyed = rng.random_bool(0.75);
        // Retention works on whole segments, so a channel has to bring some bytes to be trimmed.
        let (retain, trims, pad_max, batches) = match rng.random_range(0..10) {
            _ if number % 25 == 7 => ("{ age: 1h }", false, 100_000, 60),
            0 | 1 => ("{ bytes: 64KiB }", true, 6000, 40),
            2 => ("{ age: 1s }", true, 2000, 40),
            _ => ("{ age: 1h }", false, 60, 40),
        };
        let batches = rng.random_range(batches / 2..batches * 3 / 2);
        let watchers =
            (1..=rng.random_range(3..6)).map(|at| Spec::new(&channel, keyed, batches, self::rng(seed, number, at)));
        // Large values pass a small window so slowly that nobody would catch up.
        let watchers = watchers.map(|spec| Spec { dawdles: spec.dawdles && pad_max <= LARGE, ..spec });
        let watchers = watchers.collect();
        let pace_ms = if pad_max > LARGE { 30 } else { rng.random_range(20..240) };
        let mut own = self::rng(seed, number, 500);
        let rights = own.random_bool(0.6).then(|| Rights::random(keyed, &mut own));
        Plan { number, rights, keyed, retain, trims, pad_max, batches, pace_ms, watchers, channel }
    }

    /// The channel's lines of the config; `otherwise`: the same in other words.
    pub(super) fn config(&self, otherwise: bool) -> String {
        let key = if self.keyed { "    key: id\n    items: { lines: sku }\n" } else { "" };
        let access = match &self.rights {
            Some(rights) => rights.access(otherwise),
            None => "{ read: \"true\", publish: \"true\" }".to_owned(),
        };
        format!(
            "  {0}:\n    address: {0}/{{place}}/{{part}}\n{key}    retain: {1}\n    access: {access}\n",
            self.channel, self.retain
        )
    }
}

impl Spec {
    fn new(channel: &str, keyed: bool, batches: usize, mut rng: StdRng) -> Spec {
        let place = *["*", "*", "a", "b"].choose(&mut rng).expect("some");
        let part = *["*", "x", "y"].choose(&mut rng).expect("some");
        let path = format!("{channel}/{place}/{part}");
        let key = (keyed && rng.random_bool(0.25)).then(|| (*KEYS.choose(&mut rng).expect("some")).into());
        let kind = if keyed && rng.random_bool(0.65) { Kind::State } else { Kind::History };
        let from = ["start", "start", "now"].choose(&mut rng).map(|from| (*from).to_owned());
        Spec {
            scope: Scope { target: Target::parse(&path).expect("an address or pattern"), key },
            path,
            kind,
            from: from.filter(|_| kind == Kind::History),
            chain: rng.random_bool(0.6),
            forget_at_reset: rng.random_bool(0.3),
            joins_after: if rng.random_bool(0.5) { 0 } else { rng.random_range(0..batches) },
            seed: rng.random(),
            dawdles: rng.random_bool(0.2),
        }
    }
}

/// A generator of its own for each part of each history, so that a part can change alone.
pub(super) fn rng(seed: u64, number: u64, part: u64) -> StdRng {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03) ^ (part << 48);
    StdRng::seed_from_u64(mixed)
}
