//! Where tokens come from (RFC 9728): who is refused can find out.

use serde_json::json;

use crate::rig::{ISSUER, answered, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_finds_the_issuer() {
    let server = start();
    let at = server.address();
    let refused = answered(at, "GET", "/v1/rooms/a/messages", None, &[], "").await;
    let url = format!("http://{at}/.well-known/oauth-protected-resource");
    let challenge = refused.head.header("www-authenticate").expect("a challenge");
    assert_eq!(challenge, format!("Bearer realm=\"tidegate\", resource_metadata=\"{url}\""));
    let bad = answered(at, "GET", "/v1/open/x", Some("no.such.token"), &[], "").await;
    let challenge = bad.head.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\"") && challenge.ends_with(&format!("\"{url}\"")), "{challenge}");
    let document = answered(at, "GET", "/.well-known/oauth-protected-resource", None, &[], "").await;
    assert_eq!(document.head.status, 200, "{document:?}");
    assert_eq!(document.body["resource"], json!(format!("http://{at}")));
    assert_eq!(document.body["authorization_servers"], json!([ISSUER]));
    assert_eq!(document.body["bearer_methods_supported"], json!(["header"]));
}
