//! Nobody gets an answer that was kept for, or read with, somebody who sees other rows.

use super::*;

fn sub(name: &str) -> Caller {
    Caller::with_claims(format!(r#"{{"sub":"{name}"}}"#)).expect("claims")
}

fn text(made: &Made) -> String {
    String::from_utf8_lossy(&made.body).into_owned()
}

#[tokio::test]
async fn what_is_kept_for_one_is_not_shown_to_another() {
    let rig = Rig::new(64 * MIB);
    for name in ["a", "b"] {
        rig.upsert("own/0", name, format!(r#"{{"owner":"{name}"}}"#));
        rig.append("own-events", Op::Append, "own-events/0", None, format!(r#"{{"owner":"{name}"}}"#));
    }
    for url in ["own/0", "own/*", "own/0?key=a", "own/0?key=b", "own-events/0", "own-events/0?limit=1"] {
        for _ in 0..2 {
            for (own, other) in [("a", "b"), ("b", "a")] {
                let made = rig.get_by(&sub(own), url).await;
                let of_other = format!(r#""owner":"{other}""#);
                assert!(!text(&made).contains(&of_other), "{url} as {own}: {}", text(&made));
                let visible = !url.contains("key=") || url.ends_with(own);
                assert_eq!(text(&made).contains(&format!(r#""owner":"{own}""#)), visible, "{url} as {own}");
            }
        }
    }
    assert!(rig.gateway.answers.figures().kept >= 12, "each was kept for who asks the same");
}

/// Else a change of what is hidden would be seen by the ETag.
#[tokio::test]
async fn a_hidden_row_has_no_etag_and_no_tag_of_what_is_seen_is_strong() {
    let rig = Rig::new(64 * MIB);
    rig.upsert("own/0", "a", r#"{"owner":"a"}"#.to_owned());
    let absent = rig.get_by(&sub("b"), "own/0?key=a").await;
    let never = rig.get_by(&sub("b"), "own/0?key=nothing").await;
    assert_eq!((&absent.etag, &never.etag), (&None, &None));
    for url in ["own/0", "own/0?key=a"] {
        let made = rig.get_by(&sub("a"), url).await;
        let tag = made.etag.as_ref().expect("a tag").to_str().expect("text").to_owned();
        assert!(tag.starts_with("W/"), "{url}: {tag}");
    }
}

#[tokio::test]
async fn a_masked_column_does_not_leak_by_an_etag() {
    let rig = Rig::new(64 * MIB);
    let mut tags = Vec::new();
    for row in [r#"{"n":1,"ssn":1}"#, r#"{"n":1,"ssn":2}"#, r#"{"n":2,"ssn":2}"#] {
        rig.upsert("masked/0", "k", row.to_owned());
        let made = rig.get("masked/0?key=k").await;
        assert!(!text(&made).contains("ssn"), "{}", text(&made));
        tags.push(made.etag.clone().expect("a tag"));
    }
    assert!(tags[0] == tags[1] && tags[1] != tags[2], "{tags:?}");
}
