use super::*;

fn tokens(source: &str) -> Result<Vec<Token<'_>>, String> {
    let mut lexer = Lexer::new(source);
    let mut found = Vec::new();
    loop {
        match lexer.next().map_err(|refusal| refusal.message)?.0 {
            Token::End => return Ok(found),
            token => found.push(token),
        }
    }
}

fn one(source: &str) -> Token<'_> {
    let mut found = tokens(source).unwrap_or_else(|message| panic!("{source}: {message}"));
    assert_eq!(found.len(), 1, "{source}");
    found.remove(0)
}

#[test]
fn numbers() {
    assert_eq!(one("42"), Token::Int(42));
    assert_eq!(one("0xFf"), Token::Int(255));
    assert_eq!(one("0x10U"), Token::Uint(16));
    assert_eq!(one("7u"), Token::Uint(7));
    assert_eq!(one(".5"), Token::Double(0.5));
    assert_eq!(one("1e-2"), Token::Double(0.01));
    assert_eq!(tokens("1.size").unwrap(), [Token::Int(1), Token::Symbol("."), Token::Name("size")]);
    for source in ["18446744073709551616", "0x", "1x", "1e", "1.5u", "0x1g"] {
        assert!(tokens(source).is_err(), "{source}");
    }
}

#[test]
fn strings() {
    let string = |text: &str| Token::String(text.to_owned());
    assert_eq!(one(r#"'a"b'"#), string("a\"b"));
    assert_eq!(one("'''a'b\n'''"), string("a'b\n"));
    assert_eq!(one(r#"r"\d\""#), string(r"\d\"));
    assert_eq!(one(r#""\x41\u00e9\U0001F600\101\n""#), string("A\u{e9}\u{1f600}A\n"));
    assert_eq!(one(r"b'\xff\377é'"), Token::Bytes(vec![0xff, 0xff, 0xc3, 0xa9]));
    assert_eq!(one(r"rb'\x'"), Token::Bytes(b"\\x".to_vec()));
    for source in
        ["'", "'a\nb'", "'''a''", r"'\q'", r"'\x1'", r"'\ud800'", r"'\U00110000'", r"b'\u0041'", r"'\400'", "'\\é'"]
    {
        assert!(tokens(source).is_err(), "{source}");
    }
}

#[test]
fn the_rest() {
    let found = tokens("a // comment\n<= `b-c`").unwrap();
    assert_eq!(found, [Token::Name("a"), Token::Symbol("<="), Token::Quoted("b-c")]);
    for source in ["a = b", "a & b", "a | b", "#", "é", "``", "`a"] {
        assert!(tokens(source).is_err(), "{source}");
    }
}
