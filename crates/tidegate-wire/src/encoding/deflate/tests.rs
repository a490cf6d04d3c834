use flate2::{Decompress, FlushDecompress};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// First byte and payload of the one frame that a text becomes.
fn frame(text: &[u8]) -> (u8, Vec<u8>) {
    let mut out = b"before".to_vec();
    write(|room| room.extend_from_slice(text), &mut out);
    let bytes = out.strip_prefix(b"before").expect("what was there stays");
    let (header, length) = match bytes[1] {
        126 => (4, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => (10, u64::from_be_bytes(bytes[2..10].try_into().expect("eight"))),
        short => (2, u64::from(short)),
    };
    assert_eq!(bytes.len() as u64, header as u64 + length);
    (bytes[0], bytes[header..].to_vec())
}

/// Inflates as a client with the agreed window does: it holds no more than that of what it wrote.
fn inflate(payload: &[u8]) -> Vec<u8> {
    let input = [payload, &TAIL].concat();
    let mut inflater = Decompress::new_with_window_bits(false, DEFLATE_WINDOW_BITS);
    let mut content = Vec::new();
    let mut piece = [0; 64];
    loop {
        let (taken, made) = (inflater.total_in() as usize, inflater.total_out());
        inflater.decompress(&input[taken..], &mut piece, FlushDecompress::Sync).expect("inflates");
        let fresh = (inflater.total_out() - made) as usize;
        content.extend_from_slice(&piece[..fresh]);
        if fresh < piece.len() && inflater.total_in() == input.len() as u64 {
            return content;
        }
    }
}

#[test]
fn what_is_deflated_is_inflated_to_the_same_by_a_client_with_a_small_window() {
    let mut random = StdRng::seed_from_u64(7);
    let noise: Vec<u8> = (0..6_000).map(|_| random.random_range(b' '..b'~')).collect();
    let event = format!(r#"{{"op":"append","address":"rooms/a","data":{{"text":"{}"}}}}"#, "tide and gate ".repeat(40));
    for text in [
        event.clone().into_bytes(),
        event.repeat(10).into_bytes(),
        // Repeats at a distance that the window does not reach, and one that it does.
        noise.repeat(3),
        noise[..3_000].repeat(3),
        vec![b'a'; 1024 * 1024],
        event.repeat(3_000).into_bytes(),
    ] {
        let (first, payload) = frame(&text);
        assert_eq!(first, 0xc1, "{} bytes", text.len());
        assert!(payload.len() < text.len());
        assert!(inflate(&payload) == text, "{} bytes", text.len());
    }
}

/// No context is taken over: a message is the same whatever came before it.
#[test]
fn a_message_depends_on_nothing_before_it() {
    let text = br#"{"a":1,"b":2}"#.repeat(20);
    let first = frame(&text);
    frame(&b"something else entirely ".repeat(500));
    assert_eq!(frame(&text), first);
    assert_eq!(std::thread::spawn(move || frame(&text)).join().expect("no panic"), first);
}

#[test]
fn small_messages_and_those_that_would_grow_go_as_they_are() {
    let small = vec![b'a'; DEFLATE_BYTES_MIN - 1];
    assert_eq!(frame(&small), (0x81, small));
    let enough = vec![b'a'; DEFLATE_BYTES_MIN];
    assert_eq!(frame(&enough).0, 0xc1);
    let mut random = StdRng::seed_from_u64(8);
    for length in [DEFLATE_BYTES_MIN, 200, 70_000] {
        let noise: Vec<u8> = (0..length).map(|_| random.random()).collect();
        assert_eq!(frame(&noise), (0x81, noise));
    }
}
