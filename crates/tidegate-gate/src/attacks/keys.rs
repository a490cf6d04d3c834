//! Attacks on API keys and client certificates.

use super::*;
use crate::{NewKey, SecretHash};

fn with_key(expires: Option<u64>) -> (Gate, Arc<ApiKeys>, String, String) {
    let keys = Arc::new(ApiKeys::new());
    let new = NewKey { name: "tests".to_owned(), scopes: vec!["read".to_owned()], expires, ..NewKey::default() };
    let created = keys.create(&new, NOW).expect("a key");
    keys.load(&created.entry).expect("our own entry");
    let gate = Gate::new(&GateConfig::default(), Arc::clone(&keys)).expect("a config");
    (gate, keys, created.id, created.text.expose().to_owned())
}

async fn show_key(gate: &Gate, text: &str, now: u64) -> Result<Principal, Refusal> {
    gate.identify_at(&Credential::from_text(text).expect("a credential"), now).await
}

#[tokio::test]
async fn a_key_with_another_secret_id_or_length() {
    let (gate, _keys, id, text) = with_key(None);
    let principal = show_key(&gate, &text, NOW).await.expect("the key");
    assert_eq!(principal.api_key_id(), Some(&*id));
    assert!(principal.has_scope("read"));
    for at in crate::PREFIX.len()..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert_eq!(show_key(&gate, &changed, NOW).await.expect_err("changed").reason(), Reason::ApiKey, "{changed}");
    }
    let secret = &text[crate::PREFIX.len() + id.len() + 1..];
    for changed in
        ["tgk_".to_owned(), format!("tgk_{id}"), format!("tgk_{id}_"), format!("{text}a"), format!("tgk_{secret}")]
    {
        assert_eq!(show_key(&gate, &changed, NOW).await.expect_err("changed").reason(), Reason::ApiKey, "{changed}");
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_or_has_expired() {
    let (gate, keys, id, text) = with_key(Some(NOW + 10));
    assert!(show_key(&gate, &text, NOW + 9).await.is_ok());
    assert_eq!(show_key(&gate, &text, NOW + 10).await.expect_err("expired").reason(), Reason::Expired);
    assert!(keys.revoke(&id, NOW).expect("written").is_some());
    assert_eq!(show_key(&gate, &text, NOW).await.expect_err("revoked").reason(), Reason::ApiKey);
}

#[test]
fn timing_of_key_comparison_is_constant_by_construction() {
    // The only way to compare two is `matches`, which is aws-lc's constant-time comparison; that there
    // is no `==` is shown by a test in the documentation of the type.
    assert!(SecretHash::of(b"a").matches(&SecretHash::of(b"a")));
    assert!(!SecretHash::of(b"a").matches(&SecretHash::of(b"b")));
}

#[tokio::test]
async fn a_certificate_where_certificates_are_no_credential() {
    let certificate = |subject: &str, expires| Credential::Certificate { subject: subject.into(), expires };
    let gate = gate(Vec::new());
    let refusal = gate.identify_at(&certificate("CN=alice", NOW + 1), NOW).await.expect_err("not taken");
    assert_eq!(refusal.reason(), Reason::Certificate);
    let config = GateConfig { certificates: true, ..GateConfig::default() };
    let gate = Gate::new(&config, Arc::new(ApiKeys::new())).expect("a config");
    let principal = gate.identify_at(&certificate("CN=\"a\"", NOW + 1), NOW).await.expect("taken");
    assert_eq!(principal.subject(), Some("CN=\"a\""));
    assert_eq!(principal.claims(), r#"{"sub":"CN=\"a\""}"#);
    for (subject, expires) in [("CN=alice", NOW), ("", NOW + 1)] {
        assert!(gate.identify_at(&certificate(subject, expires), NOW).await.is_err());
    }
}

#[tokio::test]
async fn nothing_shown_is_nobody_and_no_refusal() {
    let principal = gate(Vec::new()).identify_at(&Credential::None, NOW).await.expect("nobody");
    assert!(principal.is_anonymous());
    assert_eq!(principal.claims(), "{}");
}
