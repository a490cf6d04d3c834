//! Fifty reloads under a steady publisher: nothing is lost, nothing comes twice, and nobody sees what is another's by the
//! policies that they see by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Publish, Publisher};

use crate::reloading::{OWN, Policies, ann, reload, start};
use crate::rig::{STREAMS, Stream, ask};

const RELOADS: usize = 50;
/// At least so many are published from one to the next.
const BATCHES: u64 = 4;
const ANNS: Policies = Policies {
    orders: r#"read: "has(claims.sub)", rows: "data.owner in ['ann', 'all']""#,
    talk: r#"read: "has(claims.sub)", rows: "data.owner in ['ann', 'all']""#,
    ..OWN
};
const BOBS: Policies = Policies {
    orders: r#"read: "has(claims.sub)", rows: "data.owner in ['bob', 'all']""#,
    talk: r#"read: "has(claims.sub)", rows: "data.owner in ['bob', 'all']""#,
    ..OWN
};

/// What one watch was told since it began, or since it was told of other rights.
#[derive(Default)]
struct Seen {
    /// Whose it sees; `None`: nobody's yet.
    whose: Option<String>,
    /// The last number of what is everybody's.
    all: Option<u64>,
    /// `None`: whatever comes first is linked to `begin`, or to nothing behind a turn.
    cursor: Option<String>,
    rows: BTreeMap<String, u64>,
    turns: usize,
}

impl Seen {
    fn hear(&mut self, frame: &Value, keyed: bool) {
        if frame["code"] == "rights-changed" || frame["op"] == "reset" {
            assert!(!keyed || frame["op"] == "reset", "{frame}");
            self.whose = None;
            self.rows.clear();
            self.cursor = None;
            self.turns += 1;
        }
        assert!(!matches!(frame["op"].as_str(), Some("close" | "gap")), "{frame}");
        if let Some(cursor) = frame["cursor"].as_str() {
            let prev = frame["prev"].as_str();
            match &self.cursor {
                Some(held) => assert_eq!(prev, Some(&**held), "{frame}"),
                None => assert!(self.turns == 0 || prev.is_none(), "{frame}"),
            }
            self.cursor = Some(cursor.to_owned());
        }
        let data = &frame["data"];
        let (Some(owner), Some(n)) = (data["owner"].as_str(), data["n"].as_u64()) else { return };
        if owner != "all" {
            let whose = self.whose.get_or_insert_with(|| owner.to_owned());
            assert_eq!(whose, owner, "{frame}");
        } else if !keyed {
            assert_eq!(n, self.all.map_or(0, |all| all + 1), "{frame}");
            self.all = Some(n);
        }
        if keyed {
            self.rows.insert(frame["key"].as_str().expect("a key").to_owned(), n);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_shown_to_others_over_fifty_reloads() {
    let server = start(&ANNS);
    let mut watches = Vec::new();
    for transport in STREAMS {
        for (path, keyed, kind) in [("talk/eu", false, Kind::History), ("orders/eu", true, Kind::State)] {
            let asked = Ask { chain: true, ..ask(path, keyed, kind, Some(&ann())) };
            let mut stream = Stream::open(&server, transport, &asked).await;
            watches.push(tokio::spawn(async move {
                let mut seen = Seen::default();
                let mut last = false;
                while !last {
                    let frame = stream.next().await;
                    seen.hear(&frame, keyed);
                    last = frame["data"]["last"] == true;
                }
                (transport, keyed, seen)
            }));
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicU64::new(0));
    let publishing = {
        let (over, made, at) = (over.clone(), made.clone(), server.address());
        tokio::spawn(async move {
            let (mut publisher, token, mut n) = (Publisher::new(at), ann(), 0u64);
            loop {
                let last = over.load(Ordering::SeqCst);
                let owned = |owner: &str| json!({ "id": owner, "owner": owner, "n": n, "last": false });
                let all = json!({ "id": "all", "owner": "all", "n": n, "last": last });
                let batch = json!([owned("ann"), owned("bob"), all]).to_string();
                for path in ["talk/eu", "orders/eu"] {
                    let publish = Publish::post(path, types::JSON, batch.clone()).by(&token);
                    let answer = publisher.send(&publish).await.expect("an answer");
                    assert_eq!(answer.head.status, 200, "{answer:?}");
                }
                if last {
                    return n;
                }
                n += 1;
                made.store(n, Ordering::SeqCst);
            }
        })
    };
    for round in 0..RELOADS {
        let before = made.load(Ordering::SeqCst);
        reload(&server, if round % 2 == 0 { &BOBS } else { &ANNS }).await;
        while made.load(Ordering::SeqCst) < before + BATCHES {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let n = publishing.await.expect("published");
    let mut turns = BTreeMap::new();
    for watch in watches {
        let (transport, keyed, seen) =
            tokio::time::timeout(crate::rig::PATIENCE, watch).await.expect("in time").expect("as it should");
        turns.insert((format!("{transport:?}"), keyed), seen.turns);
        // The last policies are Ann's.
        assert_eq!(seen.whose.as_deref(), Some("ann"), "{transport:?}");
        match keyed {
            true => {
                assert_eq!(seen.rows, BTreeMap::from([("ann".to_owned(), n), ("all".to_owned(), n)]), "{transport:?}")
            }
            false => assert_eq!(seen.all, Some(n), "{transport:?}"),
        }
    }
    println!("{n} batches over {RELOADS} reloads; turns of each watch: {turns:?}");
}
