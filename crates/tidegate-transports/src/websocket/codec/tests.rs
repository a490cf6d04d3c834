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
    let mut decoder = Decoder::default();
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

/// Whatever comes, the decoder neither panics nor keeps more than a message and a read.
#[test]
fn noise_is_survived() {
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..20_000 {
        let mut noise = [0; 24];
        for byte in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        noise[1] |= 0x80;
        let _ = all(&noise, 5);
    }
}
