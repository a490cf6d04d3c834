//! What the language means, what it refuses and how it says so, one line a case.

use tidegate_cel::{Event, Expression, Failure, Kind, Kinds, Params, Timestamp, Value, Variables};

const DATA: &str = r#"{"price":101.5,"symbol":"AAPL","size":7,"big":18446744073709551615,"active":true,"none":null,
    "order":{"lines":[{"sku":"a","qty":2},{"sku":"b","qty":0}],"odd name":1},"tags":["x","y"],"empty":[]}"#;

fn variables() -> Variables {
    Event::variables(["region", "venue"], true)
}

fn evaluate(source: &str) -> Result<bool, Failure> {
    let expression = Expression::parse(source, &variables()).unwrap_or_else(|error| panic!("{source}: {error}"));
    let params = Params::new([("region", "eu"), ("venue", "x")]);
    let time = Timestamp::parse("2024-05-06T07:08:09.5Z").expect("a time");
    let event = Event::new(DATA.as_bytes(), Some("k1"), time, &params).with_op("upsert");
    expression.matches(&event)
}

#[test]
fn what_is_true() {
    for source in [
        "data.price > 100.0 && data.symbol in ['AAPL', 'GOOG']",
        "data.price > 100",
        "data.size == 7 && data.size == 7u && data.size == 7.0",
        "data.big == 18446744073709551615u && data.big > 1",
        "data.active",
        "data.none == null && data.price != null",
        "data.order.lines[0].qty == 2 && data['order']['odd name'] == 1",
        "has(data.order.lines) && !has(data.order.nothing) && has(data.none)",
        "data.order.lines.exists(l, l.qty == 0)",
        "data.order.lines.exists_one(l, l.sku == 'a')",
        "data.order.lines.all(l, l.sku in data.order.lines.map(m, m.sku))",
        "data.order.lines.filter(l, l.qty > 0).size() == 1",
        "data.order.lines.map(l, l.qty > 0, l.sku) == ['a']",
        "data.order.exists(name, name == 'lines')",
        "'x' in data.tags && 'price' in data && !('z' in data)",
        "data.empty.all(x, false) && !data.empty.exists(x, true)",
        "size(data.tags) == 2 && data.symbol.size() == 4",
        "data.symbol.startsWith('AA') && data.symbol.endsWith('L') && data.symbol.contains('AP')",
        "data.symbol.matches('^[A-Z]+$') && data.symbol.lowerAscii() == 'aapl'",
        "key == 'k1' && params.region == 'eu' && op == 'upsert'",
        "time > timestamp('2024-01-01T00:00:00Z') && time.getHours() == 7 && time.getHours('+02:00') == 9",
        "time - timestamp('2024-05-06T07:08:09Z') == duration('500ms')",
        "(data.size > 5 ? 'large' : 'small') == 'large'",
        "data.size % 2 == 1 && data.size / 2 == 3 && -data.size == -7",
        "data.nothing == 1 || data.active",
        "data.active || data.nothing == 1",
        "!(data.nothing == 1 && !data.active)",
        "int(data.price) == 101 && double(data.size) * 2.0 == 14.0 && string(data.size) == '7'",
        "{'a': 1, 'b': data.size}['b'] == 7 && [1, data.size][1] == 7",
        "dyn(1) == 1u && dyn('a') != 1",
        "data.order == {'lines': data.order.lines, 'odd name': 1.0}",
    ] {
        assert_eq!(evaluate(source), Ok(true), "{source}");
    }
}

#[test]
fn what_fails_for_an_event() {
    for (source, failure) in [
        ("data.nothing == 1", Failure::NoSuchField),
        ("data.order.lines[7].sku == 'a'", Failure::NoSuchField),
        ("data.symbol.deeper == 1", Failure::NoSuchOverload),
        ("data.symbol > 1", Failure::NoSuchOverload),
        ("data.price * data.size > 1.0", Failure::NoSuchOverload),
        ("data.size / 0 == 1", Failure::DivisionByZero),
        ("data.big + 1u > 0u", Failure::OutOfRange),
        ("int(data.symbol) == 1", Failure::NotConvertible),
        ("data.size", Failure::NotBool),
        ("data.nothing == 1 || !data.active", Failure::NoSuchField),
        ("data.symbol && true", Failure::NoSuchOverload),
        ("time.getHours('Europe/Berlin') == 9", Failure::NotConvertible),
    ] {
        assert_eq!(evaluate(source), Err(failure), "{source}");
    }
}

/// The source, the column, a part of the message, a part of the hint.
#[test]
fn what_is_refused_and_where() {
    for (source, column, message, hint) in [
        ("", 1, "ends where a value is expected", ""),
        ("data.price >", 13, "ends where a value is expected", ""),
        ("date.price > 1", 1, "no variable `date`", "`data`"),
        ("prices > 1", 1, "no variable `prices`", "data, key, time, params, op"),
        ("params.regoin == 'eu'", 8, "`params` has no field `regoin`", "`region`"),
        ("data.é == 1", 6, "`é` means nothing", ""),
        ("data.a == 'é' && dat.b == 1", 18, "no variable `dat`", "`data`"),
        ("data.a.startWith('x')", 8, "no function `startWith`", "`startsWith`"),
        ("data.a.exist(x, x)", 8, "no function `exist`", "`exists`"),
        ("data.a = 1", 8, "`=` means nothing", "`==`"),
        ("data.a == 1 and data.b == 2", 13, "`and` stands where an operator", "`&&`"),
        ("data.a & data.b", 8, "`&` means nothing", "`&&`"),
        ("key > 5", 5, "`>` does not take null or string and int", ""),
        ("key == 5", 5, "`==` does not take null or string and int", ""),
        ("1.5 * 2 > 1.0", 5, "`*` does not take double and int", "`2.0`"),
        ("time.price == 1", 6, "timestamp has no fields", ""),
        ("!5", 1, "`!` does not take int", ""),
        ("data.a && 5", 11, "`&&` wants a bool", ""),
        ("data.a in 'abc'", 8, "`in` looks into a list", ".contains()"),
        ("size(data.a, 1) > 1", 1, "so many arguments", ""),
        ("data.a.int()", 8, "`int` is no method", "`int(…)`"),
        ("contains(data.a, 'x')", 1, "`contains` is a method", ""),
        ("type(data.a) == int", 1, "`type()`: not supported", ""),
        ("data.a.split(',')[0] == 'x'", 8, "`split()`: not supported", ""),
        ("data.?a == 1", 6, "optional values: not supported", ""),
        ("Thing{a: 1}", 1, "no variable `Thing`", ""),
        ("data{a: 1}", 5, "messages: not supported", ""),
        (".data == 1", 1, "begin with a dot: not supported", ""),
        ("data.in == 1", 6, "behind a dot", "[\"in\"]"),
        ("if == 1", 1, "reserved", ""),
        ("data.a.matches(data.b)", 16, "constant", ""),
        ("data.a.matches('(')", 16, "unclosed group", ""),
        ("data.a.matches('(a{999}){999}')", 16, "too large", ""),
        ("data.a == 'x", 11, "does not end", ""),
        ("data.a == '\\d'", 12, "unknown escape", "backslash"),
        ("9223372036854775808 == data.a", 1, "too large for an int", "`u`"),
        ("has(data)", 1, "`has` takes a field", ""),
        ("data.a.all(x.y, true)", 13, "`.` stands where `,` is expected", ""),
        ("data.a.all(x, x.b.all(y, y.c.all(z, true)))", 30, "more than one other macro", "once"),
        ("{1.5: 2} == data", 2, "double is no key", ""),
        ("data.a == 1)", 12, "`)` stands where", ""),
    ] {
        match Expression::parse(source, &variables()) {
            Ok(parsed) => panic!("{source} was parsed as {parsed}"),
            Err(error) => {
                let told = error.hint.clone().unwrap_or_default();
                assert!(
                    error.column == column && error.message.contains(message) && told.contains(hint),
                    "{source}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn a_condition_can_be_true() {
    assert!(Expression::condition("data.price", &variables()).is_ok(), "what it is, nobody knows before");
    for source in ["data.price + 1", "size(key)"] {
        let error = Expression::condition(source, &variables()).unwrap_err();
        assert_eq!((error.column, error.message.as_str()), (1, "a condition is true or false, and this is int"));
    }
}

/// Sources that mean the same print the same, and what is printed is parsed to the same.
#[test]
fn the_normal_form() {
    for (source, canonical) in [
        ("data.a==1", "data.a==1"),
        (" data . a // comment\n == 1 ", "data.a==1"),
        ("data['a'] == 1", "data.a==1"),
        ("data['odd name'] == data['in']", "data[\"in\"]==data[\"odd name\"]"),
        ("1 == data.a", "data.a==1"),
        ("null != data.a", "data.a!=null"),
        ("data.b == data.a", "data.a==data.b"),
        ("data.c == (data.a == data.b)", "data.a==data.b==data.c"),
        ("(data.c == data.d) == (data.b == data.a)", "data.a==data.b==(data.c==data.d)"),
        ("1 < data.a && 'x' in data.b && 2 - data.a == 1", "1<data.a&&\"x\" in data.b&&2-data.a==1"),
        ("data.b == 1 && 1 == data.a || data.a == 2", "data.b==1&&data.a==1||data.a==2"),
        ("((data.a)) && (data.b && data.c)", "data.a&&data.b&&data.c"),
        ("(data.a || data.b) && data.c", "(data.a||data.b)&&data.c"),
        ("data.a - (data.b - data.c)", "data.a-(data.b-data.c)"),
        ("(data.a - data.b) - data.c", "data.a-data.b-data.c"),
        ("data.a * (data.b + 1)", "data.a*(data.b+1)"),
        ("-(data.a) - -5", "-data.a--5"),
        ("!(data.a == 1)", "!(data.a==1)"),
        ("data.a ? data.b : data.c ? 1 : 2", "data.a?data.b:data.c?1:2"),
        ("(data.a ? data.b : data.c) ? 1 : 2", "(data.a?data.b:data.c)?1:2"),
        ("data.a == 1 + 2", "data.a==3"),
        ("data.a == 0x10 && 'a' + \"b\" == data.b", "data.a==16&&data.b==\"ab\""),
        ("data.a == 1e5 || data.a == 100000.5", "data.a==1e5||data.a==100000.5"),
        ("data.a in ['x', 'y']", "data.a in [\"x\",\"y\"]"),
        ("data.a.size() == 1", "size(data.a)==1"),
        ("matches(data.a, r'\\d')", "data.a.matches(\"\\\\d\")"),
        ("time < timestamp('2024-01-01T01:00:00+01:00')", "time<timestamp(\"2024-01-01T00:00:00Z\")"),
        ("duration('90m') == duration('1h30m')", "true"),
        ("true && data.a", "true&&data.a"),
        ("true && data.a == 1", "data.a==1"),
        ("false && data.a == 1", "false"),
        ("data.a == 1 || true", "true"),
        ("1 / 0 == 1 || data.a == 1", "1/0==1||data.a==1"),
        ("data.a.map(x, x.b > 1, x.c)", "data.a.map(x,x.b>1,x.c)"),
        ("has(data.a) && has(data['b c'])", "has(data.a)&&has(data[\"b c\"])"),
        ("{'a': data.b}.a == {1: 2}[1]", "{\"a\":data.b}.a==2"),
        ("data.a == b'\\xff\\n'", "data.a==b\"\\xff\\n\""),
        ("data.a == double('inf')", "data.a==double(\"inf\")"),
        ("- -9223372036854775808 == data.a", "--9223372036854775808==data.a"),
    ] {
        let expression = Expression::parse(source, &variables()).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(expression.canonical(), canonical, "{source}");
        let again = Expression::parse(canonical, &variables()).unwrap_or_else(|error| panic!("{canonical}: {error}"));
        assert_eq!(again, expression, "{source}");
    }
}

#[test]
fn what_it_reads() {
    let source = "data.a.b == 1 && data.a.b.c > 2 && has(data.d) && data.e.exists(x, x.f == key)";
    let expression = Expression::parse(source, &variables()).unwrap();
    let paths: Vec<String> = expression.paths("data").map(ToString::to_string).collect();
    assert_eq!(paths, ["data.a.b", "data.d", "data.e"]);
    assert!(expression.reads("key") && !expression.reads("op"));
    let whole = Expression::parse("data.a == 1 && size(data) > 1", &variables()).unwrap();
    assert_eq!(whole.paths("data").map(ToString::to_string).collect::<Vec<_>>(), ["data"]);
}

#[test]
fn values_beside_conditions() {
    let expression = Expression::parse("data.size + 1", &variables()).unwrap();
    assert_eq!(expression.kinds(), Kinds::of(Kind::Int));
    let params = Params::default();
    let event = Event::new(DATA.as_bytes(), None, Timestamp::from_millis(0), &params);
    assert!(matches!(expression.evaluate(&event), Ok(Value::Int(8))));
    let constant = Expression::parse("1 + 1", &variables()).unwrap();
    assert!(matches!(constant.constant(), Some(Value::Int(2))));
}
