//! Expressions that were written to hurt: refused at once, or ended by a limit.

use std::time::{Duration, Instant};

use tidegate_cel::{Event, Expression, Failure, Params, Timestamp, limits};

/// Generous for a debug build on a busy machine; a source that is parsed without bounds takes seconds,
/// or the stack.
const SOON: Duration = Duration::from_millis(250);

fn parse(source: &str) -> Result<Expression, String> {
    let begin = Instant::now();
    let parsed = Expression::parse(source, &Event::variables([], false));
    let took = begin.elapsed();
    println!("{took:?} for {} bytes of {:.40}: {:.80?}", source.len(), source, parsed.as_ref().err());
    assert!(took < SOON, "{took:?} for {source:.60}");
    parsed.map_err(|error| error.message)
}

#[test]
fn what_is_too_much_is_refused_at_once() {
    let repeated = |text: &str, bytes: usize| text.repeat(bytes / text.len());
    let bytes_max = limits::SOURCE_BYTES_MAX;
    for source in [
        repeated("1+", 3000) + "1",
        repeated("data.a+", 3000) + "1",
        repeated("(", bytes_max),
        repeated("[", bytes_max),
        repeated("{1:", bytes_max),
        repeated("!", bytes_max - 1) + "a",
        repeated("-", bytes_max - 1) + "1",
        "data".to_owned() + &repeated(".b", 3000),
        "data".to_owned() + &repeated("[0]", 3000),
        repeated("true?", 3000),
        repeated("1?1:", 3000) + "1",
        repeated("data.a in ", 3000) + "data",
        repeated("data[", 3000),
        repeated("int(", 3000),
        repeated("data.all(x,", 3000),
        "data.matches('".to_owned() + &repeated("(a*)*", 3000) + "')",
        "data.matches('(((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9})')".to_owned(),
        r"data.matches('\\pL{1000}')".to_owned(),
        format!("data.matches('{}')", r"\\pL".repeat(120)),
        format!("data.matches('{}')", r"[^\\w\\s\\d]{9}".repeat(30)),
        "data.matches('(?i)".to_owned() + &repeated("[a-z]{9}?", 500) + "{99}')",
        "data.matches('".to_owned() + &repeated("(", 3000) + "')",
        "data.matches('".to_owned() + &repeated("\\\\w", 3000) + "')",
        repeated("\"a\"+", 3000) + "\"a\"",
        repeated("é", bytes_max),
        repeated("'", bytes_max - 1),
        repeated("1", bytes_max),
        repeated(" ", bytes_max),
        repeated("a", bytes_max + 1),
        repeated("//\n", bytes_max),
    ] {
        assert!(parse(&source).is_err(), "{source:.60}");
    }
}

/// What is long and flat is no crime.
#[test]
fn what_is_long_but_plain_is_taken() {
    let symbols: Vec<String> = (0..250).map(|at| format!("'S{at}'")).collect();
    assert!(parse(&format!("data.symbol in [{}]", symbols.join(","))).is_ok());
    let chain: Vec<String> = (0..50).map(|at| format!("data.a == {at}")).collect();
    assert!(parse(&chain.join(" || ")).is_ok());
    assert!(parse(&chain.join(" && ")).is_ok());
    assert!(parse(&format!("{}data.a{} == 1", "(".repeat(30), ")".repeat(30))).is_ok());
}

#[test]
fn no_evaluation_goes_on_without_end() {
    let list = format!("[{}]", vec!["1"; 3000].join(","));
    let long = "x".repeat(100_000);
    let data = format!("{{\"l\":{list},\"s\":\"{long}\",\"ab\":\"{}\"}}", "ab".repeat(50_000));
    let params = Params::default();
    for (source, failure) in [
        ("data.l.all(x, data.l.all(y, x + y > 0))", Failure::TooManySteps),
        ("data.l.map(x, data.l.map(y, [x, y])).size() > 0", Failure::TooManyBytes),
        ("data.l.map(x, data.l).map(x, x + x).size() > 0", Failure::TooManyBytes),
        ("data.l.exists(x, data.l != data.l)", Failure::TooManySteps),
        ("data.l.exists(x, data.s != data.s)", Failure::TooManySteps),
        ("data.l.exists(x, data.s.contains('y'))", Failure::TooManySteps),
        ("data.l.exists(x, size(data.s) == 1)", Failure::TooManySteps),
        ("data.s + data.s == ''", Failure::TooManyBytes),
        ("data.s.lowerAscii() == ''", Failure::TooManyBytes),
        ("data.ab.matches('[ab]*a[ab]{99}c')", Failure::TooManySteps),
        ("data.l.exists(x, data.s.matches('y')) || true", Failure::TooManySteps),
        ("data.l.exists(x, data.s in [data.s + 'y'])", Failure::TooManyBytes),
    ] {
        let expression = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let event = Event::new(data.as_bytes(), None, Timestamp::from_millis(0), &params);
        event.data();
        let begin = Instant::now();
        let result = expression.matches(&event);
        println!("{:?} until {result:?} of {source}", begin.elapsed());
        // Folded away: it is true whatever the rest would cost.
        let expected = if source.ends_with("|| true") { Ok(true) } else { Err(failure) };
        assert_eq!(result, expected, "{source}");
        assert!(begin.elapsed() < SOON, "{source}");
    }
}

/// The longest texts that a pattern may be given, made for the slowest of its engines: no two parts of
/// them are alike, so that no state of an automaton is met twice.
#[test]
fn a_pattern_takes_its_time_and_no_more() {
    for pattern in [
        "[ab]*a[ab]{99}[^ab]",
        "[ab]*a[ab]{30}[^ab]",
        "(a|b|ab|ba|aa|bb)*[^ab]",
        r"(\\w|\\d|\\s)*[^ab]",
        r"(\\w+\\s?)*[^ab]",
        "(?:a?){60}a{60}c?[^ab]",
    ] {
        let expression = parse(&format!("data.matches('{pattern}')")).expect("a pattern");
        let mut bytes = 256 << 10;
        // The longest that the steps allow, within a tenth.
        loop {
            let mut state = 1_u32;
            let text: String = (0..bytes)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if state >> 31 == 0 { 'a' } else { 'b' }
                })
                .collect();
            let data = format!("\"{text}\"");
            let params = Params::default();
            let event = Event::new(data.as_bytes(), None, Timestamp::from_millis(0), &params);
            event.data();
            let begin = Instant::now();
            let result = expression.matches(&event);
            assert!(begin.elapsed() < SOON);
            if result.is_ok() {
                println!("{:?} until {result:?} of {pattern} in {bytes} bytes", begin.elapsed());
                break;
            }
            bytes -= bytes / 10;
        }
    }
}

/// A limit is no ordinary failure: what decides otherwise does not hide it.
#[test]
fn nothing_absorbs_a_limit() {
    let data = format!("{{\"l\":[{}],\"t\":true}}", vec!["1"; 300].join(","));
    let params = Params::default();
    let event = Event::new(data.as_bytes(), None, Timestamp::from_millis(0), &params);
    for source in ["data.l.all(x, data.l.all(y, x == y)) || data.t", "data.l.all(x, data.l.all(y, x == y)) && !data.t"]
    {
        assert_eq!(
            parse(source).map(|expression| expression.matches(&event)),
            Ok(Err(Failure::TooManySteps)),
            "{source}"
        );
    }
    assert_eq!(parse("data.t || data.l.all(x, data.l.all(y, x == y))").map(|e| e.matches(&event)), Ok(Ok(true)));
}
