use super::*;

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn all(bytes: &[u8], step: usize) -> Result<Vec<Message>, Violation> {
    decoded(Decoder::new(false), bytes, step)
}

fn decoded(mut decoder: Decoder, bytes: &[u8], step: usize) -> Result<Vec<Message>, Violation> {
    let mut messages = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.push(piece);
        while let Some(message) = decoder.next()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn messages_come_whole_however_they_are_cut() {
    let long = "é".repeat(40_000);
    let bytes = [
        masked(0x01, "he".as_bytes()),
        masked(0x89, b"ping"),
        masked(0x80, "llo".as_bytes()),
        masked(0x81, long.as_bytes()),
        masked(0x82, &[0; 200]),
        masked(0x88, &1000u16.to_be_bytes()),
    ]
    .concat();
    for step in [1, 2, 7, 4096, bytes.len()] {
        let messages = all(&bytes, step).expect("valid");
        let wanted = [
            Message::Ping(b"ping".to_vec()),
            Message::Text("hello".into()),
            Message::Text(long.clone()),
            Message::Binary,
            Message::Close(Some(1000)),
        ];
        assert_eq!(messages, wanted, "step {step}");
    }
}

#[test]
fn violations_are_named() {
    let code = |bytes: &[u8]| all(bytes, 3).expect_err("refused").code;
    assert_eq!(code(&[0x81, 0x01, b'a']), 1002, "unmasked");
    assert_eq!(code(&masked(0xc1, b"a")), 1002, "reserved bit");
    assert_eq!(code(&masked(0x80, b"a")), 1002, "continuation of nothing");
    assert_eq!(code(&[masked(0x01, b"a"), masked(0x81, b"b")].concat()), 1002, "message within a message");
    assert_eq!(code(&masked(0x09, b"a")), 1002, "fragmented ping");
    assert_eq!(code(&masked(0x89, &[0; 126])), 1002, "long ping");
    assert_eq!(code(&masked(0x83, b"")), 1002, "opcode 3");
    assert_eq!(code(&masked(0x88, &[0])), 1002, "close of one byte");
    assert_eq!(code(&masked(0x88, &1005u16.to_be_bytes())), 1002, "close code that is never sent");
    assert_eq!(code(&masked(0x81, b"\xff")), 1007, "not UTF-8");
    let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(code(&huge), 1009, "announced too large");
    let piece = masked(0x01, &[b'a'; MESSAGE_BYTES_MAX]);
    assert_eq!(code(&[piece, masked(0x00, b"a")].concat()), 1009, "grown too large");
}

/// A message as a client deflates it: without the tail.
fn deflated(content: &[u8], flush: flate2::FlushCompress) -> Vec<u8> {
    let mut deflater = flate2::Compress::new(flate2::Compression::default(), false);
    let mut bytes = Vec::with_capacity(content.len() + 1024);
    deflater.compress_vec(content, &mut bytes, flush).expect("deflates");
    bytes.strip_suffix(&[0, 0, 0xff, 0xff]).map(<[u8]>::to_vec).unwrap_or(bytes)
}

fn inflated(bytes: &[u8], step: usize) -> Result<Vec<Message>, Violation> {
    decoded(Decoder::new(true), bytes, step)
}

#[test]
fn deflated_messages_come_whole_however_they_are_cut() {
    let long = "é{\"n\":1}".repeat(20_000);
    let small = deflated(b"hello", flate2::FlushCompress::Sync);
    let large = deflated(long.as_bytes(), flate2::FlushCompress::Sync);
    let ended = [deflated(b"ended", flate2::FlushCompress::Finish), vec![0]].concat();
    let bytes = [
        masked(0x41, &small[..2]),
        masked(0x89, b"ping"),
        masked(0x00, b""),
        masked(0x80, &small[2..]),
        masked(0xc1, &large),
        masked(0xc1, &ended),
        masked(0xc1, &[0]),
        masked(0xc2, &small),
        masked(0x81, b"plain"),
    ]
    .concat();
    for step in [1, 2, 7, 4096, bytes.len()] {
        let wanted = [
            Message::Ping(b"ping".to_vec()),
            Message::Text("hello".into()),
            Message::Text(long.clone()),
            Message::Text("ended".into()),
            Message::Text(String::new()),
            Message::Binary,
            Message::Text("plain".into()),
        ];
        assert_eq!(inflated(&bytes, step).expect("valid"), wanted, "step {step}");
    }
}

#[test]
fn violations_of_the_extension_are_named() {
    let code = |bytes: &[u8]| inflated(bytes, 3).expect_err("refused").code;
    let small = deflated(b"hello", flate2::FlushCompress::Sync);
    assert_eq!(code(&[masked(0x41, &small), masked(0xc0, b"")].concat()), 1002, "on a continuation");
    assert_eq!(code(&masked(0xc9, b"")), 1002, "on a ping");
    assert_eq!(code(&masked(0xc8, b"")), 1002, "on a close");
    assert_eq!(code(&masked(0xa1, &small)), 1002, "another reserved bit");
    assert_eq!(code(&masked(0xd1, &small)), 1002, "the third reserved bit");
    assert_eq!(code(&masked(0xc1, &[0x07])), 1007, "a block of no type");
    assert_eq!(code(&masked(0xc1, &[0, 1, 0, 0, 0])), 1007, "a stored block whose lengths disagree");
    let late = deflated(b"late", flate2::FlushCompress::Finish);
    assert_eq!(code(&masked(0xc1, &[late.as_slice(), b"more"].concat())), 1007, "data behind the end");
    let binary = deflated(b"\xff\xfe", flate2::FlushCompress::Sync);
    assert_eq!(code(&masked(0xc1, &binary)), 1007, "no UTF-8 when inflated");
    let distant = [0x02, 0x00, 0x02];
    assert_eq!(code(&masked(0xc1, &distant)), 1007, "a reference before the beginning");
    assert_eq!(all(&masked(0xc1, &small), 3).expect_err("refused").code, 1002, "never agreed");
}

#[test]
fn a_bomb_is_refused_and_its_limit_is_exact() {
    let fits = deflated(&[b'a'; MESSAGE_BYTES_MAX], flate2::FlushCompress::Sync);
    assert!(fits.len() < 10_000);
    assert!(matches!(inflated(&masked(0xc1, &fits), 4096).as_deref(), Ok([Message::Text(_)])));
    let one_more = deflated(&[b'a'; MESSAGE_BYTES_MAX + 1], flate2::FlushCompress::Sync);
    assert_eq!(inflated(&masked(0xc1, &one_more), 4096).expect_err("refused").code, 1009);
    let bomb = deflated(&vec![0; 500 * MESSAGE_BYTES_MAX], flate2::FlushCompress::Sync);
    assert!(bomb.len() < MESSAGE_BYTES_MAX, "{}", bomb.len());
    assert_eq!(inflated(&masked(0xc1, &bomb), 4096).expect_err("refused").code, 1009);
}

#[test]
fn a_connection_that_has_said_its_message_holds_nothing() {
    let mut decoder = Decoder::new(true);
    decoder.push(&masked(0x81, &[b'a'; MESSAGE_BYTES_MAX]));
    assert!(matches!(decoder.next(), Ok(Some(Message::Text(_)))));
    assert_eq!(decoder.held_bytes(), 0);
}
