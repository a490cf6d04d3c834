//! Columns become what `to_jsonb` makes of them, to the last digit, in a snapshot and live.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use tidegate_testkit::client::get_json;
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::gateway::{self, PATIENCE, config};
use crate::tables::Table;

const THINGS: Table = Table { channel: "things", address: "things", table: "public.things", key: &["id"] };

const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('so so', 'good "really"');
CREATE DOMAIN positive AS numeric CHECK (value > 0);
CREATE TYPE pair AS (n numeric, "a b" text[]);
CREATE TABLE things (
    id text PRIMARY KEY, yes boolean, small smallint, whole int, wide bigint, single real, double double precision, exact numeric,
    scaled numeric(30,10), word text, fixed char(6), letters varchar(20), bytes bytea, uid uuid, day date, clock time, zoned timetz,
    moment timestamp, instant timestamptz, span interval, raw json, doc jsonb, feeling mood, plus positive, duo pair, numbers int[],
    grid text[][], moments timestamptz[], pairs pair[], spread int4range, spreads int8multirange, address inet, net cidr, bits bit varying, cash money,
    terms tsvector, place point, "Odd ""name" text, "ключ" text, twice bigint GENERATED ALWAYS AS (whole::bigint * 2) STORED
);
"#;

/// Ids come in front of these.
const ROWS: [&str; 5] = [
    r#"true, -32768, 2147483647, 9223372036854775807, 0.1, 0.30000000000000004, 123456789012345678901234567890.123456789000, 1.5,
       E'tab\t quote" back\\slash \u0001 é 😀 \n', 'ab', 'ab', '\x00ff10', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2026-02-28', '23:59:59.999999',
       '12:00:00+05:30', '2026-02-28 12:34:56.7', '2026-02-28 12:34:56.789012+02', '1 year 2 mons -3 days 04:05:06.7', '{"b": 1,  "a": [1.0, 1e2]}',
       '{"b": 1.50, "a": {"z": null, "y": 12345678901234567890.0}}', 'good "really"', 7.70, ROW(1.10, ARRAY['x','"y"',NULL]), '{1,NULL,-3}',
       '{{a,"b c"},{"NULL",NULL}}', ARRAY['2026-01-01 00:00:00+00'::timestamptz], ARRAY[ROW(1, NULL)::pair, NULL], '[1,5)', '{[1,3),[5,9)}',
       '10.0.0.1/24', '10.0.0.0/8', B'10110', '12.34', to_tsvector('english', 'a quick fox'), '(1.5,-2)', 'odd', 'да'"#,
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    r#"false, 0, 0, -1, 'NaN', 'Infinity', 'NaN', '-0.0000000001', '', '', '', '', NULL, 'infinity', '00:00', '00:00:00-12', '-infinity',
       'infinity', '-1 mons', 'null', 'null', 'so so', 0.1, ROW(NULL, '{}'), '{}', '{}', '{}', '{}', 'empty', '{}', '::1', '::/0', B'', '-0.01', '', '(0,0)', '', ''"#,
    r#"false, 1, -2147483648, -9223372036854775808, 1e38, 1e-300, 1e400, 0, 'x', NULL, NULL, NULL, NULL, '0044-03-15 BC', '24:00', '01:02:03.5+00',
       '0044-03-15 10:00:00 BC', '0044-03-15 10:00:00+00 BC', '00:00:00', '"text"', '"te\u00e9xt"', NULL, 1e10, NULL, '{{1,2},{3,4}}', NULL,
       '{infinity,-infinity}', '{}', '(,)', '{(,3)}', NULL, NULL, NULL, NULL, NULL, '(1e300,NaN)', NULL, NULL"#,
    r#"true, 1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 'Infinity', 0.5, repeat('wide', 5000), NULL, NULL, NULL, NULL, '12345-01-01', NULL, NULL,
       '12345-01-01 00:00:00', '2026-06-30 23:59:60+00', '178000000 years', '[]', '{}', NULL, 1, NULL, '[0:1]={7,8}', NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL"#,
];

/// A number without an exponent, all its digits as written.
fn expanded(number: &str) -> String {
    let Some((digits, exponent)) = number.split_once(['e', 'E']) else { return number.to_owned() };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() as i32 + exponent.parse::<i32>().expect("an exponent");
    let all = format!("{whole}{part}");
    let (whole, part) = match point {
        ..=0 => ("0".to_owned(), "0".repeat(-point as usize) + &all),
        _ if point as usize >= all.len() => (format!("{all:0<width$}", width = point as usize), String::new()),
        _ => (all[..point as usize].to_owned(), all[point as usize..].to_owned()),
    };
    let dot = if part.is_empty() { "" } else { "." };
    format!("{sign}{whole}{dot}{part}")
}

/// JSON with sorted members and no space, all else as written.
fn plain(json: &RawValue) -> String {
    let text = json.get();
    let parse = |text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    match text.as_bytes()[0] {
        b'{' => {
            let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).expect("an object");
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name:?}:{}", plain(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text).expect("an array");
            format!("[{}]", items.iter().map(|item| plain(item)).collect::<Vec<_>>().join(","))
        }
        b'"' => {
            let string: String = parse(text);
            format!("{string:?}")
        }
        b'-' | b'0'..=b'9' => expanded(text),
        _ => text.to_owned(),
    }
}

/// The members of a row, each as [`plain`] text.
fn members(row: &str) -> BTreeMap<String, String> {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}"));
    members.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// Waits for a row. As text: some numbers here are larger than what most clients can read.
async fn row(server: &Server, key: &str) -> BTreeMap<String, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get_json(server.address(), &format!("/v1/things?key={key}")).await.expect("an answer");
        if answer.head.status == 200 {
            return members(&answer.text);
        }
        assert!(Instant::now() < deadline, "{key}: {answer:?}\n{}", server.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn insert(cluster: &Cluster, prefix: &str) {
    for (number, values) in ROWS.iter().enumerate() {
        cluster.sql("postgres", &format!("INSERT INTO things VALUES ('{prefix}{number}', {})", values));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_what_to_jsonb_makes_of_it() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", SCHEMA);
        // What a database is set to must not show.
        cluster.sql("postgres", "ALTER DATABASE postgres SET datestyle = 'SQL, DMY'; ALTER DATABASE postgres SET intervalstyle = 'iso_8601';
             ALTER DATABASE postgres SET timezone = 'America/New_York'; ALTER DATABASE postgres SET bytea_output = 'escape';
             ALTER DATABASE postgres SET extra_float_digits = 0; ALTER DATABASE postgres SET lc_monetary = 'C'");
        insert(&cluster, "snapshot");
        let server = block_in_place(|| gateway::serve(&cluster, &[THINGS]));
        row(&server, "snapshot0").await;
        insert(&cluster, "live");
        for prefix in ["snapshot", "live"] {
            for number in 0..ROWS.len() {
                let key = format!("{prefix}{number}");
                let found = row(&server, &key).await;
                let wanted = cluster.sql(
                    "postgres",
                    &format!(
                        "SET timezone = 'UTC'; SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 1;
                         SELECT to_jsonb(t) || jsonb_build_object('bytes', encode(bytes, 'base64')) FROM things t WHERE id = '{key}'"
                    ),
                );
                let mut wanted = members(&wanted);
                if version == Version::V15 {
                    // It does not tell of generated columns, so a snapshot must not have them either.
                    wanted.remove("twice");
                }
                for (name, wanted) in &wanted {
                    assert_eq!(found.get(name), Some(wanted), "{version}: {name} of {key}");
                }
                assert_eq!(found.len(), wanted.len(), "{version}: {key} has more columns: {:?}", found.keys());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_can_be_strings() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    insert(&cluster, "k");
    let text = config(&cluster.url("postgres"), &[], &[THINGS])
        .replace("    key: [id]\n", "    key: [id]\n    numbers: string\n");
    let server = block_in_place(|| Server::start(gateway::binary(), &text));
    let found = row(&server, "k0").await;
    for (name, wanted) in [
        ("wide", "\"9223372036854775807\""),
        ("exact", "\"123456789012345678901234567890.123456789000\""),
        ("scaled", "\"1.5000000000\""),
        ("whole", "2147483647"),
        ("double", "0.30000000000000004"),
    ] {
        assert_eq!(found[name], wanted, "{name}");
    }
}
