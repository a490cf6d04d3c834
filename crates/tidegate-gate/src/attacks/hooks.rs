//! Attacks by and through applications that are asked.

use super::site::Site;
use super::*;
use crate::{Denied, FetchConfig, Hook, Hooks, HooksConfig};

fn config(url: &str) -> HooksConfig {
    HooksConfig {
        connect: None,
        watch: Some(url.to_owned()),
        publish: None,
        secret: Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDuVXjZ2mf4tk="),
        timeout: Duration::from_millis(500),
        cache: Duration::from_secs(600),
        allow_when_down: false,
        forward: Vec::new(),
    }
}

fn hooks(url: &str) -> Hooks {
    Hooks::new(&config(url), &FetchConfig::default()).expect("a config")
}

async fn ask(hooks: &Hooks, about: &str) -> Result<(), Denied> {
    hooks.ask(Hook::Watch, format!("{{\"address\":\"{about}\"}}")).await.map(drop)
}

#[test]
fn ssrf_through_a_hook_url() {
    for url in [
        "http://app.example/watch",
        "https://10.0.0.1/watch",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/",
        "https://user:pass@app.example/watch",
        "file:///etc/passwd",
        "watch",
    ] {
        assert!(Hooks::new(&config(url), &FetchConfig::default()).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_hook_that_redirects_inside() {
    let (site, inside) = (Site::new().await, Site::new().await);
    inside.page("/watch", r#"{"allow":true}"#);
    let location = inside.url("/watch");
    for status in [301, 302, 303, 307, 308] {
        let head =
            format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        site.raw("/watch", head);
        assert!(matches!(ask(&hooks(&site.url("/watch")), "a").await, Err(Denied::Down(_))), "{status}");
    }
    assert_eq!((site.hits(), inside.connections()), (5, 0));
}

#[tokio::test]
async fn an_answer_that_is_none_lets_nobody_in() {
    let site = Site::new().await;
    for body in ["", "true", "null", "[]", "{}", r#"{"allow":"true"}"#, r#"{"allow":1}"#, r#"{"allow":null}"#, "<html>"]
    {
        site.page("/watch", body);
        assert!(matches!(ask(&hooks(&site.url("/watch")), "a").await, Err(Denied::Down(_))), "{body}");
    }
    for head in ["204 No Content", "201 Created", "403 Forbidden", "500 No"] {
        site.raw(
            "/watch",
            format!("HTTP/1.1 {head}\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{{\"allow\":true}}"),
        );
        assert!(matches!(ask(&hooks(&site.url("/watch")), "a").await, Err(Denied::Down(_))), "{head}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{{\"allow\":true}}{}", " ".repeat(300 * 1024));
    site.raw("/watch", endless);
    assert!(matches!(ask(&hooks(&site.url("/watch")), "a").await, Err(Denied::Down(_))));
    site.hold();
    assert!(matches!(ask(&hooks(&site.url("/watch")), "a").await, Err(Denied::Down(_))));
}

#[tokio::test]
async fn an_answer_is_for_the_same_question_alone() {
    let site = Site::new().await;
    let hooks = hooks(&site.url("/watch"));
    site.page("/watch", r#"{"allow":true}"#);
    assert_eq!((ask(&hooks, "a").await, ask(&hooks, "a").await), (Ok(()), Ok(())));
    assert_eq!(site.hits(), 1);
    site.page("/watch", r#"{"allow":false,"reason":"no\r\nSet-Cookie: a=b"}"#);
    let reason = Some("noSet-Cookie: a=b".into());
    assert_eq!(ask(&hooks, "b").await, Err(Denied::Refused { reason }));
    assert_eq!((ask(&hooks, "a").await, site.hits()), (Ok(()), 2));
}
