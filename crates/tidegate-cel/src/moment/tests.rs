use super::text::offset;
use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no time"))
}

#[test]
fn every_day_of_the_calendar_is_read_and_written() {
    for day in 0..3_652_059 {
        let timestamp = Timestamp::new(SECONDS_MIN + day * 86_400, 0).unwrap();
        assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
    }
    assert_eq!(at("9999-12-31T23:59:59.999999999Z").to_string(), "9999-12-31T23:59:59.999999999Z");
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "T",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+2:00",
        "2024-01-01T00:00:00ZZ",
        "0000-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "+024-01-01T00:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(text), None, "{text}");
    }
}

#[test]
fn zones_move_the_clock() {
    assert_eq!(at("2024-01-01T01:30:00+02:00"), at("2023-12-31T23:30:00Z"));
    assert_eq!(at("2023-12-31T23:30:00Z").part(Field::FullYear, offset("+02:00").unwrap()), 2024);
    assert_eq!(offset("-02:30"), Some(-9000));
    assert_eq!(offset("Europe/Berlin"), None);
    assert_eq!(offset("é"), None);
}

#[test]
fn lengths_of_time_are_read_and_written() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("0h0m", 0),
        ("1h2m3.5s", 3_723_500_000_000),
        ("-250ms", -250_000_000),
        (".5s", 500_000_000),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1.9ns", 1),
    ] {
        let duration = Duration::parse(text).unwrap_or_else(|| panic!("{text} is no duration"));
        assert_eq!(duration.nanos(), nanos, "{text}");
        assert_eq!(Duration::parse(&duration.to_string()), Some(duration), "{text}");
    }
    for text in ["", "-", "1", "s", ".s", "1.2.3s", "1x", "1s2", "--1s", "99999999999999999999s", "9999999999s"] {
        assert_eq!(Duration::parse(text), None, "{text}");
    }
}
