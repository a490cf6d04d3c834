use super::*;

fn validate(text: &[u8]) -> Result<Bytes, JsonError> {
    super::validate(&Bytes::copy_from_slice(text))
}

fn elements(text: &'static [u8], max: usize) -> Result<Elements, JsonError> {
    super::elements(&Bytes::from_static(text), max)
}

fn reason(text: &[u8]) -> &'static str {
    validate(text).expect_err("refused").reason
}

#[test]
fn digits_and_order_survive() {
    let text = br#" {"b":1.10,"a":12345678901234567890, "c":[1,2 ,3]} "#;
    assert_eq!(validate(text).expect("valid"), &text[1..text.len() - 1]);
}

#[test]
fn line_ends_become_spaces() {
    assert_eq!(validate(b"{\r\n\"a\":\n1}").expect("valid"), &b"{  \"a\": 1}"[..]);
}

#[test]
fn an_appended_text_counts_the_levels_around_it() {
    let mut out = b"[".to_vec();
    append(b" [\n1] ", 1, &mut out).expect("valid");
    assert_eq!(out, b"[[ 1]");
    append(b"[]", DEPTH_MAX - 1, &mut out).expect("valid");
    for (text, depth) in [(&b"[]"[..], DEPTH_MAX), (b"1 1", 0), (b"\xff", 0)] {
        append(text, depth, &mut out).expect_err("refused");
    }
    assert_eq!(out, b"[[ 1][]");
}

#[test]
fn what_clients_choke_on_is_refused() {
    assert_eq!(reason(b"\"\xff\""), "not UTF-8");
    assert_eq!(reason(br#""\ud800""#), "a lone surrogate");
    assert_eq!(reason(br#""\ud800A""#), "a lone surrogate");
    assert_eq!(reason(br#""\udc00""#), "a lone surrogate");
    assert!(validate(br#""\ud83d\ude00""#).is_ok());
    assert_eq!(reason(&[b"[".repeat(129), b"]".repeat(129)].concat()), "nested deeper than 128");
    assert!(validate(&[b"[".repeat(128), b"]".repeat(128)].concat()).is_ok());
    assert_eq!(reason(b"[1,]"), "no JSON value");
    assert_eq!(reason(b"{\"a\" 1}"), "expected `:`");
    assert_eq!(reason(b"01"), "something follows the value");
    assert_eq!(reason(b"1 2"), "something follows the value");
    assert_eq!(reason(b"NaN"), "no JSON value");
    assert_eq!(reason(b""), "the text ends where a value is expected");
    assert_eq!(reason(b"\"a\nb\""), "a raw control character in a string");
}

#[test]
fn elements_know_their_lines() {
    let Ok(Elements::Found(found)) = elements(b"[1,\n {\"a\":\n2},\n3]", 3) else { panic!("an array") };
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 4]);
    assert_eq!(elements(b"{}", 3), Ok(Elements::NoArray));
}

/// The text behind the limit is not even looked at.
#[test]
fn elements_stop_at_their_limit() {
    assert!(matches!(elements(b"[1,2]", 2), Ok(Elements::Found(found)) if found.len() == 2));
    assert_eq!(elements(b"[1,2,3,\xff", 2).expect_err("not UTF-8").reason, "not UTF-8");
    assert_eq!(elements(b"[1,2,3, broken", 2), Ok(Elements::TooMany));
}

#[test]
fn what_stands_on_one_line_is_not_copied() {
    let text = Bytes::from_static(b" [ {\"a\":1} , [2,\n3] ] ");
    let inside = |part: &Bytes| text.as_ptr_range().contains(&part.as_ptr());
    assert!(inside(&super::validate(&text.slice(3..10)).expect("an object")));
    let Ok(Elements::Found(found)) = super::elements(&text, 9) else { panic!("an array") };
    assert!(inside(&found[0].1));
    assert_eq!(found[1].1, &b"[2, 3]"[..]);
    assert!(!inside(&found[1].1));
}

#[test]
fn members_come_in_order_with_decoded_names() {
    let object = br#"{ "op" : "x", "a\u0062": {"in":1} , "op":2}"#;
    let found: Vec<(String, &[u8])> = members(object).map(|(name, raw)| (name.into_owned(), raw)).collect();
    let wanted: [(String, &[u8]); 3] = [("op".into(), b"\"x\""), ("ab".into(), br#"{"in":1}"#), ("op".into(), b"2")];
    assert_eq!(found, wanted);
    assert_eq!(members(b"{}").count() + members(b"[1]").count() + members(b"7").count(), 0);
}

#[test]
fn members_are_found_by_their_decoded_name() {
    let object = br#"{"id":1,"\u0069d":"two","nested":{"id":3}}"#;
    assert_eq!(member(object, "id"), Some(&b"\"two\""[..]));
    assert_eq!(member(object, "absent"), None);
    assert_eq!(member(b"[1]", "id"), None);
    assert_eq!(scalar_text(b"1.50"), Some("1.50".to_owned()));
    assert_eq!(scalar_text(b"null"), None);
}

/// The scanner and serde_json agree on what is JSON, over mutations of real texts.
#[test]
fn agrees_with_serde_json() {
    let seed = br#"{"a":[1,-0.5e+3,"x\n\u00e9",true,null],"b":{"c":""}}"#;
    let alphabet = b"{}[]\",:\\u0123e+-. tfn\n";
    for at in 0..seed.len() {
        for byte in alphabet {
            let mut text = seed.to_vec();
            text[at] = *byte;
            let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
            assert_eq!(validate(&text).is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn escapes_are_found_wherever_they_stand() {
    for length in 0..40 {
        for at in 0..=length {
            for text in ["\"", "\\", "\n", "\u{1f}", "\u{7f}", "é", "😀"] {
                let text = format!("{}{text}{}", "a".repeat(at), "b\t".repeat(length - at));
                let mut out = Vec::new();
                write_string(&text, &mut out);
                assert_eq!(string(&out), Some(text));
            }
        }
    }
}
