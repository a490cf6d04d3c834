//! Small things that are kept beside the records: over drains and the loss of power.

mod common;

use std::sync::Arc;

use common::{append, batch};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidegate_log::disk::SimDisk;
use tidegate_log::{Batch, ChannelSpec, Options, SteppedLog};

fn open(disk: &SimDisk) -> SteppedLog {
    let options = Options { view_cache_bytes: 1 << 20, ..Options::new("") };
    SteppedLog::open(Arc::new(disk.clone()), options, &[ChannelSpec::plain("plain")]).expect("open")
}

fn kept(log: &SteppedLog, kind: &str) -> Vec<(String, String)> {
    let all = log.kept(kind).expect("read");
    all.into_iter().map(|(name, value)| (name, String::from_utf8(value.to_vec()).expect("text"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_kept_stays_until_it_is_forgotten() {
    let mut disk = SimDisk::new();
    let mut random = StdRng::seed_from_u64(1);
    let mut log = open(&disk);
    log.append(Batch::keeping("keys", "a", "1".into())).expect("kept");
    log.append(Batch::keeping("keys", "b", "1".into())).expect("kept");
    log.append(Batch::keeping("key", "c", "1".into())).expect("kept");
    log.append(Batch { checkpoints: vec![("keys/a".into(), "source".into())], ..batch([]) }).expect("a source's");
    log.drain().expect("drained");
    // Above what is in the store: one is replaced, one goes, one comes.
    log.append(Batch::keeping("keys", "a", "2".into())).expect("kept");
    log.append(Batch::forgetting("keys", "b")).expect("forgotten");
    log.append(Batch::keeping("keys", "d/e", "1".into())).expect("kept");
    let wanted = pairs(&[("a", "2"), ("d/e", "1")]);
    assert_eq!(kept(&log, "keys"), wanted);
    for round in 0..2 {
        drop(log);
        disk = disk.power_loss(&mut random);
        log = open(&disk);
        assert_eq!(kept(&log, "keys"), wanted, "{round}");
        assert_eq!(kept(&log, "key"), pairs(&[("c", "1")]));
        assert!(kept(&log, "other").is_empty());
        log.append(batch([append("plain", "a", "1")])).expect("appended");
        log.drain().expect("drained");
        assert_eq!(kept(&log, "keys"), wanted, "{round}");
    }
    log.append(Batch::keeping("keys", "b", "3".into())).expect("kept again");
    assert_eq!(kept(&log, "keys"), pairs(&[("a", "2"), ("b", "3"), ("d/e", "1")]));
}
