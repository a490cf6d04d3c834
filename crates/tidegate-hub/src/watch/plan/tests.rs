use super::*;
use crate::publish::Format;
use crate::testing::{TestHub, cursor, target};

fn request(address: &str) -> WatchRequest {
    WatchRequest::new(target(address))
}

fn key(hub: &Hub, address: &str, text: &str) -> Result<Option<Box<str>>, ErrorCode> {
    let request = WatchRequest { key: Some(text.into()), ..request(address) };
    hub.plan(&request).map(|plan| plan.view.scope.key).map_err(|problem| problem.code)
}

#[tokio::test]
async fn a_key_has_one_spelling() {
    let hub = TestHub::new();
    for address in ["seats/main", "seats/*"] {
        assert_eq!(key(&hub, address, r#" [1, "\u007a"]"#), Ok(Some(r#"[1,"z"]"#.into())));
        for none in ["[1]", "1", "[1,[2]]", ""] {
            assert_eq!(key(&hub, address, none), Err(ErrorCode::Unprocessable), "{none}");
        }
    }
    assert_eq!(key(&hub, "kv/eu", "a b"), Ok(Some("a b".into())));
    assert_eq!(key(&hub, "kv/eu", ""), Err(ErrorCode::Unprocessable));
    assert_eq!(key(&hub, "chat/a", "x"), Err(ErrorCode::Invalid));
}

#[tokio::test]
async fn history_from_the_next_record_is_now() {
    let hub = TestHub::new();
    let published = hub.post("kv/eu", Format::Json, r#"{"id":"a"}"#).await.expect("published");
    let now = |request: &WatchRequest| hub.plan(request).map(|plan| plan.now).expect("a plan");
    assert!(now(&request("chat/a")));
    assert!(now(&WatchRequest { from: Some(From::Now), ..request("kv/eu") }));
    assert!(now(&WatchRequest { snapshot: Some(false), ..request("kv/eu") }));
    assert!(!now(&request("kv/eu")));
    assert!(!now(&WatchRequest { from: Some(From::Start), ..request("chat/a") }));
    assert!(!now(&WatchRequest { from: Some(From::Time(Millis(0))), ..request("chat/a") }));
    let after = Some(cursor(&published));
    assert!(!now(&WatchRequest { after, snapshot: Some(false), ..request("kv/eu") }));
    assert!(!now(&WatchRequest { after, from: Some(From::Now), ..request("kv/eu") }));
}
