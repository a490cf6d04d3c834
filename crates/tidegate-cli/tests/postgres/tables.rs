//! The tables that are read, and how a row of each becomes an address and a key.

use serde_json::Value;
use tidegate_core::Address;

/// One table and its channel.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) channel: &'static str,
    pub(crate) address: &'static str,
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
}

/// Moves between addresses, changes of keys, and a column that most updates do not touch.
pub(crate) const ACCOUNTS: Table =
    Table { channel: "accounts", address: "accounts/{region}", table: "public.accounts", key: &["id"] };
/// A key of two columns.
pub(crate) const STOCK: Table =
    Table { channel: "stock", address: "stock/{shop}", table: "public.stock", key: &["shop", "item"] };
/// `REPLICA IDENTITY FULL`, no primary key.
pub(crate) const NOTES: Table =
    Table { channel: "notes", address: "notes/{topic}", table: "public.notes", key: &["code"] };
/// `REPLICA IDENTITY USING INDEX`.
pub(crate) const COUPONS: Table =
    Table { channel: "coupons", address: "coupons/{shop}", table: "public.coupons", key: &["code"] };
/// Partitioned; published as one.
pub(crate) const VISITS: Table =
    Table { channel: "visits", address: "visits/{day}", table: "public.visits", key: &["id", "day"] };
/// Truncated now and then; in another schema.
pub(crate) const BASKET: Table = Table { channel: "basket", address: "basket", table: "app.basket", key: &["id"] };
/// Inserted into and never changed.
pub(crate) const LEDGER: Table =
    Table { channel: "ledger", address: "ledger/{writer}", table: "public.ledger", key: &["seq"] };

pub(crate) const ALL: [Table; 7] = [ACCOUNTS, STOCK, NOTES, COUPONS, VISITS, BASKET, LEDGER];

pub(crate) const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE accounts (
    id int PRIMARY KEY, region text NOT NULL, amount numeric(18,4), doc jsonb, note text, seen timestamptz, v bigint NOT NULL
);
-- Not compressed, so that it is kept apart from the row and left out of updates that do not touch it.
ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
CREATE TABLE stock (shop text, item int, n int, PRIMARY KEY (shop, item));
CREATE TABLE notes (code text NOT NULL UNIQUE, topic text NOT NULL, body text, v bigint);
ALTER TABLE notes ALTER body SET STORAGE EXTERNAL;
ALTER TABLE notes REPLICA IDENTITY FULL;
CREATE TABLE coupons (id bigserial PRIMARY KEY, code text NOT NULL, shop text NOT NULL, v bigint);
CREATE UNIQUE INDEX coupons_code ON coupons (code);
ALTER TABLE coupons REPLICA IDENTITY USING INDEX coupons_code;
CREATE TABLE app.basket (id int PRIMARY KEY, v bigint);
CREATE TABLE ledger (seq bigserial PRIMARY KEY, writer int NOT NULL, txn bigint NOT NULL, n int NOT NULL);
";

/// The partitioned table.
pub(crate) const VISITS_SCHEMA: &str = "
CREATE TABLE visits (id int, day int, v bigint, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM (0) TO (10);
CREATE TABLE visits_new PARTITION OF visits FOR VALUES FROM (10) TO (20);
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
";

/// One row in each table, in one transaction: whoever has it has all before it.
pub(crate) const MARKERS: &str = "
BEGIN;
INSERT INTO accounts (id, region, v) VALUES (-1, 'end', 0);
INSERT INTO stock VALUES ('end', -1, 0);
INSERT INTO notes VALUES ('end', 'end', NULL, 0);
INSERT INTO coupons (code, shop, v) VALUES ('end', 'end', 0);
INSERT INTO visits VALUES (-1, 100, 0);
INSERT INTO app.basket VALUES (-1, 0);
INSERT INTO ledger (writer, txn, n) VALUES (99, 1, 0);
COMMIT;
";

impl Table {
    /// Address and key of a row, and the row.
    pub(crate) fn row(&self, row: Value) -> ((String, String), Value) {
        let segments: Vec<String> = self.address.split('/').map(|segment| filled(segment, &row)).collect();
        let address = Address::from_segments(segments.iter().map(String::as_str)).expect("an address");
        let key = match self.key {
            [one] => text(&row[*one]),
            more => Value::Array(more.iter().map(|name| row[*name].clone()).collect()).to_string(),
        };
        ((address.as_str().to_owned(), key), row)
    }

    /// All its addresses.
    pub(crate) fn pattern(&self) -> String {
        let star = |segment: &str| if segment.starts_with('{') { "*".to_owned() } else { segment.to_owned() };
        self.address.split('/').map(star).collect::<Vec<_>>().join("/")
    }

    /// The row of [`MARKERS`].
    pub(crate) fn is_marker(&self, row: &Value) -> bool {
        match self.channel {
            "ledger" => row["writer"] == 99,
            "stock" => row["item"] == -1,
            "notes" | "coupons" => row["code"] == "end",
            _ => row["id"] == -1,
        }
    }
}

fn filled(segment: &str, row: &Value) -> String {
    match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => text(&row[name]),
        None => segment.to_owned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
