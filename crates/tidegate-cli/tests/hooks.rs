//! Applications that are asked who may do what: one of them runs here, and checks each signature with the library of
//! Standard Webhooks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::{self, Answer};
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Transport, Watch};
use tidegate_testkit::process::Server;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDuVXjZ2mf4tk=";

/// What the application does with the next questions.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Decides,
    /// It holds all until it is told to go on.
    Holds,
    Broken,
}

struct Application {
    address: SocketAddr,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Value>>,
    came: Notify,
    go_on: Notify,
}

impl Application {
    async fn start() -> Arc<Application> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let application = Arc::new(Application {
            address: listener.local_addr().expect("an address"),
            mood: Mutex::new(Mood::Decides),
            asked: Mutex::default(),
            came: Notify::new(),
            go_on: Notify::new(),
        });
        let own = application.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let own = own.clone();
                        async move { Ok::<_, Infallible>(own.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        application
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let library = standardwebhooks::Webhook::new(SECRET).expect("a secret");
        library.verify(&body, &head.headers).expect("a signature that the library takes");
        let question: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(question["type"], format!("tidegate.{}", &head.uri.path()[1..]));
        self.asked.lock().expect("no panic").push(question.clone());
        self.came.notify_one();
        if self.mood() == Mood::Holds {
            self.go_on.notified().await;
        }
        if self.mood() == Mood::Broken {
            return Response::builder().status(500).body(Full::default()).expect("a response");
        }
        Response::new(Full::new(decide(&question).to_string().into()))
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().expect("no panic")
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().expect("no panic") = mood;
    }

    /// What it was asked since the last time, by kind.
    fn asked(&self) -> Vec<(String, Value)> {
        let asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked
            .into_iter()
            .map(|question| (question["type"].as_str().expect("a type")[9..].to_owned(), question))
            .collect()
    }

    fn server(&self, more: &str) -> Server {
        Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &self.config(more, ""))
    }

    /// `halls`: what more the access of `halls` says.
    fn config(&self, more: &str, halls: &str) -> String {
        let at = self.address;
        format!(
            r#"
hooks: {{ secret: {SECRET}, connect: "http://{at}/connect", watch: "http://{at}/watch", publish: "http://{at}/publish", forward: cookie, cache: 60s, {more} }}
channels:
  rooms:
    address: rooms/{{room}}
    access: {{ ask: [watch, publish] }}
  own:
    address: own/{{user}}
    access: {{ read: "claims.sub == params.user", publish: "claims.sub == params.user" }}
  halls:
    address: halls/{{hall}}
    access: {{ read: "has(claims.sub)", publish: "true", {halls} }}
"#
        )
    }
}

/// A session is a cookie; rooms are for those whose name they begin with; nobody swears.
fn decide(question: &Value) -> Value {
    let data = &question["data"];
    let name = data["principal"]["subject"].as_str().unwrap_or_default();
    match question["type"].as_str() {
        Some("tidegate.connect") => {
            match data["headers"]["cookie"].as_str().and_then(|text| text.strip_prefix("session=")) {
                Some("banned") => json!({ "allow": false, "reason": "you are banned" }),
                Some(name) => json!({ "allow": true, "claims": { "sub": name } }),
                None => json!({ "allow": true }),
            }
        }
        Some("tidegate.watch") => {
            json!({ "allow": data["address"].as_str().is_some_and(|at| at.contains(name)) && !name.is_empty() })
        }
        _ => match data["body"]["text"] == "damn" {
            true => json!({ "allow": false, "reason": "mind your language" }),
            false => json!({ "allow": !name.is_empty() }),
        },
    }
}

async fn send(server: &Server, method: &str, path: &str, session: Option<&str>, body: &str) -> Answer {
    let headers: Vec<String> = session.map(|name| format!("cookie: session={name}")).into_iter().collect();
    http::ask(server.address(), method, path, &headers, body.as_bytes()).await.expect("an answer")
}

fn kinds(asked: &[(String, Value)]) -> Vec<&str> {
    asked.iter().map(|(kind, _)| &**kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_says_who_comes_and_what_they_may() {
    let application = Application::start().await;
    let server = application.server("");
    let read = async |path, session| send(&server, "GET", path, session, "").await.head.status;
    assert_eq!(read("/v1/rooms/ann", Some("ann")).await, 200);
    let asked = application.asked();
    assert_eq!(kinds(&asked), ["connect", "watch"]);
    assert_eq!(asked[0].1["data"]["headers"], json!({ "cookie": "session=ann" }));
    assert_eq!(asked[1].1["data"]["principal"]["subject"], "ann");
    // The answers hold, for the same question only.
    assert_eq!(read("/v1/rooms/ann", Some("ann")).await, 200);
    assert_eq!(read("/v1/rooms/ben", Some("ann")).await, 403);
    assert_eq!(kinds(&application.asked()), ["watch"]);
    assert_eq!(read("/v1/rooms/ann", None).await, 403);
    let banned = send(&server, "GET", "/v1/rooms/banned", Some("banned"), "").await;
    assert_eq!((banned.code(), banned.body["hint"].as_str()), (Some("forbidden"), Some("you are banned")));
    assert_eq!(kinds(&application.asked()), ["connect", "watch", "connect"]);
    // What it claims of somebody is what policies see.
    assert_eq!(read("/v1/own/ann", Some("ann")).await, 200);
    assert_eq!(read("/v1/own/ben", Some("ann")).await, 403);
    assert!(application.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_publish_is_asked_about_on_http_and_websockets() {
    let application = Application::start().await;
    let server = application.server("");
    let post = async |body| send(&server, "POST", "/v1/rooms/ann", Some("ann"), body).await;
    assert_eq!(post(r#"{"n":12345678901234567890.5}"#).await.head.status, 200);
    assert_eq!(post(r#"{"n":12345678901234567890.5}"#).await.head.status, 200);
    let refused = post(r#"{"text":"damn"}"#).await;
    assert_eq!((refused.code(), refused.body["hint"].as_str()), (Some("forbidden"), Some("mind your language")));
    let asked = application.asked();
    assert_eq!(kinds(&asked), ["connect", "publish", "publish", "publish"]);
    assert_eq!(asked[3].1["data"]["body"], json!({ "text": "damn" }));

    let mut ask = Ask::new("rooms/ann", false, Kind::History);
    ask.headers = vec!["cookie: session=ann".to_owned()];
    let mut socket = WebSocket::connect_as(server.address(), "/v1/rooms/ann?from=now", &ask).await.expect("connected");
    assert_eq!(socket.next_frame().await.expect("a frame")["op"], "begin");
    socket.send_text(r#"{"do":"publish","ref":1,"data":{"text":"damn"}}"#).await.expect("sent");
    assert_eq!(socket.next_frame().await.expect("an answer")["code"], "forbidden");
    socket.send_text(r#"{"do":"publish","ref":2,"data":{"text":"hello"}}"#).await.expect("sent");
    let frames = [socket.next_frame().await.expect("a frame"), socket.next_frame().await.expect("a frame")];
    assert!(frames.iter().any(|frame| frame["op"] == "append" && frame["data"]["text"] == "hello"), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_the_same_at_once_is_one_question() {
    let application = Application::start().await;
    let server = application.server("timeout: 30s");
    assert_eq!(send(&server, "GET", "/v1/own/ann", Some("ann"), "").await.head.status, 200);
    application.asked();
    application.is(Mood::Holds);
    let ask = || {
        let mut ask = Ask::new("rooms/ann", false, Kind::History);
        ask.headers = vec!["cookie: session=ann".to_owned()];
        ask
    };
    let mut watches = tokio::task::JoinSet::new();
    for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket].repeat(5) {
        let (at, ask) = (server.address(), ask());
        watches.spawn(async move { Watch::open(at, transport, &ask).await.is_ok() });
    }
    application.came.notified().await;
    application.is(Mood::Decides);
    application.go_on.notify_waiters();
    application.go_on.notify_one();
    assert!(watches.join_all().await.into_iter().all(|opened| opened));
    assert_eq!(kinds(&application.asked()), ["watch"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_is_down_denies_or_allows_as_the_config_says() {
    for (down, status) in [("deny", 503), ("allow", 200)] {
        let application = Application::start().await;
        let server = application.server(&format!("down: {down}"));
        application.is(Mood::Broken);
        let get = async || send(&server, "GET", "/v1/rooms/ann", Some("ann"), "").await;
        for _ in 0..8 {
            let answer = get().await;
            assert_eq!(answer.head.status, status, "{answer:?}");
            if status == 503 {
                assert_eq!(answer.code(), Some("gate-unavailable"));
                assert_eq!(answer.head.header("retry-after"), Some("2"));
            }
        }
        // After five in a row nothing is asked; with `allow` there are two hooks that fail.
        assert_eq!(application.asked().len(), if status == 503 { 5 } else { 10 });
        if status == 200 {
            continue;
        }
        application.is(Mood::Decides);
        let back = tokio::time::timeout(Duration::from_secs(60), async {
            while send(&server, "GET", "/v1/own/ann", Some("ann"), "").await.head.status != 200 {
                // It rests for 5 s, then one question goes through: that is what is waited for.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        back.await.expect("it is asked again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_asks_about_watches_of_a_channel_that_asks_from_then_on() {
    let application = Application::start().await;
    let server = application.server("");
    let mut watches = Vec::new();
    for hall in ["ann", "ben"] {
        for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket] {
            let mut ask = Ask::new(&format!("halls/{hall}"), false, Kind::History);
            ask.headers = vec!["cookie: session=ann".to_owned()];
            let mut watch = Watch::open(server.address(), transport, &ask).await.expect("let in");
            assert_eq!(watch.next_frame().await.expect("a frame")["op"], "begin");
            watches.push((hall, watch));
        }
    }
    assert_eq!(kinds(&application.asked()), ["connect"]);
    server.rewrite(&application.config("", "ask: watch"));
    let answer = http::ask(server.admin(), "POST", "/reload", &[], b"").await.expect("an answer");
    assert_eq!(answer.body["watches"], json!({ "judged": 6, "changed": 0, "closed": 3 }), "{answer:?}");
    // Each question once, and the answers hold.
    assert_eq!(kinds(&application.asked()), ["watch", "watch"]);
    assert_eq!(send(&server, "POST", "/v1/halls/ann", Some("ann"), "{}").await.head.status, 200);
    for (hall, watch) in &mut watches {
        let frame = watch.next_frame().await.expect("a frame");
        match *hall {
            "ann" => assert_eq!(frame["op"], "append", "{frame}"),
            _ => assert_eq!((&frame["op"], &frame["code"]), (&json!("close"), &json!("forbidden")), "{frame}"),
        }
    }
    assert!(application.asked().is_empty());
}
