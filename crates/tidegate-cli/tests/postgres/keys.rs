//! Rows keep their places when keys change hands, and where a key alone does not tell them apart.

use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::site::Site;
use crate::tables::Table;

const QUEUE: Table = Table { channel: "queue", address: "queue", table: "public.queue", key: &["id"] };
const LANES: Table = Table { channel: "lanes", address: "lanes/{lane}", table: "public.queue", key: &["id"] };
const ORDERS: Table = Table { channel: "orders", address: "orders/{tenant}", table: "public.orders", key: &["id"] };
/// The same with `REPLICA IDENTITY FULL`.
const CARTS: Table = Table { channel: "carts", address: "carts/{tenant}", table: "public.carts", key: &["id"] };

const SCHEMA: &str = "
CREATE TABLE queue (id int PRIMARY KEY DEFERRABLE, lane text NOT NULL, body text);
ALTER TABLE queue ALTER body SET STORAGE EXTERNAL;
ALTER TABLE queue REPLICA IDENTITY FULL;
INSERT INTO queue SELECT g, 'l' || g % 3, repeat('b' || g, 2000) FROM generate_series(1, 12) g;
CREATE TABLE orders (tenant text, id int, body text, PRIMARY KEY (tenant, id));
ALTER TABLE orders ALTER body SET STORAGE EXTERNAL;
INSERT INTO orders SELECT t, g, repeat(t, 5000) FROM unnest(ARRAY['a', 'b', 'c']) t, generate_series(1, 9) g;
CREATE TABLE carts (LIKE orders INCLUDING ALL);
ALTER TABLE carts REPLICA IDENTITY FULL;
INSERT INTO carts SELECT * FROM orders;
";

/// Uniqueness is checked late, so within a statement or transaction two rows have one key for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_hands() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    let site = Site::start(cluster, &[], &[QUEUE, LANES]).await;
    for statements in [
        "UPDATE queue SET id = id + 1",
        "UPDATE queue SET id = id - 1",
        "UPDATE queue SET id = 13 - id",
        "UPDATE queue SET id = 3 - id, lane = 'swapped' || id WHERE id < 3",
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE queue SET id = 5 WHERE id = 4; DELETE FROM queue WHERE id = 5 AND lane <> 'l0'; COMMIT",
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO queue VALUES (6, 'twin', 'new'); DELETE FROM queue WHERE id = 6 AND lane <> 'twin'; COMMIT",
        // Larger than what is held in memory of one transaction.
        "UPDATE queue SET id = id + 1, body = repeat('y' || id, 200000)",
        "BEGIN; UPDATE queue SET id = id - 1; UPDATE queue SET id = 13 - id, lane = 'l' || id; DELETE FROM queue WHERE id = 7; COMMIT",
    ] {
        site.run(statements).await;
    }
}

/// The usual table of many tenants: each counts for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_needs_its_address() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    let site = Site::start(cluster, &[], &[ORDERS, CARTS]).await;
    for statements in [
        "UPDATE orders SET body = 'short' WHERE tenant = 'a' AND id = 1",
        "DELETE FROM orders WHERE tenant = 'b' AND id = 2",
        "UPDATE orders SET tenant = 'd' WHERE tenant = 'a' AND id = 3",
        "UPDATE orders SET id = id + 100 WHERE id = 4",
        "BEGIN; UPDATE orders SET tenant = 'e' WHERE id = 5 AND tenant = 'a'; UPDATE orders SET tenant = 'a' WHERE id = 5 AND tenant = 'b'; COMMIT",
        "BEGIN; UPDATE orders SET body = repeat(tenant, 200000) WHERE id > 5; DELETE FROM orders WHERE tenant = 'c' AND id = 6;
         UPDATE orders SET tenant = 'f' WHERE tenant = 'c' AND id = 7; COMMIT",
    ] {
        site.sql(&statements.replace("orders", "carts"));
        site.run(statements).await;
    }
}
