use super::*;

fn merged(before: &str, after: &str) -> Option<String> {
    merge_patch(before.as_bytes(), after.as_bytes()).map(|patch| String::from_utf8(patch).expect("UTF-8"))
}

fn operations(before: &str, after: &str, keys: &[(&str, &str)]) -> Option<String> {
    let keys = ItemKeys::new(keys.iter().copied()).expect("keys");
    json_patch(before.as_bytes(), after.as_bytes(), &keys).map(|patch| String::from_utf8(patch).expect("UTF-8"))
}

/// So long that a patch of a few operations is shorter.
fn with_pad(object: &str) -> String {
    object.replacen('{', &format!("{{\"pad\":\"{}\",", "x".repeat(500)), 1)
}

fn padded_merge(before: &str, after: &str) -> Option<String> {
    merged(&with_pad(before), &with_pad(after))
}

fn padded_operations(before: &str, after: &str, keys: &[(&str, &str)]) -> Option<String> {
    operations(&with_pad(before), &with_pad(after), keys)
}

#[test]
fn values_are_equal_when_they_say_the_same() {
    let same = |before: &str, after: &str| equal(before.as_bytes(), after.as_bytes());
    assert!(same(r#"{"a":1,"b":[{"c":1,"d":2}]}"#, r#"{ "b" : [ {"d":2, "c":1} ], "\u0061":1}"#));
    assert!(same(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
    assert!(same(r#"["\u00e9\/"]"#, r#"["é/"]"#));
    for (before, after) in [("1", "1.0"), ("1e1", "10"), ("[1]", "[1,2]"), ("{}", "[]"), (r#""1""#, "1")] {
        assert!(!same(before, after) && !same(after, before), "{before} {after}");
    }
    for (before, after) in
        [(r#"{"a":1}"#, r#"{"a":2}"#), (r#"{"a":1}"#, r#"{"b":1}"#), (r#"{"a":1,"a":2}"#, r#"{"a":3,"a":1}"#)]
    {
        assert!(!same(before, after) && !same(after, before), "{before} {after}");
    }
}

#[test]
fn a_merge_patch_has_what_is_new_and_null_for_what_is_gone() {
    let patch = padded_merge(r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#, r#"{"b":{"d":3.0,"c":2},"e":4,"f":[null]}"#);
    assert_eq!(patch.as_deref(), Some(r#"{"a":null,"b":{"d":3.0},"f":[null]}"#));
    assert_eq!(padded_merge(r#"{"a":1,"b":2}"#, r#"{"a":12,"b" :2}"#).as_deref(), Some(r#"{"a":12}"#));
    assert_eq!(padded_merge(r#"{"a":1}"#, r#"{"a":{"b":{}}}"#).as_deref(), Some(r#"{"a":{"b":{}}}"#));
    assert_eq!(padded_merge(r#"{"a":{"b":1}}"#, r#"{"a":{}}"#).as_deref(), Some(r#"{"a":{"b":null}}"#));
}

#[test]
fn equal_values_make_an_empty_patch() {
    for (before, after) in [("{}", "{}"), (r#"{"a":1,"b":{"c":[2]}}"#, r#"{"b": {"\u0063":[ 2 ]},"a":1}"#)] {
        assert_eq!(merged(before, after).as_deref(), Some("{}"));
        assert_eq!(operations(before, after, &[]).as_deref(), Some("[]"));
    }
    assert_eq!(operations("1", "1", &[]).as_deref(), Some("[]"));
    assert_eq!(operations("[1]", "[ 1 ]", &[]).as_deref(), Some("[]"));
}

#[test]
fn what_a_merge_patch_cannot_say_is_none() {
    assert_eq!(padded_merge(r#"{"a":1}"#, r#"{"a":null}"#), None);
    assert_eq!(padded_merge("{\"z\":0}", r#"{"z":0,"a":null}"#), None);
    assert_eq!(padded_merge(r#"{"a":1}"#, r#"{"a":{"b":{"c":null}}}"#), None);
    assert_eq!(padded_merge(r#"{"a":{"b":1}}"#, r#"{"a":{"b":null}}"#), None);
    // A null that was there before is none that the change sets.
    assert_eq!(padded_merge(r#"{"n":null,"a":1}"#, r#"{"n":null,"a":2}"#).as_deref(), Some(r#"{"a":2}"#));
    assert_eq!(merged("[1]", "[2]"), None);
    assert_eq!(merged(r#"{"a":1}"#, "1"), None);
    assert_eq!(merged("null", "{}"), None);
    assert_eq!(merged(r#"{"a":1}"#, r#"{"a":2}"#), None, "no shorter than the value");
    assert_eq!(merged(r#"{"a":1,"b":2}"#, "{}"), None, "longer than the value");
}

#[test]
fn of_equal_names_the_last_one_is_compared() {
    assert_eq!(padded_merge(r#"{"a":1,"a":2}"#, r#"{"a":3,"a":2}"#).as_deref(), Some("{}"));
    assert_eq!(padded_merge(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#).as_deref(), Some(r#"{"a":3}"#));
    assert_eq!(padded_merge(r#"{"a":1,"\u0061":2}"#, r#"{"a":2,"\u0061":2}"#).as_deref(), Some("{}"));
    let many = |value: u8| (0..20).map(|n| format!("\"m{n}\":{value},")).collect::<String>();
    let (before, after) = (format!("{{{}\"m0\":9}}", many(1)), format!("{{{}\"m0\":9}}", many(2)));
    assert!(padded_merge(&before, &after).is_some_and(|patch| !patch.contains("m0\"")));
}

#[test]
fn operations_name_the_place() {
    let patch =
        padded_operations(r#"{"a":1,"b":{"c/d":{"~":1}},"e":4}"#, r#"{"b":{"c/d":{"~":2.50}},"e":4,"f":[1]}"#, &[]);
    let expected = r#"[{"op":"remove","path":"/a"},{"op":"replace","path":"/b/c~1d/~0","value":2.50},{"op":"add","path":"/f","value":[1]}]"#;
    assert_eq!(patch.as_deref(), Some(expected));
    let patch = padded_operations(r#"{"q\"\/\u000a":1}"#, r#"{"q\"\/\u000a":null}"#, &[]);
    assert_eq!(patch.as_deref(), Some(r#"[{"op":"replace","path":"/q\"~1\n","value":null}]"#));
}

#[test]
fn a_part_is_replaced_where_that_is_shorter() {
    let patch = padded_operations(r#"{"a":{"b":1,"c":2,"d":3}}"#, r#"{"a":{"b":2,"c":3,"d":4}}"#, &[]);
    assert_eq!(patch.as_deref(), Some(r#"[{"op":"replace","path":"/a","value":{"b":2,"c":3,"d":4}}]"#));
    assert_eq!(operations(r#"{"a":1}"#, r#"{"a":2}"#, &[]), None);
    assert_eq!(operations("1", "2", &[]), None);
}

#[test]
fn arrays_are_compared_without_what_they_begin_and_end_with() {
    let long = |list: &[u32]| {
        let items: Vec<String> = list.iter().map(|n| format!(r#""item number {n} of some length""#)).collect();
        format!(r#"{{"l":[{}]}}"#, items.join(","))
    };
    let patch = |old: &[u32], new: &[u32]| padded_operations(&long(old), &long(new), &[]).expect("a patch");
    assert_eq!(patch(&[1, 2, 3, 4], &[1, 3, 4]), r#"[{"op":"remove","path":"/l/1"}]"#);
    assert_eq!(
        patch(&[1, 2, 3, 4], &[1]),
        r#"[{"op":"replace","path":"/l","value":["item number 1 of some length"]}]"#
    );
    let added = r#"[{"op":"add","path":"/l/0","value":"item number 0 of some length"}]"#;
    assert_eq!(patch(&[1, 2, 3, 4], &[0, 1, 2, 3, 4]), added);
    let replaced = r#"[{"op":"replace","path":"/l/1","value":"item number 9 of some length"}]"#;
    assert_eq!(patch(&[1, 2, 3, 4], &[1, 9, 3, 4]), replaced);
    assert_eq!(patch(&[1, 1, 1], &[1, 1]), r#"[{"op":"remove","path":"/l/2"}]"#);
}

#[test]
fn items_with_a_key_are_followed_wherever_they_go() {
    let list = |items: &[(&str, u32)]| {
        let items: Vec<String> = items
            .iter()
            .map(|(id, n)| format!(r#"{{"id":"{id}","text":"what does not change here","n":{n}}}"#))
            .collect();
        format!(r#"{{"a":[{{"lines":[{}]}}]}}"#, items.join(","))
    };
    let keys = [("a.lines", "id")];
    let patch =
        |old: &[(&str, u32)], new: &[(&str, u32)]| padded_operations(&list(old), &list(new), &keys).expect("shorter");
    let all = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
    assert_eq!(
        patch(&all, &[("b", 2), ("c", 3), ("d", 5)]),
        concat!(r#"[{"op":"remove","path":"/a/0/lines/0"},"#, r#"{"op":"replace","path":"/a/0/lines/2/n","value":5}]"#)
    );
    let moved = r#"[{"op":"move","from":"/a/0/lines/3","path":"/a/0/lines/0"}]"#;
    assert_eq!(patch(&all, &[("d", 4), ("a", 1), ("b", 2), ("c", 3)]), moved);
    let moved = r#"[{"op":"move","from":"/a/0/lines/0","path":"/a/0/lines/3"}]"#;
    assert_eq!(patch(&all, &[("b", 2), ("c", 3), ("d", 4), ("a", 1)]), moved);
    let added = patch(&all, &[("a", 1), ("n", 9), ("b", 7), ("c", 3), ("d", 4)]);
    assert!(added.starts_with(r#"[{"op":"add","path":"/a/0/lines/1","value":{"id":"n""#), "{added}");
    assert!(added.ends_with(r#",{"op":"replace","path":"/a/0/lines/2/n","value":7}]"#), "{added}");
}

#[test]
fn items_without_a_key_of_their_own_are_compared_by_place() {
    let keys = ItemKeys::new([("", "id")]).expect("keys");
    let pad = "x".repeat(200);
    let patch = |before: &str, after: &str| {
        let whole =
            |items: &str| format!(r#"["{pad}",{items}]"#).replace(&format!(r#""{pad}","#), "").replace("PAD", &pad);
        let patch = json_patch(whole(before).as_bytes(), whole(after).as_bytes(), &keys);
        String::from_utf8(patch.expect("shorter")).expect("UTF-8")
    };
    let by_key = patch(r#"{"id":1,"t":"PAD"},{"id":2,"t":"PAD"}"#, r#"{"id":2,"t":"PAD"},{"id":1,"t":"PAD"}"#);
    assert!(by_key.contains("move"), "{by_key}");
    for twice in [
        r#"{"id":1,"t":"PAD"},{"id":1,"t":"PAD!"}"#,
        r#"{"id":1,"t":"PAD"},{"t":"PAD!"}"#,
        r#"{"id":1,"t":"PAD"},{"id":[1],"t":"PAD!"}"#,
    ] {
        let by_place = patch(twice, &format!(r#"{twice},3"#));
        assert_eq!(by_place, r#"[{"op":"add","path":"/2","value":3}]"#);
    }
}

#[test]
fn item_keys_are_read_as_paths() {
    assert!(ItemKeys::new([("lines", "id"), (r#""a.b".c"#, "x.y"), ("", "id")]).is_ok());
    let error = |path| ItemKeys::new([(path, "id")]).expect_err(path).to_string();
    assert_eq!(error("a,b"), "one path is wanted at column 2, `,b`");
    assert_eq!(error("a."), "a name is missing at column 3, the end");
}

#[test]
fn what_is_too_much_to_read_is_sent_whole() {
    // Each level lists its members the other way round, so that each has to be read by itself.
    let nest = |leaf: &str, turned: bool| {
        let close = if turned { "" } else { ",\"z\":0" };
        let open = if turned { "{\"z\":0,\"a\":" } else { "{\"a\":" };
        format!("{}{leaf}{}", open.repeat(100), format!("{close}}}").repeat(100))
    };
    let long = |end: char| format!("\"{}{end}\"", "x".repeat(100_000));
    assert!(equal(nest("1", false).as_bytes(), nest("1", true).as_bytes()), "short values nest as they like");
    assert_eq!(merged(&nest(&long('a'), false), &nest(&long('b'), true)), None);
    assert!(!equal(nest(&long('a'), false).as_bytes(), nest(&long('a'), true).as_bytes()));
    let huge = |end: char| format!("{{\"a\":\"{}\",\"b\":\"{end}\"}}", "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(merged(&huge('a'), &huge('b')), None);
    assert_eq!(operations(&huge('a'), &huge('b'), &[]), None);
}
