//! Random histories over every transport against the real server, compared with the model.
//!
//! `TIDEGATE_HISTORIES`, `TIDEGATE_SEED`, `TIDEGATE_PARALLEL`, `TIDEGATE_KILLS` and
//! `TIDEGATE_BIN` say how many, which, how and what; the soak runs 10,000.

use std::path::Path;

use tidegate_testkit::client::Transport;
use tidegate_testkit::histories::{Options, run};

/// What watchers hear of views and rights: each of these a few times in every ten histories, of which one is asked for.
const HEARD: [&str; 26] = [
    "JSON patch",
    "a fresh token that had ended was refused",
    "a row came from another principal",
    "a row went to another principal",
    "another manner with the same cursor",
    "another stream on the connection of the one before",
    "another view with the same cursor",
    "as of a past time",
    "came into the filter",
    "changed amid a watch",
    "filtered",
    "left the filter",
    "merge patch",
    "not told",
    "projected",
    "renewed amid a snapshot",
    "renewed by another stream of its connection",
    "renewed, and polled other rows",
    "renewed, and saw other rows",
    "renewed, and saw the same",
    "renewed, and told other events",
    "revoked amid a watch",
    "several in a tick",
    "several in one",
    "the cursor of another principal",
    "the fresh token of another was refused",
];

/// What is rarer, some ten times in two hundred: once at least, which a run of chance misses once in thousands.
const RARER: [&str; 5] = [
    "a fresh token that was revoked was refused",
    "its token ended amid a watch",
    "no fresh token was refused",
    "renewed, and shut out",
    "went on over the end of its first token",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_equals_the_model() {
    let options = Options::from_env(Path::new(env!("CARGO_BIN_EXE_tidegate")), 200);
    println!("histories: {options:?}");
    let report = run(&options).await;
    println!("{report}");
    for difference in &report.differences {
        println!("difference: {difference}");
    }
    assert!(
        report.differences.is_empty(),
        "seed {}: {} differences; the first:\n{}",
        options.seed,
        report.differences.len(),
        report.differences[0]
    );
    assert!(report.won > options.histories && report.lost > options.histories, "{report}");
    // A run that did not cut, resume and kill has shown nothing,
    assert!(
        report.cuts >= options.histories && report.resumes.len() == Transport::ALL.len() && report.kills > 0,
        "{report}"
    );
    assert!(report.judged_anew > options.histories, "{report}");
    // and neither has one whose watches saw everything as it is.
    let heard = |kind: &&str| report.heard.get(kind).copied().unwrap_or_default();
    let rare = HEARD.iter().filter(|kind| heard(kind) < options.histories / 10);
    let rarer = RARER.iter().filter(|kind| heard(kind) < options.histories / 200);
    assert_eq!(rare.chain(rarer).collect::<Vec<_>>(), Vec::<&&str>::new(), "{report}");
    let renewed = |transport| report.renewals.get(transport).copied().unwrap_or_default() > options.histories / 10;
    assert!(Transport::ALL.iter().all(renewed), "{report}");
}
