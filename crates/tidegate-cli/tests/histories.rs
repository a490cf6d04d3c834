//! Random histories over every transport against the real server, compared with the model.
//!
//! `TIDEGATE_HISTORIES`, `TIDEGATE_SEED`, `TIDEGATE_PARALLEL`, `TIDEGATE_KILLS` and
//! `TIDEGATE_BIN` say how many, which, how and what; the soak runs 10,000.

use std::path::Path;

use tidegate_testkit::client::Transport;
use tidegate_testkit::histories::{Options, run};

/// What watchers hear of views; each of these a few times in every ten histories.
const HEARD: [&str; 17] = [
    "JSON patch",
    "a row came from another principal",
    "a row went to another principal",
    "another manner with the same cursor",
    "another view with the same cursor",
    "as of a past time",
    "came into the filter",
    "changed amid a watch",
    "filtered",
    "left the filter",
    "merge patch",
    "not told",
    "projected",
    "revoked amid a watch",
    "several in a tick",
    "several in one",
    "the cursor of another principal",
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
    // and neither has one whose watches saw everything as it is.
    let rare = HEARD.iter().filter(|kind| report.heard.get(*kind).copied().unwrap_or_default() < options.histories / 4);
    assert_eq!(rare.collect::<Vec<_>>(), Vec::<&&str>::new(), "{report}");
}
