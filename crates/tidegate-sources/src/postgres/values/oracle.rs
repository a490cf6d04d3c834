//! Real servers are asked what the JSON is: for each type, with values that are hard to read or to write, and with
//! random ones. What COPY gives must equal their `to_jsonb`, and what replication gives must be the same bytes.

use std::collections::BTreeMap;
use std::pin::pin;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use pgwire_replication::ReplicationEvent;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::value::RawValue;
use tidegate_testkit::postgres::{Cluster, Version};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::Numbers;
use crate::postgres::connect::Endpoint;
use crate::postgres::copy;
use crate::postgres::pgoutput::{self, Cell, Message};
use crate::postgres::row::RowShape;
use crate::postgres::types::Types;

const RANDOM_ROWS: usize = 2_000;

const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'o"k', 'a,b', 'h\x');
CREATE DOMAIN price AS numeric(12,4);
CREATE DOMAIN prices AS price[];
CREATE DOMAIN names AS text[];
CREATE DOMAIN names2 AS names;
CREATE TYPE inner_t AS (n int8, t text, b bool, ts timestamptz);
CREATE TYPE "Outer T" AS ("a ""q""" text[], i inner_t, l inner_t[], gone int, j jsonb, p prices, raw bytea);
ALTER TYPE "Outer T" DROP ATTRIBUTE gone;
CREATE DOMAIN outer_d AS "Outer T";
CREATE TYPE empty_t AS ();
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE TABLE pairs (x int, y text);
"#;

/// Columns with values that were chosen.
const COLUMNS: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    ("float4", &["0", "'-0'", "1.1", "1e10", "3.4e38", "1e-45", "'NaN'", "'Infinity'", "'-Infinity'", "123456.789"]),
    (
        "float8",
        &[
            "0",
            "'-0'",
            "0.1",
            "1e15",
            "1e16",
            "1.7976931348623157e308",
            "5e-324",
            "1e-5",
            "1e-4",
            "'NaN'",
            "'-Infinity'",
            "0.30000000000000004",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "'0.00'",
            "'-0'",
            "'1.10'",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'1e100'",
            "'1e-100'",
            "'123456789012345678901234567890.123456789012345678901234567890'",
            "repeat('9', 3000)::numeric",
            "('0.' || repeat('0', 2000) || '1')::numeric",
        ],
    ),
    ("numeric(10,2)", &["1", "'99999999.99'", "-1.5"]),
    (
        "text",
        &[
            "''",
            "' '",
            "'\"'",
            "'\\'",
            "'\\N'",
            "'NULL'",
            "E'\\t\\n\\r\\b\\f\\v'",
            "E'\\x01\\x1f\\x7f'",
            "'é😀'",
            "E'\\u2028\\u2029'",
            "'{a,b}'",
            "'(a,b)'",
            "repeat('x\"', 5000)",
            "'\\.'",
        ],
    ),
    ("varchar(10)", &["''", "'a b'"]),
    ("char(5)", &["''", "'ab'", "'é'"]),
    ("name", &["'n'", "'a\"b'"]),
    ("\"char\"", &["'a'", "'\"'", "'\\'", "''"]),
    (
        "json",
        &[
            "'1'",
            "'null'",
            "'\"a\"'",
            "E'{\\n \"b\" : 1.0 ,\\r\\n\"a\":[ ]}'",
            "'{\"a\":1,\"a\":2}'",
            "'[1e5,-0,0.10,1E-3]'",
            "'\"\\ud83d\\ude00\\u00e9\\\"\\\\\"'",
        ],
    ),
    (
        "jsonb",
        &[
            "'{}'",
            "'[]'",
            "'null'",
            "'{\"bb\":1,\"a\":{\"c\":[1.10,\"x\\ny\"]}}'",
            "'12345678901234567890.10'",
            "'\"\\t\\\\n\"'",
        ],
    ),
    ("bytea", &["''", "'\\x00'", "'\\xdeadbeef'", "decode(repeat('00ff10', 700), 'hex')", "'\\\\000'"]),
    (
        "date",
        &[
            "'2026-11-22'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'4714-11-24 BC'",
            "'5874897-12-31'",
            "'10000-01-01'",
            "'0001-01-01'",
        ],
    ),
    (
        "timestamp",
        &[
            "'2026-11-22 01:02:03'",
            "'2026-11-22 01:02:03.000001'",
            "'2026-01-01 00:00:00.5'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00 BC'",
            "'294276-12-31 23:59:59.999999'",
            "'4714-11-24 00:00:00 BC'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'2026-11-22 01:02:03+05:30'",
            "'2026-11-22 01:02:03.1-11'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00:00.123456+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
            "'1883-11-18 12:00 America/New_York'",
        ],
    ),
    ("timestamptz(0)", &["'2026-11-22 01:02:03.9+00'"]),
    ("time", &["'00:00'", "'24:00'", "'01:02:03.04'"]),
    ("timetz", &["'01:02:03+05:30'", "'24:00-11'", "'00:00:00.000001+15:59:59'"]),
    ("interval", &["'0'", "'1 year 2 mons -3 days 04:05:06.7'", "'-1 mon'", "'-00:00:01'", "'1000000 hours'"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'fe80::/10'"]),
    ("cidr", &["'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("money", &["'1.5'", "'-1234567.89'"]),
    ("bit(3)", &["B'101'"]),
    ("varbit", &["B''", "B'0101'"]),
    ("xml", &["'<a b=\"c\">é<!-- \\ --></a>'", "'<?xml version=\"1.0\"?><a/>'"]),
    ("tsvector", &["'a:1A fat:2,3 ''it''''s'' b\\\\c'"]),
    ("tsquery", &["'fat & (rat | !''a b'')'"]),
    ("oid", &["0", "4294967295"]),
    ("xid", &["'7'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("regclass", &["'pg_class'", "'public.pairs'"]),
    ("int2vector", &["'1 2 3'", "''", "'-5'"]),
    ("oidvector", &["'1 2'", "''"]),
    ("point", &["'(1,2.5)'", "'(NaN,-Infinity)'"]),
    ("box", &["'(2,2),(0,0)'"]),
    ("polygon", &["'((0,0),(1,1),(2,0))'"]),
    ("circle", &["'<(0,0),1e100>'"]),
    ("mood", &["'sad'", "'o\"k'", "'a,b'", "'h\\x'"]),
    ("price", &["1", "'NaN'"]),
    ("prices", &["'{1,NULL,2.5}'", "'{}'"]),
    ("names2", &["'{\"a b\",NULL}'"]),
    ("prices[]", &["'{\"{1,2}\",\"{}\",NULL}'"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("numrange", &["'[1.10,NaN)'"]),
    ("tstzrange", &["'[2026-01-01 00:00+02,infinity]'"]),
    ("spans", &["'(1e100,)'"]),
    ("int4multirange", &["'{[1,2),[5,6)}'", "'{}'"]),
    ("tsmultirange", &["'{[2026-01-01,2026-01-02)}'"]),
    (
        "int4[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'{{1,2},{3,4}}'",
            "'[0:1]={1,2}'",
            "'[-1:0][2:3]={{1,2},{3,NULL}}'",
            "'{{{{{{1}}}}}}'",
        ],
    ),
    ("int8[]", &["'{9223372036854775807,NULL}'"]),
    ("float8[]", &["'{NaN,-Infinity,1e100,-0}'"]),
    (
        "text[]",
        &[
            "'{}'",
            "array['', 'NULL', NULL, 'null', 'a,b', '\"', '\\', '{', '}', ' ', E'\\n\\t', 'é', '\\\"{}']",
            "array[['a', 'b c'], [NULL, '']]",
            "'[5:5]={x}'",
        ],
    ),
    ("bool[]", &["'{t,f,NULL}'"]),
    ("bytea[]", &["array['\\x00'::bytea, '', NULL, '\\xdead']"]),
    ("json[]", &["array['{\"a\": [1, \"x,\\\"y\\\"\"]}'::json, 'null', NULL, E'[1,\\n2]']"]),
    ("jsonb[]", &["array['{\"a\": \"\\\\\"}'::jsonb, '1']"]),
    ("date[]", &["'{2026-01-01,infinity,\"0044-03-15 BC\"}'"]),
    ("timestamptz[]", &["'{2026-01-01 00:00+01,-infinity,NULL}'"]),
    ("timestamp[]", &["'{\"2026-01-01 00:00:00.5\",infinity}'"]),
    ("box[]", &["'{(1,1),(0,0);(3,3),(2,2)}'", "'{}'"]),
    ("mood[]", &["array['sad','o\"k','a,b','h\\x',NULL]::mood[]"]),
    ("\"char\"[]", &["array['a','\"','\\','',' ']::\"char\"[]"]),
    ("char(3)[]", &["array['a','','\"']::char(3)[]"]),
    ("int4range[]", &["array['[1,5)'::int4range, 'empty']"]),
    (
        "inner_t",
        &[
            "ROW(NULL,NULL,NULL,NULL)::inner_t",
            "ROW(1,'',true,'2026-01-01 00:00+00')::inner_t",
            "ROW(-1,'\"\\(,) ',false,'infinity')::inner_t",
            "ROW(1,'NULL',NULL,'0044-03-15 BC')::inner_t",
        ],
    ),
    (
        "inner_t[]",
        &[
            "array[ROW(1,'a \"q\" \\ ,{}',true,now())::inner_t, NULL, ROW(NULL,'','f',NULL)::inner_t]",
            "'{}'",
            "array[[ROW(1,'x','t',NULL)::inner_t],[NULL::inner_t]]",
        ],
    ),
    (
        "outer_d",
        &[
            "ROW(array['a\"b','c\\d',NULL,''], ROW(1,'(\"\\',true,'2026-01-01 00:00+00')::inner_t, array[ROW(2,'{\"x\\y\"}',NULL,NULL)::inner_t,NULL::inner_t], '{\"k\": \"v\\\"\"}', '{1.5}', '\\x00ff')::\"Outer T\"",
            "ROW(NULL,NULL,NULL,NULL,NULL,NULL)::\"Outer T\"",
        ],
    ),
    (
        "outer_d[]",
        &[
            "array[ROW(array['a\"b\\'], ROW(1,'\"\"\\\\',true,NULL)::inner_t, array[ROW(2,'\"',NULL,NULL)::inner_t], '[\"\\\\\"]', NULL, '')::\"Outer T\"]::outer_d[]",
        ],
    ),
    ("empty_t", &["ROW()::empty_t"]),
    ("pairs", &["ROW(1,'a b')::pairs", "ROW(NULL,NULL)::pairs"]),
    ("pairs[]", &["array[ROW(1,'a,b')::pairs]"]),
];

/// An extension, whose type has a cast to jsonb.
const HSTORE: (&str, &[&str]) = ("hstore", &["''", "'a=>1, \"b \\\"\\\\\"=>NULL, \"\"=>\"x,y\"'"]);

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

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn text(random: &mut StdRng) -> String {
    const PIECES: &[&str] = &[
        "\"", "\\", "{", "}", "(", ")", ",", "NULL", " ", "a", "é", "😀", "\n", "\t", "\r", "\u{1}", "'", "\\N", ";",
        "\u{7f}", "=>",
    ];
    if random.random_ratio(1, 10) {
        return "NULL".to_owned();
    }
    let pieces = (0..random.random_range(0..8)).map(|_| *PIECES.choose(random).expect("some"));
    quoted(&pieces.collect::<String>()) + "::text"
}

fn texts(random: &mut StdRng) -> String {
    let (rows, columns) = (random.random_range(0..3), random.random_range(1..3));
    let mut row = || format!("[{}]", (0..columns).map(|_| text(random)).collect::<Vec<_>>().join(","));
    format!("array[{}]::text[]", (0..rows).map(|_| row()).collect::<Vec<_>>().join(","))
}

fn composite(random: &mut StdRng) -> String {
    let number: i64 = random.random();
    format!(
        "ROW({}, {}, {}, {})::inner_t",
        quoted(&number.to_string()),
        text(random),
        random.random::<bool>(),
        timestamp(random)
    )
}

fn numeric(random: &mut StdRng) -> String {
    let mut digits = |most: usize| -> String {
        let count = random.random_range(1..most);
        (0..count).map(|_| char::from(b'0' + random.random_range(0..10))).collect()
    };
    let (integer, fraction) = (digits(60), digits(60));
    quoted(&format!("-{integer}.{fraction}")[usize::from(random.random::<bool>())..]) + "::numeric"
}

fn timestamp(random: &mut StdRng) -> String {
    // From -4713 to 294276, in seconds and microseconds since 1970.
    let seconds: i64 = random.random_range(-210_800_000_000..9_224_000_000_000);
    let micros = [0, 1, 500_000, 123_000, 999_999].choose(random).expect("some");
    format!("timestamptz '1970-01-01 00:00:00+00' + interval '1 second' * {seconds} + interval '{micros} microseconds'")
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

/// Compares two JSON texts: numbers by all their digits, and bytes by what they stand for.
fn same(ours: &str, theirs: &str) {
    match ours.as_bytes()[0] {
        b'{' => {
            let members = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).expect("an object");
            let (ours, theirs) = (members(ours), members(theirs));
            assert!(ours.keys().eq(theirs.keys()), "{ours:?}\n{theirs:?}");
            ours.iter().for_each(|(name, own)| same(own.get(), theirs[name].get()));
        }
        b'[' => {
            let elements =
                |text| serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_else(|_| panic!("{ours} is not {text}"));
            let (ours, theirs) = (elements(ours), elements(theirs));
            assert_eq!(ours.len(), theirs.len(), "{ours:?}\n{theirs:?}");
            ours.iter().zip(theirs).for_each(|(own, their)| same(own.get(), their.get()));
        }
        b'"' => {
            let string = |text| serde_json::from_str::<String>(text).unwrap_or_else(|_| panic!("{ours} is not {text}"));
            let (own, their) = (string(ours), string(theirs));
            if own != their {
                let digits = their.strip_prefix("\\x").unwrap_or_else(|| panic!("{ours} is not {theirs}"));
                let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
                let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                assert_eq!(own, BASE64_STANDARD.encode(bytes));
            }
        }
        // `to_jsonb` writes exponents out, and a zero without its sign; all other digits are kept, zeros too.
        b'-' | b'0'..=b'9' if ours.contains(['e', 'E']) || ours.starts_with("-0") => {
            assert_eq!(decimal(ours), decimal(theirs), "{ours} is not {theirs}");
        }
        _ => assert_eq!(ours, theirs),
    }
}

/// Sign, significant digits, and the power of ten behind them.
fn decimal(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let unsigned = mantissa.strip_prefix('-');
    let (integer, fraction) =
        unsigned.unwrap_or(mantissa).split_once('.').unwrap_or((unsigned.unwrap_or(mantissa), ""));
    let digits = format!("{integer}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0').to_owned();
    let shift = digits.len() - digits.trim_end_matches('0').len();
    let exponent = exponent.parse::<i64>().expect("an exponent") - fraction.len() as i64 + shift as i64;
    match significant.is_empty() {
        true => (false, significant, 0),
        false => (unsigned.is_some(), significant, exponent),
    }
}
