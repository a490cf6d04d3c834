//! Many principals, each entitled to its own rows of one table, while rows go from one to another: nobody ever sees a row of
//! another.
//!
//! The table writes down each of its versions in the transaction that makes it. In the end every frame that anybody heard,
//! also what a cut took back, must be a version that was the principal's own, and what was told of each row must be all of
//! them, in order.

mod audit;
mod principal;
mod traffic;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tidegate_testkit::client::Transport;
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tidegate_testkit::token::{mint, seconds_from_now};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::Instant;

use crate::gateway::{PATIENCE, binary, number};
use audit::Audit;
use principal::{Principal, Watched};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Longer than the longest run.
const LASTS: Duration = Duration::from_secs(3_600);
/// Stands in each value of the masked column, and nowhere else.
const CANARY: &str = "hid-";
/// Of the principals one in so many gives up its connections soon, and goes on over another transport.
const RESTLESS: u64 = 4;

fn schema(principals: u64) -> String {
    format!(
        "CREATE SEQUENCE versions;
         CREATE TABLE docs (
             id int PRIMARY KEY, room text NOT NULL, owner text NOT NULL, body text, cost text, v bigint NOT NULL
         );
         CREATE TABLE audit (n bigserial PRIMARY KEY, id int NOT NULL, version jsonb);
         CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO audit (id, version)
             VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END,
                     CASE TG_OP WHEN 'DELETE' THEN NULL ELSE to_jsonb(NEW) END);
             RETURN NULL;
         END $$;
         CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON docs FOR EACH ROW EXECUTE FUNCTION audit();
         INSERT INTO docs SELECT g, 'r' || g % 3, 'p' || g % {principals}, 'new', '{CANARY}' || g, nextval('versions')
             FROM generate_series(1, {}) g;",
        rows(principals)
    )
}

const fn rows(principals: u64) -> u64 {
    principals * 2
}

fn config(cluster: &Cluster) -> String {
    format!(
        r#"
heartbeat: 5s
gate:
  issuers:
    test: {{ issuer: "https://id.example.org", audience: tidegate, algorithms: HS256, secret: {SECRET} }}
sources:
  shop: {{ kind: postgres, url: "{}", heartbeat: 500ms }}
channels:
  docs:
    address: docs/{{room}}
    table: public.docs
    key: [id]
    source: shop
    retain: {{ age: 1d }}
    access: {{ read: "has(claims.sub)", rows: "data.owner == claims.sub", mask: [cost] }}
"#,
        cluster.url("postgres")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_ever_sees_a_row_of_another() {
    let seed = number("TIDEGATE_SEED", rand::random());
    let (principals, changes) = (number("TIDEGATE_PG_PRINCIPALS", 200), number("TIDEGATE_PG_CHANGES", 600));
    println!("seed {seed}: {principals} principals, {changes} changes");
    let mut rng = StdRng::seed_from_u64(seed);
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", &schema(principals));
    let server = block_in_place(|| Server::start(binary(), &config(&cluster)));

    let watched = Watched::begin(server.address());
    let mut running = JoinSet::new();
    for at in 0..principals {
        let name = format!("p{at}");
        let claims = json!({
            "iss": "https://id.example.org", "aud": "tidegate", "sub": name, "exp": seconds_from_now(LASTS),
        });
        let transport = Transport::ALL[at as usize % Transport::ALL.len()];
        let principal = Principal {
            token: mint(SECRET, &claims),
            name,
            transport,
            restless: at % RESTLESS == 0,
            seed: rng.random(),
        };
        running.spawn(principal.watch(watched.clone()));
    }
    tokio::select! {
        () = watched.all_have_begun(principals) => {}
        Some(ended) = running.join_next() => panic!("seed {seed}: {:?}", ended.expect("a principal").err()),
    }

    let begun = Instant::now();
    let (commits, statements) = traffic::write(&cluster, seed, principals, changes).await;
    let wrote = begun.elapsed();
    let audit = std::sync::Arc::new(block_in_place(|| Audit::read(&cluster)));
    watched.tell(audit.clone());
    let ended = async {
        let mut heard = Vec::new();
        while let Some(one) = running.join_next().await {
            heard.push(one.expect("a principal").unwrap_or_else(|difference| panic!("seed {seed}: {difference}")));
        }
        heard
    };
    let heard = tokio::time::timeout(PATIENCE, ended).await.expect("all have what is theirs in time");

    let (mut frames, mut went, mut cuts) = (0, 0, 0);
    for one in &heard {
        audit.judge(one).unwrap_or_else(|difference| panic!("seed {seed}: {}: {difference}", one.name));
        frames += one.ever.len();
        went += one.ever.iter().filter(|frame| frame["op"] == "delete").count();
        cuts += one.cuts;
    }
    println!(
        "{principals} principals heard {frames} frames ({went} rows went) over {} transports with {cuts} cuts, none of another: \
         {statements} statements in {commits} transactions made {} versions in {wrote:.1?}; all of them told once, in order",
        Transport::ALL.len(),
        audit.versions(),
    );
    assert!(went as u64 > changes / 4, "rows changed hands");
}
