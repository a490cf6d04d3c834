//! Real servers are asked what the JSON is: for each type, with values that are hard to read or to write, and with
//! random ones. What COPY gives must equal their `to_jsonb`, and what replication gives must be the same bytes.

mod chosen;
mod random;
mod same;

use std::pin::pin;

use futures_util::TryStreamExt;
use pgwire_replication::ReplicationEvent;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::Numbers;
use crate::postgres::connect::Endpoint;
use crate::postgres::copy;
use crate::postgres::pgoutput::{self, Cell, Message};
use crate::postgres::row::RowShape;
use crate::postgres::types::Types;
use chosen::{COLUMNS, HSTORE, SCHEMA};
use random::{composite, numeric, quoted, text, texts, timestamp};
use same::same;

const RANDOM_ROWS: usize = 2_000;

#[tokio::test]
async fn json_is_that_of_the_server() {
    for version in Version::ALL {
        // What a database's owner may have set must not show in what we read.
        let cluster = Cluster::setup(version)
            .set("timezone", "Asia/Kolkata")
            .set("datestyle", "SQL, DMY")
            .set("intervalstyle", "sql_standard")
            .set("extra_float_digits", "-15")
            .set("bytea_output", "escape")
            .set("quote_all_identifiers", "on")
            .start();
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'";
        let mut columns = COLUMNS.to_vec();
        if cluster.sql("postgres", available) == "1" {
            cluster.sql("postgres", "CREATE EXTENSION hstore");
            columns.push(HSTORE);
        }
        // Without libxml there is a type, but no value of it.
        if cluster.try_sql("postgres", "SELECT '<a/>'::xml").is_err() {
            columns.retain(|(kind, _)| *kind != "xml");
        }
        fill(&cluster, &columns);
        let endpoint = Endpoint::parse(&cluster.url("postgres")).expect("a URL");
        let client = endpoint.sql().await.expect("a connection");
        let shape = shape(&client).await;
        let copied = copied(&client, &shape).await;
        let asked = client.query("SELECT to_jsonb(t)::text FROM public.t ORDER BY id", &[]).await.expect("rows");
        assert_eq!(copied.len(), asked.len());
        for (ours, theirs) in copied.iter().zip(&asked) {
            same(ours, theirs.get(0));
        }
        let streamed = streamed(&endpoint, &shape, copied.len()).await;
        for (streamed, copied) in streamed.iter().zip(&copied) {
            assert_eq!(streamed, copied);
        }
    }
}

/// A table with a column for each type. Row n has the nth value of each; then come random rows.
fn fill(cluster: &Cluster, columns: &[(&str, &[&str])]) {
    let named: String = columns.iter().enumerate().map(|(at, (kind, _))| format!(", c{at} {kind}")).collect();
    let mut sql = format!(
        "{SCHEMA} CREATE TABLE t (id serial PRIMARY KEY{named}, r1 text, r2 text[], r3 inner_t, r4 inner_t[], r5 float8,
           r6 numeric, r7 timestamptz, r8 float4, r9 bytea, r10 jsonb);
         CREATE PUBLICATION p FOR TABLE t;
         SELECT pg_create_logical_replication_slot('s', 'pgoutput');"
    );
    let most = columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    for nth in 0..most {
        let (names, values): (Vec<String>, Vec<&str>) = columns
            .iter()
            .enumerate()
            .filter_map(|(at, (_, values))| Some((format!("c{at}"), *values.get(nth)?)))
            .unzip();
        sql += &format!("INSERT INTO t ({}) VALUES ({});\n", names.join(","), values.join(","));
    }
    let mut random = StdRng::seed_from_u64(3);
    sql += "BEGIN;\n";
    for _ in 0..RANDOM_ROWS {
        sql += &format!(
            "INSERT INTO t (r1, r2, r3, r4, r5, r6, r7, r8, r9, r10) VALUES ({}, {}, {}, array[{}, {}], {}, {}, {}, {}, {}, to_jsonb({}));\n",
            text(&mut random),
            texts(&mut random),
            composite(&mut random),
            composite(&mut random),
            composite(&mut random),
            quoted(&format!("{:?}", f64::from_bits(random.random()))),
            numeric(&mut random),
            timestamp(&mut random),
            quoted(&format!("{:?}", f32::from_bits(random.random()))),
            quoted(&format!("\\x{:x}", u128::from(random.random::<u64>()) | 1 << 64).replace("\\x1", "\\x")),
            texts(&mut random),
        );
    }
    cluster.sql("postgres", &(sql + "COMMIT;"));
}

async fn shape(client: &Client) -> RowShape {
    let rows = client.simple_query(Types::SQL).await.expect("types").into_iter();
    let rows: Vec<_> = rows
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect();
    let columns = "SELECT attname::text, atttypid FROM pg_attribute WHERE attrelid = 'public.t'::regclass AND attnum > 0 ORDER BY attnum";
    let columns = client.query(columns, &[]).await.expect("columns");
    RowShape::new(columns.iter().map(|row| (row.get(0), row.get(1))), &Types::read(&rows))
}

async fn copied(client: &Client, shape: &RowShape) -> Vec<String> {
    let lines = client.copy_out("COPY (SELECT * FROM public.t ORDER BY id) TO STDOUT").await.expect("a copy");
    let (mut lines, mut rows, mut scratch) = (pin!(lines), Vec::new(), Vec::new());
    while let Some(line) = lines.try_next().await.expect("a line") {
        let mut row = shape.writer(Numbers::Json);
        copy::fields(&line, &mut scratch, |field| match field {
            None => row.null(),
            Some(text) => row.text(text),
        })
        .expect("fields");
        rows.push(String::from_utf8(row.finish().expect("a row").to_vec()).expect("UTF-8"));
    }
    rows
}

async fn streamed(endpoint: &Endpoint, shape: &RowShape, count: usize) -> Vec<String> {
    let mut stream = endpoint.replication("s", "p").await.expect("a replication connection");
    stream.start().await.expect("a stream");
    let mut rows = Vec::new();
    while rows.len() < count {
        let event = stream.recv().await.expect("an event").expect("more events");
        let ReplicationEvent::XLogData { data, .. } = event else { continue };
        let Message::Insert { new, .. } = pgoutput::decode(&data).expect("a message") else { continue };
        let mut row = shape.writer(Numbers::Json);
        for cell in &new {
            match cell {
                Cell::Null => row.null(),
                Cell::Text(text) => row.text(text),
                Cell::Unchanged => panic!("in a new row"),
            }
        }
        rows.push(String::from_utf8(row.finish().expect("a row").to_vec()).expect("UTF-8"));
    }
    rows
}
