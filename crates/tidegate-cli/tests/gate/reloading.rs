//! The config is read again while watches are open: other policies hold for them from then on, and what is no good changes
//! nothing.

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::Publish;
use tidegate_testkit::client::http::Answer;
use tidegate_testkit::process::Server;

use crate::rig::{self, HOUR, STREAMS, Stream, admin, ask, publish, token};

/// Who may see what, channel by channel.
struct Policies {
    orders: &'static str,
    talk: &'static str,
}

const OWN: Policies = Policies {
    orders: r#"read: "has(claims.sub)", rows: "data.owner == claims.sub", mask: [margin]"#,
    talk: r#"read: "has(claims.sub)", rows: "data.owner == claims.sub""#,
};

/// `wide` and `tall` are always as they are.
fn config(policies: &Policies) -> String {
    let Policies { orders, talk } = policies;
    format!(
        r#"
gate:
  issuers:
    test: {{ issuer: {}, audience: tidegate, algorithms: HS256, secret: {} }}
channels:
  orders:
    address: orders/{{region}}
    key: id
    access: {{ publish: "true", {orders} }}
  talk:
    address: talk/{{region}}
    access: {{ publish: "true", {talk} }}
  wide:
    address: wide/{{region}}
    key: id
    access: {{ publish: "true", read: "has(claims.sub)", rows: "data.owner == claims.sub" }}
"#,
        rig::ISSUER,
        rig::SECRET,
    )
}

fn start(policies: &Policies) -> Server {
    Server::start(std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")), &config(policies))
}

/// Another file, and a reload of it.
async fn reload(server: &Server, policies: &Policies) -> Value {
    server.rewrite(&config(policies));
    let answer = reloaded(server).await;
    assert_eq!(answer.head.status, 200, "{}", answer.body);
    answer.body
}

async fn reloaded(server: &Server) -> Answer {
    admin(server, "POST", "/reload", None).await
}

fn ann() -> String {
    token(json!({ "sub": "ann" }), HOUR)
}

async fn put(server: &Server, channel: &str, id: &str, owner: &str, n: u32) {
    let row = json!({ "id": id, "owner": owner, "margin": n, "n": n }).to_string();
    publish(server, Publish::put(&format!("{channel}/eu"), id, row), &ann()).await;
}

/// Frames but those that say nothing.
async fn next(stream: &mut Stream) -> Value {
    let frames = stream.until(|frame| frame["op"] != "bookmark").await;
    frames.last().expect("a frame").clone()
}

async fn snapshot(stream: &mut Stream) -> Vec<(String, Value)> {
    let frames = stream.until(|frame| frame["last"] == true).await;
    let rows = frames.iter().filter(|frame| frame["op"] == "snapshot" && frame["last"].is_null());
    rows.map(|row| (row["key"].as_str().expect("a key").to_owned(), row["data"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_has_its_other_rows_and_columns_in_the_same_stream() {
    let server = start(&OWN);
    for (id, owner) in [("1", "ann"), ("2", "bob")] {
        put(&server, "orders", id, owner, 1).await;
        put(&server, "wide", id, owner, 1).await;
    }
    let (mut orders, mut wide) = (Vec::new(), Vec::new());
    for transport in STREAMS {
        for (path, streams) in [("orders/eu", &mut orders), ("wide/eu", &mut wide)] {
            let mut stream = Stream::open(&server, transport, &ask(path, true, Kind::State, Some(&ann()))).await;
            assert_eq!(snapshot(&mut stream).await.len(), 1, "{transport:?}");
            streams.push((transport, stream));
        }
    }
    // Everybody's, with the margin.
    let all = Policies { orders: r#"read: "has(claims.sub)""#, ..OWN };
    let told = reload(&server, &all).await;
    assert_eq!(told["channels"], json!(["orders"]), "{told}");
    assert_eq!(told["watches"], json!({ "judged": 5, "changed": 5, "closed": 0 }), "{told}");
    for (transport, stream) in &mut orders {
        let reset = next(stream).await;
        assert_eq!((&reset["op"], &reset["reason"]), (&json!("reset"), &json!("rights")), "{transport:?}: {reset}");
        let rows = snapshot(stream).await;
        assert_eq!(rows.len(), 2, "{transport:?}");
        assert!(rows.iter().all(|(_, data)| data["margin"] == 1), "{transport:?}: {rows:?}");
    }
    // Bob's alone, and nothing of Ann's any more.
    let bobs = Policies { orders: r#"read: "has(claims.sub)", rows: "data.owner == 'bob'", mask: [n]"#, ..OWN };
    let told = reload(&server, &bobs).await;
    assert_eq!(told["changed"], json!(["channels.orders.access.mask", "channels.orders.access.rows"]), "{told}");
    put(&server, "orders", "1", "ann", 2).await;
    put(&server, "orders", "2", "bob", 2).await;
    for (transport, stream) in &mut orders {
        let frames = stream.until(|frame| frame["data"]["margin"] == 2).await;
        let reset = frames.iter().position(|frame| frame["op"] == "reset").expect("a reset");
        assert!(frames[..reset].iter().all(|frame| frame["op"] == "bookmark"), "{transport:?}: {frames:?}");
        let data = frames.iter().map(|frame| &frame["data"]).filter(|data| !data.is_null());
        let foreign: Vec<&Value> = data.filter(|data| data["owner"] != "bob" || !data["n"].is_null()).collect();
        assert!(foreign.is_empty(), "{transport:?}: {frames:?}");
    }
    // Who was not concerned was told nothing.
    put(&server, "wide", "1", "ann", 2).await;
    for (transport, stream) in &mut wide {
        let frame = next(stream).await;
        assert_eq!((&frame["op"], &frame["data"]["n"]), (&json!("upsert"), &json!(2)), "{transport:?}: {frame}");
    }
    let nobody = Policies { orders: r#"read: "claims.admin == true""#, ..OWN };
    let told = reload(&server, &nobody).await;
    assert_eq!(told["watches"], json!({ "judged": 5, "changed": 0, "closed": 5 }), "{told}");
    for (transport, stream) in &mut orders {
        let frames = stream.until(|frame| frame["op"] == "close").await;
        let close = frames.last().expect("the close");
        assert_eq!((&close["code"], &close["retry_ms"]), (&json!("forbidden"), &Value::Null), "{transport:?}");
    }
}
