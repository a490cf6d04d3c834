//! What is revoked, for whom and until when.

use tidegate_core::principal::{Principal, Shown, Vouched};

use super::*;

const NOW: u64 = 1_000;

fn token(issuer: &str, subject: &str, id: &str) -> Principal {
    let text = |text: &str| Some(text.into());
    let vouched = Vouched {
        shown: Shown::Token,
        issuer: text(issuer),
        subject: text(subject),
        token_id: text(id),
        ..Vouched::default()
    };
    vouched.into()
}

fn revoke(revocations: &Revocations, what: Revoked, name: &str, issuer: Option<&str>, until: Option<u64>) -> Box<str> {
    let new = NewRevocation { what, name: name.to_owned(), issuer: issuer.map(str::to_owned), until };
    let (revocation, bytes) = revocations.create(new, NOW).expect("a revocation");
    revocations.load(&bytes).expect("our own bytes");
    revocation.id.clone()
}

#[test]
fn a_revocation_is_of_what_it_names_alone() {
    let revocations = Revocations::new();
    let good = |principal: &Principal| revocations.check(principal, NOW).is_ok();
    let (ann, other_ann, ben) = (token("a", "ann", "1"), token("b", "ann", "2"), token("a", "ben", "3"));
    assert!(good(&ann));
    let here = revoke(&revocations, Revoked::Subject, "ann", Some("a"), None);
    assert_eq!((good(&ann), good(&other_ann), good(&ben)), (false, true, true));
    let everywhere = revoke(&revocations, Revoked::Subject, "ann", None, None);
    assert_eq!((good(&ann), good(&other_ann), good(&ben)), (false, false, true));
    assert!(revocations.remove(&here) && !revocations.remove(&here));
    assert!(!good(&ann));
    assert!(revocations.remove(&everywhere));
    revoke(&revocations, Revoked::TokenId, "3", None, None);
    assert_eq!((good(&ann), good(&ben)), (true, false));
    // An API key of the name of a token, and a subject of the name of a key.
    let key = Principal::from(Vouched { shown: Shown::ApiKey, api_key_id: Some("3".into()), ..Vouched::default() });
    assert!(good(&key));
    revoke(&revocations, Revoked::ApiKey, "3", None, None);
    assert!(!good(&key) && good(&Principal::anonymous()) && good(&token("a", "3", "9")));
}

#[test]
fn a_revocation_ends_with_its_second() {
    let revocations = Revocations::new();
    let ann = token("a", "ann", "1");
    let id = revoke(&revocations, Revoked::Subject, "ann", None, Some(NOW + 5));
    assert!(revocations.check(&ann, NOW + 4).is_err());
    assert!(revocations.check(&ann, NOW + 5).is_ok());
    assert_eq!(revocations.list(NOW + 4).len(), 1);
    assert!(revocations.list(NOW + 5).is_empty());
    // The same again is the same, with the new time.
    assert_eq!(revoke(&revocations, Revoked::Subject, "ann", None, Some(NOW + 9)), id);
    assert!(revocations.check(&ann, NOW + 8).is_err());
    assert_eq!(revocations.purge(NOW + 9), [id]);
    assert!(revocations.purge(NOW + 9).is_empty());
    let past = NewRevocation { what: Revoked::Subject, name: "ann".into(), issuer: None, until: Some(NOW) };
    assert!(matches!(revocations.create(past, NOW), Err(RevocationError::Wrong(_))));
}

#[test]
fn a_credential_is_revoked_as_narrowly_as_it_can_be() {
    let of = |principal: &Principal| NewRevocation::of_credential(principal, None).map(|new| (new.what, new.name));
    assert_eq!(of(&token("a", "ann", "1")), Some((Revoked::TokenId, "1".to_owned())));
    let plain = Principal::from(Vouched { token_id: None, ..token("a", "ann", "1").vouched() });
    assert_eq!(of(&plain), Some((Revoked::Subject, "ann".to_owned())));
    assert_eq!(of(&Principal::anonymous()), None);
}

#[tokio::test]
async fn those_who_wait_are_told() {
    let revocations = Revocations::new();
    let mut changed = revocations.changed();
    revoke(&revocations, Revoked::Subject, "ann", None, None);
    changed.changed().await.expect("told");
}
