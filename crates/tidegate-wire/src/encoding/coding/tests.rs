use std::io::Read;

use flate2::read::GzDecoder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const CODINGS: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Zstd];

/// What a client reads of a body that has come so far.
fn unpack(coding: Coding, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        Coding::Identity => content.extend_from_slice(body),
        Coding::Gzip => {
            let end = GzDecoder::new(body).read_to_end(&mut content);
            assert_eq!(end.expect_err("the member never ends").kind(), std::io::ErrorKind::UnexpectedEof);
        }
        Coding::Zstd => {
            let end = zstd::stream::read::Decoder::new(body).expect("a decoder").read_to_end(&mut content);
            assert_eq!(end.is_err(), body.ends_with(&ZSTD_MAGIC), "whole frames, and the beginning of the next");
        }
    }
    content
}

fn runs() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(7);
    let noise: Vec<u8> = (0..200_000).map(|_| random.random()).collect();
    let line =
        |at: usize| format!("{{\"op\":\"append\",\"data\":{{\"n\":{at},\"text\":\"tide and gate\"}}}}\n").into_bytes();
    let mut runs: Vec<Vec<u8>> = (0..50).map(line).collect();
    runs.extend([
        noise[..3].to_vec(),
        noise[..1_000].to_vec(),
        noise,
        b"a".repeat(1_000_000),
        (0..3_000).flat_map(line).collect(),
    ]);
    runs
}

/// Any run may be the first one, and what is behind a run adds nothing to it.
#[test]
fn a_body_may_begin_and_stop_between_any_two_runs() {
    for coding in CODINGS {
        let runs = runs();
        let packed: Vec<Vec<u8>> = runs.iter().map(|run| coding.pack(run.clone())).collect();
        for from in [0, 1, 49, 50, 52, 54] {
            for to in [from + 1, runs.len()] {
                let body = [coding.head(), &packed[from..to].concat()].concat();
                assert!(unpack(coding, &body) == runs[from..to].concat(), "{coding:?} {from}..{to}");
            }
        }
    }
}

/// What is stored takes its room, and is read as what it is, before any run and after.
#[test]
fn what_is_stored_takes_up_room() {
    for coding in CODINGS {
        for stored in [&b""[..], b":", &b": ".repeat(1_000), &b"0123456789".repeat(30_000)] {
            let body =
                [coding.head(), &coding.pack(b"one".to_vec()), &coding.store(stored), &coding.pack(b"two".to_vec())];
            assert!(body[2].len() >= stored.len());
            assert_eq!(unpack(coding, &body.concat()), [b"one", stored, b"two"].concat());
        }
    }
}

#[test]
fn zstd_ends_with_a_whole_frame() {
    let body = [Coding::Zstd.head(), &Coding::Zstd.pack(b"one".to_vec()), &Coding::Zstd.pack_last(b"two".to_vec())];
    assert_eq!(zstd::stream::decode_all(body.concat().as_slice()).expect("whole frames"), b"onetwo");
}

#[test]
fn a_run_depends_on_nothing_before_it() {
    let run = br#"{"a":1,"b":2}"#.repeat(20);
    for coding in CODINGS {
        let first = coding.pack(run.clone());
        coding.pack(b"something else entirely ".repeat(500));
        assert_eq!(coding.pack(run.clone()), first);
        let elsewhere = run.clone();
        assert_eq!(std::thread::spawn(move || coding.pack(elsewhere)).join().expect("no panic"), first);
    }
}

/// What does not become smaller grows by a bounded little.
#[test]
fn noise_grows_little() {
    let mut random = StdRng::seed_from_u64(8);
    for length in [1usize, 100, 65_000, 1_000_000] {
        let noise: Vec<u8> = (0..length).map(|_| random.random()).collect();
        for coding in CODINGS {
            let grown = coding.pack(noise.clone()).len() - length;
            assert!(grown <= 20 + length / 400, "{coding:?}: {length} bytes grew by {grown}");
        }
    }
}
