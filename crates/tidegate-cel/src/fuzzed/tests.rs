use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

const ROUNDS: usize = 20_000;

/// Pieces of CEL in any order; most of it is none, and some of it is.
const PIECES: [&str; 44] = [
    "data",
    ".a",
    ".b",
    "[0]",
    "[\"a\"]",
    "key",
    "time",
    "params.region",
    "op",
    "1",
    "-1",
    "2u",
    "1.5",
    "'a'",
    "\"\"",
    "b'\\xff'",
    "true",
    "null",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "==",
    "<",
    " in ",
    "+",
    "-",
    "*",
    ".size()",
    ".all(x,",
    ".map(x,",
    "x",
    "has(",
    "string(",
    "timestamp('2024-01-01T00:00:00Z')",
    "dyn(",
];

#[test]
fn pieces_of_cel_in_any_order() {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..ROUNDS {
        let pieces = (0..random.random_range(1..12)).map(|_| *PIECES.choose(&mut random).expect("some"));
        let mut bytes = pieces.collect::<String>().into_bytes();
        bytes.extend_from_slice(b"\0{\"a\":[1,{\"a\":\"a\"}],\"b\":1.5}");
        if random.random_bool(0.2) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        expressions(&bytes);
    }
}

/// What fuzzing found, and what it starts from.
#[test]
fn the_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/expressions");
    let files: Vec<_> = std::fs::read_dir(folder).expect("a corpus").map(|file| file.expect("a file")).collect();
    assert!(files.len() > 5, "there are {} files", files.len());
    for file in files {
        expressions(&std::fs::read(file.path()).expect("a file"));
    }
}
