use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::system::proc::{CpuTicks, Load, Memory, Process};
use crate::system::reading::{Mount, Units};

fn reading(at: Instant, scale: u64) -> Reading {
    let ticks = CpuTicks { user: 100 * scale, system: 50 * scale, idle: 40 * scale, iowait: 10 * scale, steal: 0 };
    let process = |pid, ticks| Process { pid, name: "worker".to_owned(), ticks, started: 7, pages: 2 };
    Reading {
        at,
        cpus: vec![("total".to_owned(), ticks)],
        memory: Some(Memory { total: 1000, available: 250, swap_total: 0, swap_free: 0 }),
        mounts: vec![Mount { point: "/".to_owned(), total: 2000, free: 500 }],
        block_devices: vec![("vda".to_owned(), Moved { into: 4000 * scale, out_of: 0 })],
        interfaces: vec![("eth0".to_owned(), Moved { into: 0, out_of: 6000 * scale })],
        load: Some(Load { one: 1.5, five: 1.0, fifteen: 0.5, threads: 93 }),
        processes: (0..12).map(|pid| process(pid, u64::from(pid) * scale)).collect(),
        units: Units { ticks_per_second: 100, page_bytes: 4096 },
    }
}

fn find<'r>(rows: &'r [Row], name: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.name == name)
}

fn parsed(rows: &[Row], name: &str) -> Value {
    serde_json::from_slice(&find(rows, name).expect(name).json()).expect("JSON")
}

#[test]
fn figures_are_those_of_the_time_between() {
    let start = Instant::now();
    let rows = rows(&reading(start, 1), &reading(start + Duration::from_secs(2), 2));
    let json = |name: &str| parsed(&rows, name);
    assert_eq!(
        json("total"),
        json!({"group":"cpu","name":"total","percent":75.0,"user":50.0,"system":25.0,"iowait":5.0,"steal":0.0})
    );
    assert_eq!(json("ram")["used_bytes"], 750);
    assert_eq!(json("/")["percent"], 75.0);
    assert_eq!(
        json("vda"),
        json!({"group":"disk","name":"vda","read_bytes_per_second":2000,"write_bytes_per_second":0})
    );
    assert_eq!(json("eth0")["send_bytes_per_second"], 3000);
    assert_eq!(json("average")["threads"], 93);
    assert_eq!(json("worker-11")["percent"], 5.5);
    assert_eq!(json("worker-11")["rss_bytes"], 8192);
    assert_eq!(find(&rows, "swap"), None);
}

#[test]
fn the_busiest_processes_are_shown() {
    let start = Instant::now();
    let rows = rows(&reading(start, 1), &reading(start + Duration::from_secs(1), 3));
    let shown: Vec<u64> = rows
        .iter()
        .filter(|row| row.group == "process")
        .map(|row| parsed(&rows, &row.name)["pid"].as_u64().expect("pid"))
        .collect();
    assert_eq!(shown, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn a_counter_that_was_reset_is_no_rate() {
    let start = Instant::now();
    let rows = rows(&reading(start, 2), &reading(start + Duration::from_secs(1), 1));
    assert_eq!(parsed(&rows, "vda")["read_bytes_per_second"], 0);
    assert_eq!(parsed(&rows, "total")["percent"], 0.0);
}
