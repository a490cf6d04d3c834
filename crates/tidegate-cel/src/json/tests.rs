use super::*;

#[test]
fn numbers_are_what_cel_makes_of_them() {
    for (text, value) in [
        ("0", Json::Int(0)),
        ("-0", Json::Int(0)),
        ("9223372036854775807", Json::Int(i64::MAX)),
        ("-9223372036854775808", Json::Int(i64::MIN)),
        ("9223372036854775808", Json::Uint(1 << 63)),
        ("18446744073709551616", Json::Double(18_446_744_073_709_551_616.0)),
        ("1.0", Json::Double(1.0)),
        ("1e3", Json::Double(1000.0)),
        ("1e999", Json::Double(f64::INFINITY)),
    ] {
        assert_eq!(Json::decode(text.as_bytes()), Some(value), "{text}");
    }
}

#[test]
fn of_equal_names_the_last_counts_in_small_and_large_objects() {
    for others in [0, 40] {
        let filler: String = (0..others).map(|at| format!("\"m{at}\":{at},")).collect();
        let text = format!("{{\"a\":1,{filler}\"b\":2,\"\\u0061\":3}}");
        let Some(Json::Object(object)) = Json::decode(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(object.get("a"), Some(&Json::Int(3)));
        assert_eq!(object.get("b"), Some(&Json::Int(2)));
        assert_eq!(object.get("c"), None);
        assert_eq!(object.members().len(), others + 2);
    }
}

#[test]
fn strings_borrow_unless_they_have_escapes() {
    let Some(Json::Array(list)) = Json::decode(br#" [ "plain", "a\"b\\", "" ] "#) else { panic!() };
    assert!(matches!(&list[0], Json::String(Cow::Borrowed("plain"))));
    assert_eq!(list[1], Json::String("a\"b\\".into()));
    assert_eq!(list[2], Json::String("".into()));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let deep = "[".repeat(100_000);
    for text in
        ["", "{", "[1,]", "{\"a\"}", "nul", "\"", "\"\\", "\"\\\u{e9}\"", "1 2", "-", "+1", "NaN", "1.", "{1:2}", &deep]
    {
        assert_eq!(Json::decode(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Json::decode(b"\xff"), None);
}
