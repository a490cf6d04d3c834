use std::path::Path;

use flate2::{Compress, Compression, FlushCompress};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

const ROUNDS: usize = 4_000;

fn seeded() -> StdRng {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// A frame that is likely to be one: what is random all over ends at its second byte.
fn frame(random: &mut StdRng, out: &mut Vec<u8>) {
    let mut payload: Vec<u8> = match random.random_range(0..4) {
        0 => Vec::new(),
        1 => "é{\"do\":\"ping\"}".repeat(random.random_range(0..30)).into_bytes(),
        _ => (0..random.random_range(0..300)).map(|_| random.random()).collect(),
    };
    let mut first = *[0x81, 0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x8a].choose(random).expect("some");
    if random.random_bool(0.5) {
        first |= 0x40;
        let mut deflated = Vec::with_capacity(1024 + payload.len());
        let mut deflater = Compress::new(Compression::fast(), false);
        deflater.compress_vec(&payload, &mut deflated, FlushCompress::Sync).expect("there is room");
        payload = deflated;
    }
    if first & 0x08 != 0 {
        payload.truncate(random.random_range(0..=126));
    }
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    let mask: [u8; 4] = random.random();
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[test]
fn frames_mean_the_same_however_they_are_cut_and_damaged() {
    let mut random = seeded();
    for _ in 0..ROUNDS {
        let mut bytes = vec![random.random(), random.random()];
        for _ in 0..random.random_range(1..6) {
            frame(&mut random, &mut bytes);
        }
        if random.random_bool(0.5) {
            let at = random.random_range(2..bytes.len());
            bytes[at] = random.random();
        }
        client_frames(&bytes);
    }
}

#[test]
fn extension_offers_mean_the_same_when_they_are_written_again() {
    const PARTS: [&str; 12] =
        ["permessage-deflate", "server_max_window_bits", "=", "\"", "\\", ";", ",", " ", "12", "\t", "é", "a"];
    let mut random = seeded();
    for _ in 0..ROUNDS {
        let parts = (0..random.random_range(0..12)).map(|_| *PARTS.choose(&mut random).expect("some"));
        extension_offers(parts.collect::<String>().as_bytes());
    }
}

/// What fuzzing found, and what it starts from.
#[test]
fn the_corpus_holds() {
    for (name, target) in
        [("client_frames", client_frames as fn(&[u8])), ("extension_offers", extension_offers as fn(&[u8]))]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(folder).expect("a corpus").map(|file| file.expect("a file")).collect();
        assert!(files.len() > 5, "{name} has {} files", files.len());
        for file in files {
            target(&std::fs::read(file.path()).expect("a file"));
        }
    }
}
