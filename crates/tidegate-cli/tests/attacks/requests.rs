//! Requests that mean one thing to one reader and another to the next, or more than they weigh.

use serde_json::json;
use tidegate_testkit::client::deflate::deflate;
use tidegate_testkit::raw::Raw;

use crate::rig::{Rig, VAULT, token};

/// Of each of these a proxy in front and a server behind could see another end. There is one answer at most, the connection
/// ends, and what was hidden behind is no request.
#[test]
fn header_smuggling() {
    let rig = Rig::start();
    let token = token(&json!({ "sub": "ann" }));
    let head = format!(
        "POST /v1/{VAULT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let hidden = format!(
        "POST /v1/{VAULT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n\"hidden\""
    );
    let body = "3\r\n\"a\"\r\n0\r\n\r\n";
    let attacks = [
        ("CL and TE", format!("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n{body}")),
        ("TE and CL", format!("Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n{body}")),
        ("TE behind a bare LF", format!("Content-Length: 13\r\nX-A: b\nTransfer-Encoding: chunked\r\n\r\n{body}")),
        ("TE in a folded line", format!("Transfer-Encoding:\r\n chunked\r\n\r\n{body}")),
        ("a folded line", "Content-Length: 3\r\nX-A: b\r\n c\r\n\r\n\"a\"".to_owned()),
        ("space before the colon", format!("Transfer-Encoding : chunked\r\n\r\n{body}")),
        ("TE of another name", format!("Transfer-Encoding: xchunked\r\n\r\n{body}")),
        ("TE that does not end with chunked", format!("Transfer-Encoding: chunked, identity\r\n\r\n{body}")),
        ("two TE", format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{body}")),
        ("two CL", "Content-Length: 3\r\nContent-Length: 4\r\n\r\n\"a\"".to_owned()),
        ("a list of CL", "Content-Length: 3, 4\r\n\r\n\"a\"".to_owned()),
        ("CL with a sign", "Content-Length: +3\r\n\r\n\"a\"".to_owned()),
        ("a bare CR", format!("X-A: b\rTransfer-Encoding: chunked\r\n\r\n{body}")),
        ("a NUL", "X-A: b\0c\r\nContent-Length: 3\r\n\r\n\"a\"".to_owned()),
        ("a chunk that ends with a bare LF", "Transfer-Encoding: chunked\r\n\r\n3\n\"a\"\n0\n\n".to_owned()),
        (
            "a chunk larger than any",
            "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\"a\"\r\n0\r\n\r\n".to_owned(),
        ),
    ];
    for (name, rest) in attacks {
        let mut raw = Raw::to(&rig.server);
        let _ = raw.try_write(format!("{head}{rest}{hidden}").as_bytes());
        let answer = raw.answer();
        assert!(matches!(answer.status, 200 | 400), "{name}: {}", answer.text());
        // Whatever was made of the first: nothing is read behind it.
        assert!(answer.status == 400 || raw.ended(), "{name}: the connection goes on");
    }
    let bearer = format!("Bearer {token}");
    let kept = Raw::to(&rig.server).send("GET", &format!("/v1/{VAULT}"), &[("authorization", bearer.as_str())], "");
    assert_eq!(kept.status, 200, "{}", kept.text());
    assert!(!kept.text().contains("hidden"), "{}", kept.text());
}

/// A browser sends the user's cookie with what a page of somebody else asks for.
#[test]
fn cross_site_websocket_with_a_cookie() {
    let rig = Rig::start();
    let cookie = format!("tidegate_token={}", token(&json!({ "sub": "ann" })));
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("cookie", cookie.as_str()),
    ];
    for path in [format!("/v1/{VAULT}"), "/v1/_ws".to_owned()] {
        for origin in ["http://evil.example", "null", "http://localhost.evil.example"] {
            let mut headers = upgrade.to_vec();
            headers.push(("origin", origin));
            assert_eq!(Raw::to(&rig.server).send("GET", &path, &headers, "").status, 403, "{path} {origin}");
        }
    }
    let mut headers = upgrade.to_vec();
    let own = format!("http://{}", rig.at());
    headers.extend([("origin", &*own)]);
    let mut raw = Raw::to(&rig.server);
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    raw.write(format!("GET /v1/{VAULT} HTTP/1.1\r\nhost: {}\r\n{lines}\r\n", rig.at()).as_bytes());
    assert!(raw.line().contains("101"), "its own page may");
}

/// A compressed body is not taken at all.
#[test]
fn decompression_bomb_of_a_body() {
    let rig = Rig::start();
    let bearer = format!("Bearer {}", token(&json!({ "sub": "ann" })));
    let bomb = deflate(&vec![b' '; 20 * 1024 * 1024]);
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let mut raw = Raw::to(&rig.server);
        let head = format!(
            "POST /v1/{VAULT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\nContent-Type: application/json\r\n\
             Content-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        let _ = raw.try_write(head.as_bytes()) && raw.try_write(&bomb);
        assert_eq!(raw.answer().status, 415, "{coding}");
    }
}

/// No spelling of a closed address is another address.
#[test]
fn path_tricks_in_addresses() {
    let rig = Rig::start();
    let bearer = format!("Bearer {}", token(&json!({ "sub": "ben" })));
    for path in [
        "/v1/vault/gold",
        "/v1/vault/%67old",
        "/v1/%76ault/gold",
        "/v1//vault/gold",
        "/v1/vault//gold",
        "/v1/./vault/gold",
        "/v1/docs/../vault/gold",
        "/v1/docs/%2e%2e/vault/gold",
        "/v1/docs/..%2fvault%2fgold",
        "/v1/vault/gold/",
        "/v1/vault/gold;x=1",
        "/v1/vault/gold%00",
        "/v1/vault/gold%20",
        "/v1/vault\\gold",
        "/v1/VAULT/gold",
        "/v1/vault/*",
        "/v1/*/gold",
        "/v1/*/*",
        "//localhost/v1/vault/gold",
        "/V1/vault/gold",
        "http://localhost/v1/vault/gold",
    ] {
        let answer = Raw::to(&rig.server).send("GET", path, &[("authorization", bearer.as_str())], "");
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
}
