//! Random values, as SQL.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn text(random: &mut StdRng) -> String {
    const PIECES: &[&str] = &[
        "\"", "\\", "{", "}", "(", ")", ",", "NULL", " ", "a", "é", "😀", "\n", "\t", "\r", "\u{1}", "'", "\\N", ";",
        "\u{7f}", "=>",
    ];
    if random.random_ratio(1, 10) {
        return "NULL".to_owned();
    }
    let pieces = (0..random.random_range(0..8)).map(|_| *PIECES.choose(random).expect("some"));
    quoted(&pieces.collect::<String>()) + "::text"
}

pub(super) fn texts(random: &mut StdRng) -> String {
    let (rows, columns) = (random.random_range(0..3), random.random_range(1..3));
    let mut row = || format!("[{}]", (0..columns).map(|_| text(random)).collect::<Vec<_>>().join(","));
    format!("array[{}]::text[]", (0..rows).map(|_| row()).collect::<Vec<_>>().join(","))
}

pub(super) fn composite(random: &mut StdRng) -> String {
    let number: i64 = random.random();
    format!(
        "ROW({}, {}, {}, {})::inner_t",
        quoted(&number.to_string()),
        text(random),
        random.random::<bool>(),
        timestamp(random)
    )
}

pub(super) fn numeric(random: &mut StdRng) -> String {
    let mut digits = |most: usize| -> String {
        let count = random.random_range(1..most);
        (0..count).map(|_| char::from(b'0' + random.random_range(0..10))).collect()
    };
    let (integer, fraction) = (digits(60), digits(60));
    quoted(&format!("-{integer}.{fraction}")[usize::from(random.random::<bool>())..]) + "::numeric"
}

pub(super) fn timestamp(random: &mut StdRng) -> String {
    // From -4713 to 294276, in seconds and microseconds since 1970.
    let seconds: i64 = random.random_range(-210_800_000_000..9_224_000_000_000);
    let micros = [0, 1, 500_000, 123_000, 999_999].choose(random).expect("some");
    format!("timestamptz '1970-01-01 00:00:00+00' + interval '1 second' * {seconds} + interval '{micros} microseconds'")
}
