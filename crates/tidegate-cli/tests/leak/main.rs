//! Nothing is left of connections that were cut: SSE, NDJSON, WebSockets, many watches on one, long
//! polls and HTTP/2, plain and over TLS, each cut at a random point of its life, while events are
//! published; again and again the servers are asked what they still hold.
//!
//! `TIDEGATE_LEAK_CONNECTIONS` and `TIDEGATE_SEED` say how many, and which; the soak cuts 1,000,000.

mod client;
mod crowd;
mod gate;
mod request;

use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::crowd::Crowd;
use crate::gate::Gate;

/// Connections of one round. After the first the servers are warm: code is read in, arenas have
/// grown, and what is open and held then is what has to come back after each.
const ROUND_MAX: usize = 100_000;
/// What both servers together may have grown by after the first round of so many connections: what
/// their allocators make of them, at most 4 bytes for each. The smallest allocation kept of each of a
/// million would be 14 MiB. After short rounds servers still grow into their memory, by half of this.
const GROWTH_BYTES_MAX: i64 = 8 * 1024 * 1024;

#[test]
fn nothing_is_left_of_connections_that_were_cut() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let connections = number("TIDEGATE_LEAK_CONNECTIONS").unwrap_or(5_000) as usize;
    let seed = number("TIDEGATE_SEED").unwrap_or_else(rand::random);
    let rounds = connections.div_ceil(ROUND_MAX).max(2);
    let round = connections / rounds;
    println!("{rounds} rounds of {round} connections, seed {seed}");

    let mut gates = [Gate::plain(), Gate::encrypted()];
    let mut crowd = Crowd::new(StdRng::seed_from_u64(seed));
    let mut files: Vec<Vec<String>> = Vec::new();
    let mut pss: Vec<i64> = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        crowd.cut(&mut gates, round);
        let rate = round as f64 / began.elapsed().as_secs_f64();
        match files.is_empty() {
            true => files = gates.iter().map(Gate::settled_files).collect(),
            false => gates.iter().zip(&files).for_each(|(gate, files)| gate.settle(files)),
        }
        let now = gates.iter().map(Gate::pss_bytes).sum::<u64>() as i64;
        let growth = pss.last().map_or(0, |before| now - before);
        println!("{round} cut, {rate:.0}/s; Pss {} KiB, {:+} KiB", now / 1024, growth / 1024);
        pss.push(now);
    }
    println!("{crowd}");

    let growth = pss[rounds - 1] - pss[0];
    println!(
        "after the first round: Pss {:+} KiB; files, watches, tails, memory held for clients: as before",
        growth / 1024
    );
    assert!(growth <= GROWTH_BYTES_MAX, "the servers have grown by {growth} bytes, seed {seed}: {pss:?}");
    crowd.has_seen_everything();
}
