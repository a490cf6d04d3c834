use serde_json::{Value, json};

use super::*;

fn ed25519(id: Option<&str>) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a set")
}

fn with(name: &str, value: Value) -> Value {
    let mut key = ed25519(Some("k"));
    key[name] = value;
    key
}

#[test]
fn keys_for_something_else_are_left_out() {
    let others = [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES256")),
        with("alg", json!("HS256")),
        with("d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")),
        with("crv", json!("X25519")),
        with("kty", json!("oct")),
        with("kty", json!("AKP")),
        with("x", json!(7)),
        with("x", json!("!")),
        json!("no object"),
        json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "RSA", "e": "AQAB" }),
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
    ];
    for key in others {
        let set = set(&[key.clone(), ed25519(Some("good"))]);
        assert_eq!((set.keys.len(), set.left_out.len()), (1, 1), "{key}");
    }
}

#[test]
fn no_key_that_is_read_can_be_a_secret() {
    let set = set(&[ed25519(None), json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" })]);
    for algorithm in Algorithm::OF_SECRET {
        assert_eq!(set.candidates(*algorithm, None).count(), 0);
    }
}

#[test]
fn a_key_id_chooses_and_keys_without_one_are_tried() {
    let set = set(&[ed25519(Some("a")), ed25519(None), ed25519(Some("b")), ed25519(None)]);
    let ids = |id| set.candidates(Algorithm::EdDSA, id).map(|key| key.id.as_deref()).collect::<Vec<_>>();
    assert_eq!(ids(Some("b")), [Some("b")]);
    assert_eq!(ids(Some("c")), [None, None]);
    assert_eq!(ids(None), [Some("a"), None, Some("b"), None]);
}

#[test]
fn many_keys_are_neither_read_nor_tried() {
    let set = set(&vec![ed25519(None); KEYS_MAX + 10]);
    assert_eq!((set.keys.len(), set.left_out.len()), (KEYS_MAX, 1));
    assert_eq!(set.candidates(Algorithm::EdDSA, None).count(), TRIES_MAX);
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "{}", "[]", "{\"keys\":7}", "{\"keys\":[]", "no keys", "-----BEGIN PUBLIC KEY-----"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let set = KeySet::parse(private.as_bytes()).expect("PEM");
    assert!(set.left_out[0].contains("private key"), "{:?}", set.left_out);
}
