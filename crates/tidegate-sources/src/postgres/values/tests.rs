use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::postgres::types::{Attribute, label};

fn json(shape: &Shape, text: &str) -> String {
    let mut out = Vec::new();
    write_json(shape, text.as_bytes(), Numbers::Json, &mut out).expect("a value");
    String::from_utf8(out).expect("UTF-8")
}

fn fails(shape: &Shape, text: &[u8]) -> ValueError {
    let mut out = b"before".to_vec();
    let error = write_json(shape, text, Numbers::Json, &mut out).expect_err("no value");
    assert_eq!(out, b"before", "nothing is left of a value that failed");
    error
}

fn array(element: Shape) -> Shape {
    Shape::Array { element: Arc::new(element), delimiter: b',' }
}

fn record(attributes: &[(&str, Shape)]) -> Shape {
    let attribute = |(name, shape): &(&str, Shape)| Attribute { label: label(name), shape: shape.clone() };
    Shape::Record(attributes.iter().map(attribute).collect())
}

#[test]
fn scalars() {
    assert_eq!(json(&Shape::Bool, "t"), "true");
    for digits in ["0", "-0", "1.10", "0.000000000000000000001", "9223372036854775807", "1e+100", "5e-324", "-12.5"] {
        assert_eq!(json(&Shape::Number, digits), digits);
    }
    for word in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(json(&Shape::WideNumber, word), format!("\"{word}\""));
    }
    for text in ["", "-", "01", "1.", ".5", "1e", "1e+", "0x10", "nan", "1 ", "--1"] {
        assert_eq!(fails(&Shape::Number, text.as_bytes()), ValueError::Unexpected("a number"));
    }
    assert_eq!(json(&Shape::Text, "a\"b\\c\u{1}\n\u{7f}ü"), "\"a\\\"b\\\\c\\u0001\\n\u{7f}ü\"");
    assert_eq!(fails(&Shape::Text, b"\xff"), ValueError::NotUtf8);
    assert_eq!(fails(&Shape::Bool, b"true"), ValueError::Unexpected("a boolean"));
}

#[test]
fn json_stays_as_it_is_on_one_line() {
    assert_eq!(json(&Shape::Json, "{\"b\":1.0,\r\n \"a\" : [1e5]}"), "{\"b\":1.0,   \"a\" : [1e5]}");
    assert!(matches!(fails(&Shape::Json, br#""\ud800""#), ValueError::Json(_)));
    let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(json(&Shape::Json, &deep(127)).len(), 254, "the row is a level too");
    assert!(matches!(fails(&Shape::Json, deep(128).as_bytes()), ValueError::Json(_)));
}

#[test]
fn times_are_those_of_iso_8601() {
    let cases = [
        ("2026-11-22 01:02:03+00", "2026-11-22T01:02:03+00:00"),
        ("0044-03-15 00:00:00.000001+00 BC", "0044-03-15T00:00:00.000001+00:00 BC"),
        ("294276-12-31 23:59:59.999999+00", "294276-12-31T23:59:59.999999+00:00"),
        ("2026-11-22 01:02:03-03:30", "2026-11-22T01:02:03-03:30"),
        ("-infinity", "-infinity"),
    ];
    for (text, expected) in cases {
        assert_eq!(json(&Shape::TimestampTz, text), format!("\"{expected}\""));
    }
    assert_eq!(json(&Shape::Timestamp, "4713-01-01 00:00:00 BC"), "\"4713-01-01T00:00:00 BC\"");
    assert_eq!(json(&Shape::Timestamp, "infinity"), "\"infinity\"");
    for text in ["", "2026-11-22", "22 Nov 2026\"", "2026-11-22 01:02:03"] {
        assert_eq!(fails(&Shape::TimestampTz, text.as_bytes()), ValueError::Unexpected("a timestamp"));
    }
}

#[test]
fn bytes_become_base64() {
    assert_eq!(json(&Shape::Bytea, "\\x"), "\"\"");
    assert_eq!(json(&Shape::Bytea, "\\x00ff10"), "\"AP8Q\"");
    assert_eq!(json(&Shape::Bytea, "\\x00"), "\"AA==\"");
    for length in [767, 768, 769, 1536, 5000] {
        let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            json(&Shape::Bytea, &format!("\\x{hexadecimal}")),
            format!("\"{}\"", BASE64_STANDARD.encode(&bytes))
        );
    }
    for text in ["", "00", "\\x0", "\\x0g", "\\000"] {
        assert_eq!(fails(&Shape::Bytea, text.as_bytes()), ValueError::Unexpected("a bytea"));
    }
}

#[test]
fn arrays() {
    let (numbers, texts) = (array(Shape::Number), array(Shape::Text));
    assert_eq!(json(&numbers, "{}"), "[]");
    assert_eq!(json(&numbers, "{1,NULL,-2.5}"), "[1,null,-2.5]");
    assert_eq!(json(&numbers, "[0:1]={1,2}"), "[1,2]");
    assert_eq!(json(&numbers, "[-1:0][2:3]={{1,2},{3,NULL}}"), "[[1,2],[3,null]]");
    assert_eq!(
        json(&texts, r#"{"NULL",NULL,"",a,"b c","\"","\\","a,b","{}","é"}"#),
        r#"["NULL",null,"","a","b c","\"","\\","a,b","{}","é"]"#
    );
    assert_eq!(json(&array(Shape::Bool), "{t,f}"), "[true,false]");
    assert_eq!(json(&array(Shape::Json), r#"{"{\"a\": [1, 2]}",1}"#), r#"[{"a": [1, 2]},1]"#);
    assert_eq!(json(&array(array(Shape::Number)), r#"{"{1,2}","{}"}"#), "[[1,2],[]]");
    let boxes = Shape::Array { element: Arc::new(Shape::Text), delimiter: b';' };
    assert_eq!(json(&boxes, "{(1,1),(0,0);(3,3),(2,2)}"), r#"["(1,1),(0,0)","(3,3),(2,2)"]"#);
    assert_eq!(json(&Shape::Vector(Arc::new(Shape::Number)), "1 2 3"), "[1,2,3]");
    assert_eq!(json(&Shape::Vector(Arc::new(Shape::Text)), ""), "[]");
    for text in ["", "{", "{1", "{1,", "{1,}", "{,}", "}", "{1}2", "[0:1]", "[0:1]{1}", "{\"1}", "{\"1\\", "1"] {
        assert_eq!(fails(&numbers, text.as_bytes()), ValueError::Unexpected("an array"), "{text}");
    }
}

#[test]
fn composites() {
    let inner = record(&[("n", Shape::WideNumber), ("t", Shape::Text)]);
    let outer = record(&[("a\"", array(Shape::Text)), ("i", inner.clone()), ("l", array(inner.clone()))]);
    assert_eq!(json(&inner, "(,)"), r#"{"n":null,"t":null}"#);
    assert_eq!(json(&inner, r#"(1,"")"#), r#"{"n":1,"t":""}"#);
    assert_eq!(json(&inner, r#"(1,"""\\(,) ")"#), r#"{"n":1,"t":"\"\\(,) "}"#);
    assert_eq!(
        json(&outer, r#"("{a,""b c""}","(1,""x """"y"""""")","{""(2,\\""q \\\\\\\\ r\\"")"",NULL}")"#),
        r#"{"a\"":["a","b c"],"i":{"n":1,"t":"x \"y\""},"l":[{"n":2,"t":"q \\ r"},null]}"#
    );
    assert_eq!(json(&record(&[]), "()"), "{}");
    for text in ["(1)", "(1,2,3)", "(1,2"] {
        assert_eq!(fails(&inner, text.as_bytes()), ValueError::Attributes, "{text}");
    }
    for text in ["", "1,2", "(1,2) ", "(1,\"2)"] {
        assert_eq!(fails(&inner, text.as_bytes()), ValueError::Unexpected("a composite value"), "{text}");
    }
}

#[test]
fn hstore() {
    assert_eq!(json(&Shape::Hstore, ""), "{}");
    assert_eq!(json(&Shape::Hstore, r#""a"=>"1", "b\"\\"=>NULL, ""=>"""#), r#"{"a":"1","b\"\\":null,"":""}"#);
    for text in ["a", r#""a""#, r#""a"=>"#, r#""a"=>"1","#, r#""a"=>"1""b"=>"2""#] {
        assert_eq!(fails(&Shape::Hstore, text.as_bytes()), ValueError::Unexpected("an hstore"), "{text}");
    }
}

#[test]
fn wide_numbers_as_strings() {
    let shape = record(&[("id", Shape::WideNumber), ("l", array(Shape::WideNumber)), ("n", Shape::Number)]);
    let mut out = Vec::new();
    write_json(&shape, br#"(9007199254740993,"{0.10,NULL}",1)"#, Numbers::Text, &mut out).expect("a value");
    assert_eq!(String::from_utf8_lossy(&out), r#"{"id":"9007199254740993","l":["0.10",null],"n":1}"#);
}

#[test]
fn nesting_has_an_end() {
    let mut shape = Shape::Number;
    let mut text = "1".to_owned();
    for _ in 0..16 {
        shape = array(shape);
        text = format!("{{\"{}\"}}", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    assert_eq!(json(&shape, &text), "[".repeat(16) + "1" + &"]".repeat(16));
    assert_eq!(fails(&array(Shape::Number), "{".repeat(1000).as_bytes()), ValueError::TooDeep);
}

#[test]
fn no_text_makes_it_panic_or_write_what_is_no_json() {
    let mut random = StdRng::seed_from_u64(2);
    let inner = record(&[("n", Shape::Number), ("t", array(Shape::Text))]);
    let shapes = [
        Shape::Bool,
        Shape::Number,
        Shape::Json,
        Shape::Bytea,
        Shape::Timestamp,
        Shape::TimestampTz,
        Shape::Text,
        Shape::Hstore,
        array(Shape::Text),
        array(inner.clone()),
        inner,
        Shape::Vector(Arc::new(Shape::Number)),
    ];
    let pieces: [&[u8]; 24] = [
        b"{",
        b"}",
        b"(",
        b")",
        b"[0:1]=",
        b"\"",
        b"\\",
        b",",
        b"NULL",
        b"1",
        b"-",
        b".5",
        b"e+9",
        b"t",
        b"\\x00",
        b" ",
        b"=>",
        b", ",
        b"2026-01-01 00:00:00",
        b"+00",
        b" BC",
        b"\xff",
        "ü".as_bytes(),
        b"\n",
    ];
    let mut out = Vec::new();
    for _ in 0..300_000 {
        let text: Vec<&[u8]> =
            (0..random.random_range(0..9)).map(|_| pieces[random.random_range(0..pieces.len())]).collect();
        let shape = &shapes[random.random_range(0..shapes.len())];
        out.clear();
        if write_json(shape, &text.concat(), Numbers::Json, &mut out).is_ok() {
            serde_json::from_slice::<&serde_json::value::RawValue>(&out).expect("JSON");
        }
    }
}
