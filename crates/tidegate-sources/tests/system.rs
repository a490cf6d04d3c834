//! The machine's figures in a real log.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::{Address, KeySpec, Millis, Op, Placement, Scope, Target, Template};
use tidegate_log::{Batch, Channel, ChannelSpec, Entry, Log, Options, ReadLimit, ViewRow, loaded_mark};
use tidegate_sources::{Kind, Numbers, Running, Settings, Takes};

const ALL: ReadLimit = ReadLimit { records: 10_000, bytes: 1 << 24 };

fn start(log: &Log) -> Running {
    let kind = Kind::find("system").expect("registered");
    let settings: Settings = serde_json::from_str(r#"{"interval":"100ms"}"#).expect("settings");
    let source = (kind.configure)(&settings).expect("configured");
    let template = Template::parse("machine/{group}").expect("template");
    let placement = Placement { template, key: KeySpec::new(["name"]) };
    let takes = Takes::Rows(placement);
    let target = tidegate_sources::Target { channel: "machine".to_owned(), table: None, takes, numbers: Numbers::Json };
    source.start("host", log.clone(), vec![target]).expect("started")
}

fn open(folder: &std::path::Path) -> (Log, Channel, Receiver<()>) {
    let log = Log::open(Options::new(folder), vec![ChannelSpec::keyed("machine")]).expect("open");
    let (sender, advanced) = sync_channel(1_000);
    log.on_advance(move |_| {
        let _ = sender.try_send(());
    });
    let channel = log.channel("machine").expect("channel");
    (log, channel, advanced)
}

fn rows(channel: &Channel, pattern: &str) -> Vec<ViewRow> {
    let scope = Scope { target: Target::parse(pattern).expect("pattern"), key: None };
    channel.rows(&scope, None, ALL).expect("rows").rows
}

fn wait(advanced: &Receiver<()>) {
    advanced.recv_timeout(Duration::from_secs(20)).expect("a sample within 20 s");
}

#[test]
fn samples_become_rows_and_vanished_rows_are_deleted() {
    let folder = tempfile::tempdir().expect("folder");
    let (log, channel, advanced) = open(folder.path());
    let ghost = Entry {
        channel: channel.id(),
        op: Op::Upsert,
        address: Address::parse("machine/process").expect("address"),
        key: Some("ghost-1".into()),
        time: Millis(1),
        data: Bytes::from_static(br#"{"group":"process","name":"ghost-1"}"#),
    };
    log.append(Batch { entries: vec![ghost], ..Batch::default() }).expect("appended");
    wait(&advanced);
    assert_eq!(log.checkpoint(&loaded_mark("host", "machine")), None, "loading until the first sample");

    let source = start(&log);
    wait(&advanced);
    let seen = rows(&channel, "machine/*");
    let find = |name: &str| seen.iter().find(|row| &*row.key == name);
    assert!(find("total").is_some_and(|row| row.address.as_str() == "machine/cpu"));
    assert!(find("ram").is_some_and(|row| row.address.as_str() == "machine/memory"));
    assert!(find("ghost-1").is_none(), "a row that is not seen is deleted");
    assert!(log.checkpoint("host").is_some() && log.checkpoint(&loaded_mark("host", "machine")).is_some());

    wait(&advanced);
    source.stop();
    let scope = Scope { target: Target::parse("machine/*").expect("pattern"), key: None };
    let page = channel.read(1, channel.head(), &scope, ALL).expect("records");
    assert!(page.records.iter().all(|record| record.tx.as_ref().is_some_and(|tx| tx.id.starts_with("host-"))));
    let ends = page.records.iter().filter(|record| record.tx.as_ref().is_some_and(|tx| tx.last)).count();
    assert!(ends >= 2, "a batch a sample");
    assert!(page.records.iter().all(|record| record.op == Op::Delete || record.before.as_ref() != Some(&record.data)));
}

#[test]
fn a_restart_goes_on_from_the_view() {
    let folder = tempfile::tempdir().expect("folder");
    let (log, _, advanced) = open(folder.path());
    let source = start(&log);
    wait(&advanced);
    source.stop();
    log.close();

    let (log, channel, advanced) = open(folder.path());
    let before = channel.head();
    let held = rows(&channel, "machine/*").len();
    let source = start(&log);
    wait(&advanced);
    source.stop();
    let scope = Scope { target: Target::parse("machine/memory").expect("address"), key: None };
    let page = channel.read(before, channel.head(), &scope, ALL).expect("records");
    assert!(held > 0);
    assert!(page.records.iter().all(|record| record.before.is_some()), "known rows are changed, not made anew");
}
