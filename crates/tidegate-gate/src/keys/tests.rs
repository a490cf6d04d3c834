use super::*;

fn named(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), ..NewKey::default() }
}

#[test]
fn what_is_stored_brings_all_keys_back_and_holds_no_secret() {
    let keys = ApiKeys::new();
    let new =
        NewKey { subject: Some("alice".into()), scopes: vec!["read".into()], expires: Some(9), ..named("laptop") };
    let created = keys.create(&new, 1).expect("a key");
    let text = created.text.expose();
    let secret = Parts::parse(text).expect("our own text").secret;
    assert!(!String::from_utf8_lossy(&created.entry).contains(secret));
    assert!(keys.identify(&created.text, 1).is_err(), "not accepted before it is stored");

    let again = ApiKeys::new();
    again.load(&created.entry).expect("our own entry");
    let principal = again.identify(&created.text, 1).expect("the key");
    assert_eq!((principal.subject(), principal.expires()), (Some("alice"), Some(9)));
    let listed = again.list();
    assert_eq!((&*listed[0].id, &*listed[0].name, listed[0].created), (&*created.id, "laptop", 1));
    assert!(!serde_json::to_string(&listed).expect("JSON").contains("hash"));
}

#[test]
fn a_revocation_is_stored_and_the_first_one_counts() {
    let keys = ApiKeys::new();
    let created = keys.create(&named("a"), 1).expect("a key");
    keys.load(&created.entry).expect("our own entry");
    keys.revoke(&created.id, 5).expect("written");
    let entry = keys.revoke(&created.id, 7).expect("written").expect("it is there");
    let again = ApiKeys::new();
    again.load(&entry).expect("our own entry");
    assert_eq!(again.list()[0].revoked, Some(5));
    assert_eq!(again.identify(&created.text, 1).expect_err("revoked").reason(), Reason::ApiKey);
    assert_eq!(keys.revoke("0000000000000000", 1), Ok(None));
    assert!(keys.forget(&created.id) && !keys.forget(&created.id));
}

#[test]
fn two_keys_are_never_equal() {
    let keys = ApiKeys::new();
    let texts: std::collections::HashSet<String> =
        (0..1_000).map(|_| keys.create(&named("a"), 1).expect("a key").text.expose().to_owned()).collect();
    assert_eq!(texts.len(), 1_000);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let keys = ApiKeys::new();
    let scope = |scope: &str| NewKey { scopes: vec![scope.to_owned()], ..named("a") };
    let wrong = [
        named(""),
        named(&"n".repeat(201)),
        named("a\nb"),
        NewKey { subject: Some(String::new()), ..named("a") },
        scope(""),
        scope("a b"),
        scope("a\"b"),
        scope("é"),
        NewKey { scopes: vec!["s".to_owned(); SCOPES_MAX + 1], ..named("a") },
    ];
    for new in wrong {
        assert!(matches!(keys.create(&new, 1), Err(KeyError::Wrong(_))), "{new:?}");
    }
    for entry in ["", "{}", "[]", r#"{"id":"a"}"#] {
        assert!(matches!(keys.load(entry.as_bytes()), Err(KeyError::Entry(_))), "{entry}");
    }
}
