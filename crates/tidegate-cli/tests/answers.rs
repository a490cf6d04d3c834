//! Reading the same again and again: the server keeps its answers, and nobody can tell but by how
//! little it costs. Who writes reads its own writes, a tag says whether anything changed, and a
//! thousand who ask at once are answered from few reads.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::chat_and_rows;
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Answer, Raw};

fn put(server: &Server, path: &str, body: &str) {
    let answer = Raw::to(server).send("PUT", path, &[("content-type", "application/json")], body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn get_unless(server: &Server, path: &str, tag: &str) -> Answer {
    Raw::to(server).send("GET", path, &[("if-none-match", tag)], "")
}

fn header(answer: &Answer, name: &str) -> String {
    answer.header(name).unwrap_or_else(|| panic!("{name}: {answer:?}")).to_owned()
}

fn answers(server: &Server, from: &str) -> u64 {
    let text = Raw::admin(server).get("/metrics").text();
    let name = format!("tidegate_answers_total{{from=\"{from}\"}} ");
    let figure = text.lines().find_map(|line| line.strip_prefix(&name)).expect("a metric");
    figure.parse::<f64>().expect("a number") as u64
}

#[test]
fn a_tag_says_whether_it_changed_and_the_cursor_is_that_of_now() {
    let server = chat_and_rows();
    for path in ["/v1/rows/a?key=1", "/v1/rows/a"] {
        put(&server, "/v1/rows/a?key=1", r#"{"id":"1","n":1}"#);
        let first = Raw::to(&server).get(path);
        let tag = header(&first, "etag");
        let read = answers(&server, "read");
        for _ in 0..3 {
            let again = get_unless(&server, path, &tag);
            assert_eq!((again.status, again.body.len(), header(&again, "etag")), (304, 0, tag.clone()));
            assert_eq!(header(&again, "tidegate-cursor"), header(&first, "tidegate-cursor"));
        }
        // Elsewhere something changes: the same content, but the cursor goes on, in the body too.
        put(&server, "/v1/rows/b?key=1", r#"{"id":"1"}"#);
        let later = Raw::to(&server).get(path);
        assert_eq!((later.status, header(&later, "etag")), (200, tag.clone()));
        let cursor = header(&later, "tidegate-cursor");
        assert_ne!(cursor, header(&first, "tidegate-cursor"));
        if !path.contains("key") {
            assert_eq!(later.json()["cursor"], cursor);
            let now = Raw::to(&server).get("/v1/rows/b").json()["cursor"].as_str().expect("cursor").to_owned();
            assert_eq!(now[24..], cursor[24..], "both are at the head");
        }
        assert_eq!(get_unless(&server, path, &tag).status, 304);
        assert!(answers(&server, "read") - read <= 1, "but for the other address nothing is read");
        // Here something changes.
        put(&server, "/v1/rows/a?key=1", r#"{"id":"1","n":2}"#);
        let changed = get_unless(&server, path, &tag);
        assert_eq!(changed.status, 200);
        assert!(changed.text().contains("\"n\":2") && header(&changed, "etag") != tag);
        let gone = Raw::to(&server).send("DELETE", "/v1/rows/a?key=1", &[], "");
        assert_eq!(gone.status, 204);
        let left = Raw::to(&server).get(path);
        assert_eq!(left.status, if path.contains("key") { 404 } else { 200 }, "{}", left.text());
        assert!(!left.text().contains("\"n\""));
        assert_eq!(Raw::to(&server).get(path).body, left.body);
    }
}

/// Each writes its own rows and reads them back, while others write beside and read the same.
#[test]
fn who_writes_reads_its_own_writes() {
    const WRITERS: usize = 4;
    const WRITES: u64 = 150;
    let server = chat_and_rows();
    let durable: [AtomicU64; WRITERS] = Default::default();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (server, durable) = (&server, &durable);
            scope.spawn(move || {
                for n in 1..=WRITES {
                    let at = format!("/v1/rows/{}", writer % 2);
                    put(server, &format!("{at}?key={writer}"), &format!(r#"{{"id":"{writer}","n":{n}}}"#));
                    durable[writer].store(n, Ordering::SeqCst);
                    let value = Raw::to(server).get(&format!("{at}?key={writer}")).json();
                    assert_eq!(value["n"], n, "nobody else writes it");
                    let other = (writer + 2) % WRITERS;
                    let least = durable[other].load(Ordering::SeqCst);
                    let rows = Raw::to(server).get(&at).json();
                    let of = |key: usize| {
                        let rows = rows["rows"].as_array().expect("rows");
                        let key = key.to_string();
                        let row = rows.iter().find(|row| row["key"] == key);
                        row.and_then(|row| row["data"]["n"].as_u64()).unwrap_or_default()
                    };
                    assert_eq!(of(writer), n, "{rows}");
                    assert!(of(other) >= least, "{rows}: {least} was durable before");
                }
            });
        }
    });
}

/// Reads that are under way together are one read, and later ones none.
#[test]
fn a_crowd_costs_few_reads() {
    const CROWD: usize = 64;
    let server = chat_and_rows();
    put(&server, "/v1/rows/a?key=1", r#"{"id":"1"}"#);
    let one = Raw::to(&server).get("/v1/rows/a").body;
    std::thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| assert_eq!(Raw::to(&server).get("/v1/rows/a").body, one));
        }
    });
    assert_eq!(answers(&server, "read"), 1);
    assert_eq!(answers(&server, "kept") + answers(&server, "shared"), CROWD as u64);
}
