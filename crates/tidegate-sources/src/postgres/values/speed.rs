//! What a row costs on one core, from the message to its JSON: `cargo test --release -p tidegate-sources -- --ignored
//! --nocapture speed`.

use std::time::Instant;

use bytes::Bytes;

use crate::Numbers;
use crate::postgres::copy;
use crate::postgres::pgoutput::{self, Cell, Message};
use crate::postgres::row::RowShape;
use crate::postgres::types::Types;

const ROWS: u32 = 1_000_000;

/// A row of an order, as orders are.
const ROW: [(&str, u32, &str); 10] = [
    ("id", 20, "9876543210"),
    ("customer", 23, "12345"),
    ("state", 25, "shipped"),
    ("note", 25, "Leave it with the neighbour at number 7, \"Müller\""),
    ("placed", 1184, "2026-11-22 01:02:03.456789+00"),
    ("paid", 16, "t"),
    ("total", 1700, "1234.50"),
    ("reference", 2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("lines", 3802, r#"[{"sku": "A-1", "count": 2}, {"sku": "B-22", "count": 1}]"#),
    ("weight", 701, "12.75"),
];

#[test]
#[ignore = "a measurement"]
fn speed() {
    let types = Types::plain(&ROW.map(|(_, oid, _)| oid));
    let shape = RowShape::new(ROW.iter().map(|(name, oid, _)| (*name, *oid)), &types);

    let mut message = b"I\0\0\0\x01N\0\x0a".to_vec();
    for (_, _, text) in ROW {
        message.push(b't');
        message.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
        message.extend_from_slice(text.as_bytes());
    }
    let message = Bytes::from(message);
    measure("replication", || {
        let Ok(Message::Insert { new, .. }) = pgoutput::decode(&message) else { panic!("an insert") };
        let mut row = shape.writer(Numbers::Json);
        for cell in &new {
            match cell {
                Cell::Text(text) => row.text(text),
                Cell::Null | Cell::Unchanged => row.null(),
            }
        }
        row.finish().expect("a row")
    });

    let line = ROW.map(|(_, _, text)| text.replace('\\', "\\\\")).join("\t");
    let mut scratch = Vec::new();
    measure("copy", || {
        let mut row = shape.writer(Numbers::Json);
        copy::fields(line.as_bytes(), &mut scratch, |field| match field {
            Some(text) => row.text(text),
            None => row.null(),
        })
        .expect("a line");
        row.finish().expect("a row")
    });
}

fn measure(what: &str, mut row: impl FnMut() -> Bytes) {
    let (began, mut bytes) = (Instant::now(), 0);
    for _ in 0..ROWS {
        bytes += std::hint::black_box(row()).len();
    }
    let seconds = began.elapsed().as_secs_f64();
    let (rate, mib) = (f64::from(ROWS) / seconds, bytes as f64 / seconds / f64::from(1 << 20));
    println!("{what}: {rate:.0} rows/s of {} columns, {mib:.0} MiB/s of JSON", ROW.len());
}
