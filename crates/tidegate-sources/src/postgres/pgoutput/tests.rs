use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Messages as a server writes them.
fn samples() -> Vec<(Vec<u8>, Message)> {
    let text = |text: &'static str| Cell::Text(Bytes::from_static(text.as_bytes()));
    let tuple: &[u8] = b"\0\x03t\0\0\0\x0242nu";
    let key: &[u8] = b"\0\x01t\0\0\0\0";
    let cells = vec![text("42"), Cell::Null, Cell::Unchanged];
    let join = |parts: &[&[u8]]| parts.concat();
    vec![
        (
            join(&[b"B", &7_u64.to_be_bytes(), &1_000_000_i64.to_be_bytes(), &9_u32.to_be_bytes()]),
            Message::Begin { final_lsn: 7, commit_time: Time(946_684_801_000_000), xid: 9 },
        ),
        (
            join(&[b"C\0", &7_u64.to_be_bytes(), &8_u64.to_be_bytes(), &(-1_i64).to_be_bytes()]),
            Message::Commit { commit_lsn: 7, end_lsn: 8, commit_time: Time(946_684_799_999_999) },
        ),
        (join(&[b"O", &5_u64.to_be_bytes(), b"west\0"]), Message::Origin { name: "west".to_owned() }),
        (
            join(&[
                b"R\0\0\x40\0public\0orders\0f\0\x02",
                b"\x01id\0\0\0\0\x17\xff\xff\xff\xff",
                b"\0\xc3\xa9\0\0\0\x04\x13\0\0\0\x09",
            ]),
            Message::Relation(Relation {
                id: 16384,
                schema: "public".to_owned(),
                name: "orders".to_owned(),
                identity: Identity::Full,
                columns: vec![
                    Column { key: true, name: "id".to_owned(), type_oid: 23, type_mod: -1 },
                    Column { key: false, name: "é".to_owned(), type_oid: 1043, type_mod: 9 },
                ],
            }),
        ),
        (
            b"Y\0\0\x40\x01\0mood\0".to_vec(),
            Message::Type { oid: 16385, schema: "pg_catalog".to_owned(), name: "mood".to_owned() },
        ),
        (join(&[b"I\0\0\0\x01N", tuple]), Message::Insert { relation: 1, new: cells.clone() }),
        (join(&[b"U\0\0\0\x01N", tuple]), Message::Update { relation: 1, old: None, new: cells.clone() }),
        (
            join(&[b"U\0\0\0\x01K", key, b"N", tuple]),
            Message::Update { relation: 1, old: Some(Old::Key(vec![text("")])), new: cells.clone() },
        ),
        (
            join(&[b"U\0\0\0\x01O", tuple, b"N", key]),
            Message::Update { relation: 1, old: Some(Old::Full(cells.clone())), new: vec![text("")] },
        ),
        (join(&[b"D\0\0\0\x01K", key]), Message::Delete { relation: 1, old: Old::Key(vec![text("")]) }),
        (join(&[b"D\0\0\0\x01O", tuple]), Message::Delete { relation: 1, old: Old::Full(cells) }),
        (b"T\0\0\0\x02\x01\0\0\0\x01\0\0\0\x02".to_vec(), Message::Truncate { relations: vec![1, 2] }),
        (
            join(&[b"M\x01", &3_u64.to_be_bytes(), b"beat\0\0\0\0\x02\0\xff"]),
            Message::Logical {
                transactional: true,
                lsn: 3,
                prefix: "beat".to_owned(),
                content: Bytes::from_static(b"\0\xff"),
            },
        ),
    ]
}

#[test]
fn each_message_is_read() {
    for (bytes, message) in samples() {
        assert_eq!(decode(&Bytes::from(bytes)), Ok(message));
    }
}

#[test]
fn a_message_cut_at_any_byte_is_an_error() {
    for (bytes, message) in samples() {
        for end in 0..bytes.len() {
            let cut = decode(&Bytes::copy_from_slice(&bytes[..end]));
            assert!(cut.is_err(), "{message:?} cut at {end}: {cut:?}");
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert!(decode(&Bytes::from(longer)).is_err(), "{message:?} with a byte more");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = StdRng::seed_from_u64(1);
    let samples = samples();
    for _ in 0..200_000 {
        let mut bytes = samples[random.random_range(0..samples.len())].0.clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[place] = random.random(),
                1 => bytes[place] = [0, 0x7f, 0x80, 0xff][random.random_range(0..4)],
                2 => bytes.insert(place, random.random()),
                _ => bytes.truncate(place.max(1)),
            }
        }
        let _ = decode(&Bytes::from(bytes));
    }
}

#[test]
fn a_count_that_lies_reserves_nothing() {
    for bytes in
        [&b"T\xff\xff\xff\xff\0\0\0\0\x01"[..], b"I\0\0\0\x01N\xff\xfft\xff\xff\xff\xff", b"R\0\0\0\x01\0\0d\xff\xff"]
    {
        assert_eq!(decode(&Bytes::copy_from_slice(bytes)), Err(DecodeError::Short));
    }
}
