//! Bad input of each kind gets a clear answer that says what to do, and loses nothing: after each
//! attack the server still serves.

mod common;

use common::chat_and_rows;
use serde_json::{Value, json};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Answer, Raw};

/// Runs `attack`, then sees that nothing but what it meant to publish was kept, and that the
/// server still publishes and reads.
fn survives(attack: impl FnOnce(&Server)) {
    let server = chat_and_rows();
    attack(&server);
    let answer = Raw::to(&server).publish("/v1/rooms/after/messages", r#"{"still":"here"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kept = Raw::to(&server).get("/v1/rooms/after/messages");
    assert_eq!(kept.json()["frames"].as_array().map(Vec::len), Some(1));
}

fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(body["code"], code);
    assert_eq!(body["type"], format!("/v1/_problems/{code}"));
    assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "a problem says what to do: {body}");
    body
}

#[test]
fn unknown_address_names_the_nearest_template() {
    survives(|server| {
        let answer = Raw::to(server).get("/v1/room/lobby/messages");
        let body = problem(&answer, 404, "channel-not-found");
        assert!(body["hint"].as_str().expect("hint").contains("rooms/{room}/messages"), "{body}");
        let page = Raw::to(server).get(body["type"].as_str().expect("type"));
        assert_eq!(page.status, 200);
        assert!(page.json()["cure"].is_string());
    });
}

#[test]
fn unknown_option_names_the_nearest() {
    survives(|server| {
        let answer = Raw::to(server).get("/v1/rooms/lobby/messages?aftr=x");
        let body = problem(&answer, 400, "unknown-option");
        assert_eq!(body["hint"], "did you mean `after`?");
        let body = problem(&Raw::to(server).get("/v1/_cursors"), 501, "not-built");
        assert!(body["detail"].as_str().expect("detail").contains("`/v1/_cursors`"));
    });
}

#[test]
fn malformed_cursor() {
    survives(|server| {
        for cursor in ["x", "%00", "AAAAAAAAAAAAAAAAAAAAAAAAzz", "tAAAAAAAAAAAAAAAAAAAAAAA"] {
            let answer = Raw::to(server).get(&format!("/v1/rooms/lobby/messages?after={cursor}"));
            problem(&answer, 400, "cursor-invalid");
            let stream = format!("/v1/rooms/lobby/messages?as=sse&after={cursor}");
            problem(&Raw::to(server).get(&stream), 400, "cursor-invalid");
        }
    });
}

#[test]
fn cursor_of_another_channel() {
    survives(|server| {
        let of_rows = Raw::to(server).get("/v1/rows/a").json()["cursor"].as_str().expect("cursor").to_owned();
        let answer = Raw::to(server).get(&format!("/v1/rooms/lobby/messages?after={of_rows}"));
        let body = problem(&answer, 400, "cursor-invalid");
        assert!(body["detail"].as_str().expect("detail").contains("another channel"));
    });
}

#[test]
fn cursor_of_another_scope_resets_state_and_continues_events() {
    survives(|server| {
        let put = Raw::to(server).send("PUT", "/v1/rows/a?key=1", &[], r#"{"id":"1"}"#);
        assert_eq!(put.status, 200, "{}", put.text());
        let cursor = put.json()["cursor"].as_str().expect("cursor").to_owned();
        let other = Raw::to(server).get(&format!("/v1/rows/b?after={cursor}"));
        assert_eq!(other.json()["frames"], json!([{ "op": "reset", "reason": "view" }]), "{}", other.text());
        assert_eq!(other.json()["cursor"], Value::Null);

        let lobby = Raw::to(server).publish("/v1/rooms/lobby/messages", "1").json();
        Raw::to(server).publish("/v1/rooms/attic/messages", "2");
        let cursor = lobby["cursor"].as_str().expect("cursor");
        let attic = Raw::to(server).get(&format!("/v1/rooms/attic/messages?after={cursor}")).json();
        assert_eq!(attic["frames"][0]["data"], 2, "{attic}");
    });
}

#[test]
fn oversized_body_is_refused_before_and_while_it_comes() {
    survives(|server| {
        let big = format!("\"{}\"", "x".repeat(3 * 1024 * 1024));
        let answer = Raw::to(server).publish("/v1/rooms/lobby/messages", &big);
        let body = problem(&answer, 413, "too-large");
        assert!(body["detail"].as_str().expect("detail").contains("nothing was accepted"), "{body}");

        let mut raw = Raw::to(server);
        raw.write(b"POST /v1/rooms/lobby/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024));
        for _ in 0..64 {
            if !raw.try_write(chunk.as_bytes()) {
                break;
            }
        }
        problem(&raw.answer(), 413, "too-large");
    });
}

#[test]
fn invalid_json_in_line_3_of_a_batch_accepts_nothing() {
    survives(|server| {
        let body = "{\"n\":1}\n{\"n\":2}\n{\"n\":3,}\n{\"n\":4}\n";
        let answer =
            Raw::to(server).send("POST", "/v1/rooms/lobby/messages", &[("content-type", "application/x-ndjson")], body);
        let found = problem(&answer, 400, "invalid");
        assert_eq!(found["line"], 3);
        assert!(found["detail"].as_str().expect("detail").contains("nothing was accepted"), "{found}");
        let kept = Raw::to(server).get("/v1/rooms/lobby/messages").json();
        assert_eq!(kept["frames"], json!([]));
    });
}

#[test]
fn a_batch_without_a_key_in_line_2_accepts_nothing() {
    survives(|server| {
        let answer = Raw::to(server).publish("/v1/rows/a", r#"[{"id":"1"},{"name":"no key"}]"#);
        let found = problem(&answer, 422, "unprocessable");
        assert!(found["detail"].as_str().expect("detail").contains("`id`"), "{found}");
        assert_eq!(Raw::to(server).get("/v1/rows/a").json()["rows"], json!([]));
    });
}

#[test]
fn nonsense_on_the_websocket_is_answered_then_closed() {
    survives(|server| {
        let mut socket = Raw::to(server).websocket("/v1/rooms/lobby/messages");
        assert_eq!(socket.next_json()["op"], "begin");
        socket.send_text("not json");
        assert_eq!(socket.next_json()["code"], "invalid");
        socket.send_text(r#"{"do":"pubish","ref":7}"#);
        let answer = socket.next_json();
        assert_eq!((&answer["ref"], &answer["hint"]), (&json!(7), &json!("did you mean `publish`?")));
        socket.send_text(r#"{"do":"window","ref":8}"#);
        assert_eq!(socket.next_json()["code"], "not-built");
        socket.send_text(r#"{"do":"watch","ref":8,"address":"rooms/lobby/messages"}"#);
        assert_eq!(socket.next_json()["code"], "invalid");
        socket.send_text(r#"{"do":"ping","ref":9}"#);
        assert_eq!(socket.next_json(), json!({ "op": "done", "ref": 9 }));
        for _ in 0..9 {
            socket.send_text("{}");
        }
        for _ in 0..9 {
            assert_eq!(socket.next_json()["op"], "problem");
        }
        assert_eq!(socket.next_close(), Some(4400));
    });
}

#[test]
fn broken_websocket_frames_close_with_the_right_code() {
    survives(|server| {
        for (bytes, code) in [
            (&[0x81, 0x01, b'a'][..], 1002),
            (&[0xc1, 0x80, 0, 0, 0, 0][..], 1002),
            (&[0x83, 0x80, 0, 0, 0, 0][..], 1002),
            (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007),
            (&[0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 1009),
        ] {
            let mut socket = Raw::to(server).websocket("/v1/rooms/lobby/messages");
            assert_eq!(socket.next_json()["op"], "begin");
            socket.write(bytes);
            assert_eq!(socket.next_close(), Some(code), "{bytes:x?}");
        }
    });
}

#[test]
fn header_bomb() {
    survives(|server| {
        let mut raw = Raw::to(server);
        raw.write(b"GET /v1/ HTTP/1.1\r\nhost: localhost\r\n");
        for number in 0..10_000 {
            if !raw.try_write(format!("x-bomb-{number}: {}\r\n", "x".repeat(100)).as_bytes()) {
                break;
            }
        }
        assert_eq!(raw.answer().status, 431);
        let long = format!("GET /v1/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000));
        let mut raw = Raw::to(server);
        raw.try_write(long.as_bytes());
        assert!(matches!(raw.answer().status, 414 | 431));
    });
}

/// In one write or byte by byte, it is the head that is measured, not what was read by then.
#[test]
fn a_head_has_32_kib_and_not_a_byte_more() {
    const HEAD_BYTES_MAX: usize = 32 * 1024;
    let head = |bytes: usize| {
        let (begin, end) = ("GET /v1/ HTTP/1.1\r\nhost: localhost\r\nx-pad: ", "\r\n\r\n");
        format!("{begin}{}{end}", "x".repeat(bytes - begin.len() - end.len())).into_bytes()
    };
    survives(|server| {
        for bytes in (HEAD_BYTES_MAX - 1_000..HEAD_BYTES_MAX + 40_000).step_by(999).chain([HEAD_BYTES_MAX]) {
            for piece in [bytes, 10_000] {
                let mut raw = Raw::to(server);
                // What was refused need not be read to its end.
                let _ = head(bytes).chunks(piece).all(|piece| raw.try_write(piece));
                let status = raw.answer().status;
                assert_eq!(status, if bytes > HEAD_BYTES_MAX { 431 } else { 200 }, "{bytes} bytes by {piece}");
            }
        }
    });
}

#[test]
fn half_open_requests_are_closed_and_hold_up_nobody() {
    survives(|server| {
        let mut slow: Vec<Raw> = (0..50).map(|_| Raw::to(server)).collect();
        for raw in &mut slow {
            raw.write(b"GET /v1/ HTTP/1.1\r\nhost: loc");
        }
        assert_eq!(Raw::to(server).get("/v1/").status, 200);
        for raw in &mut slow {
            // The server's own time limit ends it; the read returns then.
            assert!(raw.ended(), "a request that never ends is closed");
        }
    });
}

#[test]
fn dots_slashes_and_controls_in_addresses() {
    survives(|server| {
        for path in [
            "/v1/rooms/../rows/a",
            "/v1/rooms/%2e%2e/messages",
            "/v1/rooms/a%2Fb/messages",
            "/v1/rooms/a%00/messages",
            "/v1/rooms//messages",
            "/v1/rooms/lobby/messages/",
            "/v1/rooms/%zz/messages",
            "/v1/rooms/a*b/messages",
            &format!("/v1/rooms/{}/messages", "x".repeat(201)),
        ] {
            problem(&Raw::to(server).get(path), 400, "invalid");
            problem(&Raw::to(server).publish(path, "1"), 400, "invalid");
        }
        problem(&Raw::to(server).publish("/v1/rooms/*/messages", "1"), 400, "invalid");
    });
}

#[test]
fn a_page_of_another_origin_may_neither_write_nor_open_a_websocket() {
    survives(|server| {
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            for method in ["POST", "PUT", "DELETE"] {
                let path = if method == "POST" { "/v1/rows/a" } else { "/v1/rows/a?key=1" };
                let answer = Raw::to(server).send(method, path, &[("origin", origin)], r#"{"id":"1"}"#);
                problem(&answer, 403, "forbidden");
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
            let upgrade = [
                ("origin", origin),
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            problem(&Raw::to(server).send("GET", "/v1/rows/a", &upgrade, ""), 403, "forbidden");
        }
        assert_eq!(Raw::to(server).get("/v1/rows/a").json()["rows"], json!([]));
    });
}

#[test]
fn a_wrong_host_reads_nothing() {
    survives(|server| {
        for host in ["evil.example", "127.0.0.1.evil.example:80", ""] {
            let mut raw = Raw::to(server);
            raw.write(format!("GET /v1/ HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
            problem(&raw.answer(), 421, "wrong-host");
        }
        let mut raw = Raw::to(server);
        raw.write(b"GET /v1/ HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n");
        assert_eq!(raw.answer().status, 400);
    });
}

#[test]
fn garbage_instead_of_http() {
    survives(|server| {
        let mut raw = Raw::to(server);
        raw.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is a TLS hello to a plain port\r\n\r\n");
        assert_eq!(raw.answer().status, 400);
    });
}

#[test]
fn large_bodies_and_answers_hold_a_bounded_memory() {
    survives(|server| {
        let event = format!("\"{}\"", "x".repeat(100_000));
        for _ in 0..90 {
            assert_eq!(Raw::to(server).publish("/v1/rooms/big/messages", &event).status, 200);
        }
        // 9 MB each, and nobody reads.
        let unread: Vec<Raw> = (0..100)
            .map(|_| {
                let mut raw = Raw::to(server);
                raw.write(b"GET /v1/rooms/big/messages HTTP/1.1\r\nhost: localhost\r\n\r\n");
                raw
            })
            .collect();
        // 2 MB each, but for the last byte.
        let unsent: Vec<Raw> = (0..100)
            .map(|_| {
                let mut raw = Raw::to(server);
                let body = "x".repeat(2_000_000);
                let head = "POST /v1/rooms/big/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000001\r\n\r\n";
                raw.nonblocking();
                raw.try_write(head.as_bytes());
                raw.try_write(body.as_bytes());
                raw
            })
            .collect();
        // Small requests pass meanwhile, and one answer after them shows that the others were seen.
        for _ in 0..20 {
            assert_eq!(Raw::to(server).get("/v1/").status, 200);
        }
        let held = server.pss_bytes() / (1024 * 1024);
        assert!(held < 512, "{held} MiB are held for clients that neither read nor finish");
        drop((unread, unsent));
    });
}

#[test]
fn a_batch_of_millions_of_tiny_events_is_refused_cheaply() {
    survives(|server| {
        let body = format!("[{}1]", "1,".repeat(1_000_000));
        let answer = Raw::to(server).publish("/v1/rooms/lobby/messages", &body);
        problem(&answer, 413, "too-large");
        let held = server.pss_bytes() / (1024 * 1024);
        assert!(held < 100, "{held} MiB for a body of 2");
    });
}

#[test]
fn the_servers_own_paths_are_not_written() {
    survives(|server| {
        for path in ["/", "/v1", "/v1/", "/readyz", "/tidegate.js", "/v1/_problems/invalid", "/v1/_ws"] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let answer = Raw::to(server).send(method, path, &[], "1");
                problem(&answer, 405, "method-not-allowed");
                assert_eq!(answer.header("allow"), Some("GET, HEAD"));
            }
        }
    });
}

#[test]
fn what_would_be_ignored_is_refused() {
    survives(|server| {
        let envelope = [("content-type", "application/vnd.tidegate+json")];
        let put = Raw::to(server).send("PUT", "/v1/rows/a?key=1", &envelope, r#"{"op":"delete","key":"1"}"#);
        problem(&put, 415, "unsupported-type");
        problem(&Raw::to(server).get("/v1/?limit=3"), 400, "invalid");
        problem(&Raw::to(server).get("/v1/?limt=3"), 400, "unknown-option");
        problem(&Raw::to(server).get("/v1/rows/a?key=1&limit=3"), 400, "invalid");
        let condition = [("if-match", "x")];
        problem(&Raw::to(server).send("PUT", "/v1/rows/a?key=1", &condition, r#"{"id":"1"}"#), 400, "invalid");
        let mut socket = Raw::to(server).websocket("/v1/rooms/lobby/messages");
        assert_eq!(socket.next_json()["op"], "begin");
        socket.send_text(r#"{"do":"publish","ref":1,"data":1,"idempotencyKey":"q"}"#);
        assert_eq!(socket.next_json()["code"], "invalid");
        socket.send_text(r#"{"do":"publish","ref":2,"data":null}"#);
        let mut answers = [socket.next_json(), socket.next_json()];
        answers.sort_by_key(|answer| answer["op"].to_string());
        assert_eq!((&answers[0]["op"], &answers[0]["data"]), (&json!("append"), &Value::Null));
        assert_eq!((&answers[1]["op"], &answers[1]["ref"]), (&json!("done"), &json!(2)));
    });
}

#[test]
fn begin_comes_first_even_to_a_client_that_does_not_wait_for_it() {
    survives(|server| {
        for _ in 0..50 {
            let early = [&[0x81, 0x82, 0, 0, 0, 0][..], b"{}"].concat();
            let mut socket = Raw::to(server).websocket_with("/v1/rooms/lobby/messages", &early);
            assert_eq!(socket.next_json()["op"], "begin");
            assert_eq!(socket.next_json()["op"], "problem");
        }
    });
}
