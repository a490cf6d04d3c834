use super::*;

fn fields(text: &str) -> Fields {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn shown(list: &str, data: &str) -> String {
    let fields = fields(list);
    let once = fields.project(data.as_bytes());
    assert_eq!(fields.project(&once), once, "{list} of {data} twice");
    String::from_utf8(once.to_vec()).expect("UTF-8")
}

fn refusal(text: &str) -> String {
    text.parse::<Fields>().expect_err(text).to_string()
}

#[test]
fn members_come_in_their_order_and_as_they_are_written() {
    let data = r#"{"id": 7.10,"note":"\u0061/\/","customer":{"name":"Ada","id":1e2},"x":null}"#;
    assert_eq!(shown("note,id", data), r#"{"id":7.10,"note":"\u0061/\/"}"#);
    assert_eq!(shown("customer.id,x", data), r#"{"customer":{"id":1e2},"x":null}"#);
    assert_eq!(shown("customer", data), r#"{"customer":{"name":"Ada","id":1e2}}"#);
    assert_eq!(shown("missing,customer.missing", data), r#"{"customer":{}}"#);
    assert_eq!(shown("missing", data), "{}");
}

#[test]
fn a_path_leads_through_arrays_and_ends_at_other_values() {
    let data = r#"{"lines":[{"sku":"a","n":1}, 5 ,[{"sku":"b"},null],{}],"customer":null}"#;
    assert_eq!(
        shown("lines.sku,customer.name", data),
        r#"{"lines":[{"sku":"a"},5,[{"sku":"b"},null],{}],"customer":null}"#
    );
    assert_eq!(shown("a", r#"[{"a":1,"b":2}]"#), r#"[{"a":1}]"#);
    for data in ["null", "7.0", r#""text""#, "true", "[]", "{}"] {
        assert_eq!(shown("a.b", data), data);
    }
}

#[test]
fn names_are_found_however_they_are_spelled() {
    assert_eq!(
        shown(r#""unit.price",é"#, r#"{"unit.price":1,"unit":{"price":2},"\u00e9":3}"#),
        r#"{"unit.price":1,"\u00e9":3}"#
    );
    assert_eq!(shown(r#""a\"b"."",c d"#, r#"{"a\u0022b":{"":1,"x":2},"c d":3}"#), r#"{"a\u0022b":{"":1},"c d":3}"#);
}

#[test]
fn of_equal_names_the_last_one_still_counts() {
    assert_eq!(shown("a.b", r#"{"a":{"b":1},"a":{"c":2}}"#), r#"{"a":{"b":1},"a":{}}"#);
}

#[test]
fn lists_that_show_the_same_are_the_same() {
    assert_eq!(fields(" b , a.c, a.b,b,a . c"), fields("a.b,a.c,b"));
    assert_eq!(fields("a.b,a,a.c.d"), fields("a"));
    assert_eq!(fields("a,a.b"), fields("a"));
    assert_eq!(fields(r#""a",b"#).as_str(), "a,b");
    assert_ne!(fields(r#""a.b""#), fields("a.b"));
    assert_eq!(fields(r#"b,"a.b"." c","","#.trim_end_matches(',')).to_string(), r#""","a.b"." c",b"#);
    for list in [r#""a.b"."","#.trim_end_matches(','), r#"x.y,"q\"\\\n","é è""#, r#"back\slash"#] {
        assert_eq!(fields(fields(list).as_str()), fields(list), "{list}");
    }
}

#[test]
fn a_refusal_points_at_what_is_wrong() {
    assert_eq!(refusal(""), "a name is missing at column 1, the end");
    assert_eq!(refusal("a,,b"), "a name is missing at column 3, `,b`");
    assert_eq!(refusal("é.x,a..b"), "a name is missing at column 7, `.b`");
    assert_eq!(refusal("a,"), "a name is missing at column 3, the end");
    assert_eq!(refusal(r#"a,"b.c"#), r#"a quoted name does not end at column 3, `"b.c`"#);
    assert_eq!(refusal(r#"a,"\x""#), r#"a quoted name is no JSON string at column 3, `"\x"`"#);
    assert_eq!(
        refusal(r#"a,b"c""#),
        r#"a quote inside a name, which belongs in quotes as a JSON string then at column 4, `"c"`"#
    );
    assert_eq!(refusal(r#""a"b"#), "a dot or a comma is missing behind a quoted name at column 4, `b`");
    assert_eq!(refusal("x,a.b.c.d.e.f.g.h.i"), "more than 8 names in a path at column 19, `i`");
    assert_eq!(refusal(&"a,".repeat(65)), "more than 64 paths at column 129, `a,`");
    let long = refusal(&"é".repeat(600));
    assert_eq!(long, format!("more than 1024 bytes at column 513, `{}`", "é".repeat(20)));
    let escaped = format!(r#""{}""#, r"\b".repeat(500));
    assert_eq!(refusal(&escaped), "more than 1024 bytes with its escapes at column 1003, the end");
    assert!("a,".repeat(64).trim_end_matches(',').parse::<Fields>().is_ok());
    assert!("a.b.c.d.e.f.g.h".parse::<Fields>().is_ok());
}
