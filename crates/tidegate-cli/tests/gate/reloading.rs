//! The config is read again while watches are open: other policies hold for them from then on, and what is no good changes
//! nothing.

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::Answer;
use tidegate_testkit::client::poll::Poll;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Ended, Publish, Transport};
use tidegate_testkit::process::Server;

use crate::rig::{self, HOUR, PATIENCE, STREAMS, Stream, admin, answered, ask, opened, publish, token, until};

/// Who may see what, channel by channel.
#[derive(Clone, Copy)]
pub(crate) struct Policies {
    pub(crate) orders: &'static str,
    pub(crate) talk: &'static str,
    pub(crate) board: &'static str,
}

pub(crate) const OWN: Policies = Policies {
    board: r#"read: "true""#,
    orders: r#"read: "has(claims.sub)", rows: "data.owner == claims.sub", mask: [margin]"#,
    talk: r#"read: "has(claims.sub)", rows: "data.owner == claims.sub""#,
};

/// `wide` is always as it is.
pub(crate) fn config(policies: &Policies) -> String {
    let Policies { orders, talk, board } = policies;
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
  board:
    address: board/eu
    key: id
    access: {{ publish: "true", {board} }}
  wide:
    address: wide/{{region}}
    key: id
    access: {{ publish: "true", read: "has(claims.sub)", rows: "data.owner == claims.sub" }}
"#,
        rig::ISSUER,
        rig::SECRET,
    )
}

pub(crate) fn start(policies: &Policies) -> Server {
    Server::start(std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")), &config(policies))
}

/// Another file, and a reload of it.
pub(crate) async fn reload(server: &Server, policies: &Policies) -> Value {
    server.rewrite(&config(policies));
    let answer = reloaded(server).await;
    assert_eq!(answer.head.status, 200, "{}", answer.body);
    answer.body
}

pub(crate) async fn reloaded(server: &Server) -> Answer {
    admin(server, "POST", "/reload", None).await
}

pub(crate) fn ann() -> String {
    token(json!({ "sub": "ann" }), HOUR)
}

pub(crate) async fn put(server: &Server, channel: &str, id: &str, owner: &str, n: u32) {
    let row = json!({ "id": id, "owner": owner, "margin": n, "n": n }).to_string();
    publish(server, Publish::put(&format!("{channel}/eu"), id, row), &ann()).await;
}

pub(crate) async fn say(server: &Server, owner: &str, n: u32) {
    let event = json!({ "owner": owner, "n": n }).to_string();
    publish(server, Publish::post("talk/eu", types::JSON, event), &ann()).await;
}

/// Frames but those that say nothing.
pub(crate) async fn next(stream: &mut Stream) -> Value {
    let frames = stream.until(|frame| frame["op"] != "bookmark").await;
    frames.last().expect("a frame").clone()
}

pub(crate) async fn snapshot(stream: &mut Stream) -> Vec<(String, Value)> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_told_and_goes_on_where_it_stood() {
    let server = start(&OWN);
    let mut streams = Vec::new();
    for transport in STREAMS {
        let asked = Ask { chain: true, ..ask("talk/eu", false, Kind::History, Some(&ann())) };
        streams.push((transport, Stream::open(&server, transport, &asked).await));
    }
    say(&server, "ann", 1).await;
    for (transport, stream) in &mut streams {
        assert_eq!(next(stream).await["data"]["n"], 1, "{transport:?}");
    }
    let bobs = Policies { talk: r#"read: "has(claims.sub)", rows: "data.owner == 'bob'""#, ..OWN };
    let told = reload(&server, &bobs).await;
    assert_eq!(told["watches"], json!({ "judged": 5, "changed": 5, "closed": 0 }), "{told}");
    say(&server, "ann", 2).await;
    say(&server, "bob", 2).await;
    for (transport, stream) in &mut streams {
        let frames = stream.until(|frame| frame["op"] == "append").await;
        let told = frames.iter().position(|frame| frame["code"] == "rights-changed").expect("a notice");
        assert!(frames[..told].iter().all(|frame| frame["op"] == "bookmark"), "{transport:?}: {frames:?}");
        assert_eq!(frames.last().expect("one")["data"]["owner"], "bob", "{transport:?}: {frames:?}");
    }
    // Other policies that say the same of her: nothing is told.
    let same = Policies { talk: r#"read: "claims.sub == 'ann'", rows: "'bob' == data.owner""#, ..OWN };
    let told = reload(&server, &same).await;
    assert_eq!(told["watches"], json!({ "judged": 5, "changed": 0, "closed": 0 }), "{told}");
    say(&server, "bob", 3).await;
    for (transport, stream) in &mut streams {
        let frame = next(stream).await;
        assert_eq!((&frame["op"], &frame["data"]["n"]), (&json!("append"), &json!(3)), "{transport:?}: {frame}");
    }
    // Who may look back less far goes on from there.
    let short =
        Policies { talk: r#"read: "claims.sub == 'ann'", rows: "'bob' == data.owner", history: "false""#, ..OWN };
    let told = reload(&server, &short).await;
    assert_eq!(told["watches"]["changed"], 5, "{told}");
    say(&server, "bob", 4).await;
    for (transport, stream) in &mut streams {
        let frames = stream.until(|frame| frame["op"] == "append").await;
        assert!(frames.iter().any(|frame| frame["code"] == "rights-changed"), "{transport:?}: {frames:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_is_judged_anew() {
    let server = start(&OWN);
    put(&server, "orders", "1", "ann", 1).await;
    put(&server, "wide", "1", "ann", 1).await;
    let begun = async |path: &str, keyed: bool, kind: Kind| {
        let mut poll = Poll::new(server.address(), ask(path, keyed, kind, Some(&ann()))).wait("60s");
        poll.round().await.expect("a cursor");
        while poll.pop().is_some() {}
        poll
    };
    let waits = |mut poll: Poll| {
        tokio::spawn(async move {
            let came = poll.round().await;
            (came, poll.pop())
        })
    };
    let orders = waits(begun("orders/eu", true, Kind::State).await);
    let wide = waits(begun("wide/eu", true, Kind::State).await);
    let talk = waits(begun("talk/eu", false, Kind::History).await);
    let all = r#"read: "has(claims.sub)""#;
    reload(&server, &Policies { orders: all, talk: r#"read: "false""#, ..OWN }).await;
    type Waiting = tokio::task::JoinHandle<(Result<(), Ended>, Option<Value>)>;
    let ended =
        async |waiting: Waiting| tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic");
    let (came, frame) = ended(orders).await;
    assert!(came.is_ok(), "{came:?}");
    assert_eq!(frame.expect("a frame")["op"], "reset");
    match ended(talk).await.0 {
        Err(Ended::Refused(answer)) => assert_eq!(answer.code(), Some("forbidden"), "{answer:?}"),
        other => panic!("{other:?}"),
    }
    // The third waits on, and is told what comes.
    put(&server, "wide", "1", "ann", 2).await;
    let (_, frame) = ended(wide).await;
    assert_eq!(frame.expect("a frame")["data"]["n"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_kept_is_served_to_nobody_who_may_not_have_it() {
    let server = start(&OWN);
    put(&server, "board", "1", "ann", 1).await;
    let read = async |url: &str| answered(server.address(), "GET", url, None, &[], "").await;
    let urls = ["/v1/board/eu", "/v1/board/eu?key=1", "/v1/board/eu?from=start", "/v1/board/*"];
    for url in urls.iter().chain(&urls) {
        let answer = read(url).await;
        assert!(answer.head.status == 200 && answer.text.contains("margin"), "{url}: {answer:?}");
    }
    let masked = Policies { board: r#"read: "true", mask: [margin]"#, ..OWN };
    let hidden = Policies { board: r#"read: "true", rows: "data.owner == 'bob'""#, ..OWN };
    let nobodys = Policies { board: r#"read: "has(claims.sub)""#, ..OWN };
    reload(&server, &masked).await;
    for url in urls.iter().chain(&urls) {
        let answer = read(url).await;
        assert!(answer.text.contains("owner") && !answer.text.contains("margin"), "{url}: {answer:?}");
    }
    reload(&server, &hidden).await;
    for url in urls {
        let answer = read(url).await;
        assert!(!answer.text.contains("owner"), "{url}: {answer:?}");
        // What is not for everyone is stored by no cache.
        if answer.head.status == 200 && !url.contains("from") {
            assert_eq!(answer.head.header("cache-control"), Some("no-store"), "{url}: {answer:?}");
        }
    }
    reload(&server, &nobodys).await;
    for url in urls {
        assert_eq!(read(url).await.head.status, 401, "{url}");
    }
    reload(&server, &OWN).await;
    for url in urls {
        assert!(read(url).await.text.contains("margin"), "{url}");
    }
}

/// What a watch asked for may be masked by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_reads_what_is_masked_ends_its_watch() {
    let open = Policies { orders: r#"read: "has(claims.sub)""#, ..OWN };
    let masked = Policies { orders: r#"read: "has(claims.sub)", mask: [margin]"#, ..OWN };
    let server = start(&open);
    let asked = ask("orders/eu", true, Kind::State, Some(&ann()));
    let by_filter = Ask { filter: Some("data.margin > 1".to_owned()), ..asked.clone() };
    let by_fields = Ask { fields: Some("margin".to_owned()), ..asked };
    for asked in [by_filter, by_fields] {
        for transport in STREAMS {
            let mut stream = Stream::open(&server, transport, &asked).await;
            reload(&server, &masked).await;
            let frames = stream.until(|frame| frame["op"] == "close").await;
            assert_eq!(frames.last().expect("the close")["code"], "invalid", "{transport:?}: {frames:?}");
            reload(&server, &open).await;
        }
    }
}

/// Watches that begin while the policies change: none is left that they do not allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_watch_slips_in_beside_a_reload() {
    let (yes, no) = (OWN, Policies { talk: r#"read: "false""#, ..OWN });
    let server = start(&yes);
    let at = server.address();
    for _ in 0..10 {
        let opening = |transport| {
            tokio::spawn(async move {
                let asked = ask("talk/eu", false, Kind::History, Some(&ann()));
                match opened(at, transport, &asked).await {
                    Err((status, _)) => assert_eq!(status, 403, "{transport:?}"),
                    Ok(mut watch) => {
                        let frames = until(&mut watch, |frame| frame["op"] == "close").await;
                        assert_eq!(frames.last().expect("the close")["code"], "forbidden", "{transport:?}");
                    }
                }
            })
        };
        let kinds = [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many];
        let watches: Vec<_> = kinds.iter().cycle().take(12).map(|kind| opening(*kind)).collect();
        reload(&server, &no).await;
        for watch in watches {
            tokio::time::timeout(PATIENCE, watch).await.expect("it ends").expect("as it should");
        }
        reload(&server, &yes).await;
    }
}
