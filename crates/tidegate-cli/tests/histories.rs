//! Random histories over every transport against the real server, compared with the model.
//!
//! `TIDEGATE_HISTORIES`, `TIDEGATE_SEED`, `TIDEGATE_PARALLEL`, `TIDEGATE_KILLS` and
//! `TIDEGATE_BIN` say how many, which, how and what; the soak runs 10,000.

use std::path::Path;

use tidegate_testkit::client::Transport;
use tidegate_testkit::histories::{Options, run};

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
    // A run that did not cut, resume and kill has shown nothing.
    assert!(report.won > options.histories && report.lost > options.histories, "{report}");
    assert!(
        report.cuts >= options.histories && report.resumes.len() == Transport::ALL.len() && report.kills > 0,
        "{report}"
    );
}
