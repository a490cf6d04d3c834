//! One server, all its histories at once, and its deaths.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Options;
use super::ledger::Ledger;
use super::moments::Moments;
use super::plan::{Plan, rng};
use super::report::Report;
use super::rights::GATE;
use super::truth::Truth;
use super::{watcher, writer};
use crate::client::get_json;
use crate::client::http::ask;
use crate::process::Server;

/// Reloads of each server.
const RELOADS: u64 = 3;
/// On a machine that is busy.
const RELOAD_WITHIN: Duration = Duration::from_secs(60);

/// Runs `count` histories from number `first` on a server of their own.
pub(super) async fn run(options: &Options, first: u64, count: u64) -> Report {
    let plans: Vec<Arc<Plan>> =
        (first..first + count).map(|number| Arc::new(Plan::new(options.seed, number))).collect();
    let mut rng = rng(options.seed, first, 1_000);
    let journal = if rng.random_bool(0.7) { "1MiB" } else { "64MiB" };
    let (told, told_otherwise) = (config(&plans, journal, false), config(&plans, journal, true));
    let binary = options.binary.clone();
    let first = told.clone();
    let server = tokio::task::spawn_blocking(move || Server::start(&binary, &first)).await.expect("the server starts");
    let servers = (server.address(), server.admin());
    let progress = Arc::new(AtomicU64::new(0));
    let (over, until) = watch::channel(false);
    let planned = plans.iter().map(|plan| plan.batches as u64).sum();
    let blows = blows(options.kills, planned, &mut rng);
    let fate = tokio::spawn(befall(server, blows, [told_otherwise, told], progress.clone(), until));

    let mut histories = JoinSet::new();
    for plan in plans {
        histories.spawn(Box::pin(history(servers, plan, options.seed, progress.clone())));
    }
    let mut report = Report::default();
    while let Some(done) = histories.join_next().await {
        match done {
            Ok(part) => report.add(part),
            Err(error) => report.differences.push(format!("a history ended early: {error}")),
        }
    }
    over.send_replace(true);
    match fate.await {
        Ok((server, part)) => {
            report.add(part);
            report.behind = behind(server.admin()).await;
            if !report.differences.is_empty() {
                println!("the server said:\n{}", server.output());
            }
            drop(server);
        }
        Err(error) => report.differences.push(format!("the server was lost: {error}")),
    }
    report
}

fn config(plans: &[Arc<Plan>], journal: &str, otherwise: bool) -> String {
    let channels: String = plans.iter().map(|plan| plan.config(otherwise)).collect();
    format!(
        "heartbeat: 5s\n\
         log: {{ path: ./data, journal_bytes: {journal}, segment_bytes: 1MiB }}\n{GATE}channels:\n{channels}"
    )
}

/// One writer and its watchers, to the end.
async fn history(servers: (SocketAddr, SocketAddr), plan: Arc<Plan>, seed: u64, progress: Arc<AtomicU64>) -> Report {
    let (written, writing) = watch::channel(0);
    let (tell, truth) = watch::channel::<Option<Arc<Truth>>>(None);
    let mut watchers = JoinSet::new();
    let (ledger, moments) = (Ledger::default(), Moments::default());
    for at in 0..plan.watchers.len() {
        let told = (ledger.clone(), moments.clone(), truth.clone());
        watchers.spawn(Box::pin(watcher::watch(servers, plan.clone(), at, writing.clone(), told)));
    }
    let mut report = Report::default();
    match writer::write(servers.0, &plan, seed, (&written, &ledger, &moments), &progress).await {
        Ok((truth, part)) => {
            report.add(part);
            tell.send_replace(Some(Arc::new(truth)));
        }
        Err(difference) => {
            report.differences.push(format!("history {}: {difference}", plan.number));
            watchers.abort_all();
        }
    }
    while let Some(done) = watchers.join_next().await {
        match done {
            Ok(part) => report.add(part),
            Err(error) if error.is_cancelled() => {}
            Err(error) => report.differences.push(format!("history {}: {error}", plan.number)),
        }
    }
    report.histories = 1;
    report
}

/// How often watchers fell behind, from the server's own figures.
async fn behind(admin: SocketAddr) -> u64 {
    let Ok(metrics) = get_json(admin, "/metrics").await else { return 0 };
    let line = metrics.text.lines().find_map(|line| line.strip_prefix("tidegate_watches_behind_total "));
    line.and_then(|count| count.trim().parse::<f64>().ok()).map_or(0, |count| count as u64)
}

/// What befalls a server while its histories go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    /// `kill -9`, and a start.
    Kill,
    /// SIGTERM, and a start.
    Stop,
    /// Its config says the same in other words, and is read again: whoever watches by it is judged anew, and sees the same.
    Reload,
}

/// In their order, each after so many batches.
fn blows(kills: u64, planned: u64, rng: &mut impl Rng) -> Vec<(u64, Blow)> {
    let stops = u64::from(kills > 0 && rng.random_bool(0.5));
    let all = [(Blow::Kill, kills), (Blow::Stop, stops), (Blow::Reload, RELOADS)];
    let all = all.into_iter().flat_map(|(blow, times)| (0..times).map(move |_| blow));
    let mut blows: Vec<_> = all.map(|blow| (rng.random_range(planned / 20..planned * 9 / 10), blow)).collect();
    blows.sort_unstable();
    blows
}

/// `configs`: what is said after each reload, in turn.
async fn befall(
    mut server: Server,
    blows: Vec<(u64, Blow)>,
    configs: [String; 2],
    progress: Arc<AtomicU64>,
    mut over: watch::Receiver<bool>,
) -> (Server, Report) {
    let mut report = Report::default();
    let mut configs = configs.iter().cycle();
    for (after, blow) in blows {
        while progress.load(Ordering::Relaxed) < after && !*over.borrow_and_update() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if blow == Blow::Reload {
            server.rewrite(configs.next().expect("without end"));
            match judged_anew(server.admin()).await {
                Ok(judged) => report.judged_anew += judged,
                Err(error) => report.differences.push(format!("a reload after {after} batches: {error}")),
            }
            continue;
        }
        let revive = move || {
            if blow == Blow::Kill {
                server.kill9();
            } else {
                server.terminate();
                server.wait();
            }
            let restarted = server.restart();
            (server, restarted)
        };
        let (revived, restarted) =
            tokio::task::spawn_blocking(revive).await.expect("starting a process does not panic");
        server = revived;
        report.kills += u64::from(blow == Blow::Kill);
        report.drains += u64::from(blow == Blow::Stop);
        if let Err(error) = restarted {
            report.differences.push(format!("{blow:?} after {after} batches: {error}"));
            break;
        }
    }
    (server, report)
}

/// Has the config read again. How many watches were judged by it, none of which may see anything else.
async fn judged_anew(admin: SocketAddr) -> Result<u64, String> {
    let answer = tokio::time::timeout(RELOAD_WITHIN, ask(admin, "POST", "/reload", &[], b""))
        .await
        .map_err(|_| "no answer".to_owned())?;
    let answer = answer.map_err(|ended| format!("{ended:?}"))?;
    let watches = &answer.body["watches"];
    match (watches["judged"].as_u64(), watches["changed"].as_u64()) {
        (Some(judged), Some(0)) => Ok(judged),
        _ => Err(format!("{} {}", answer.head.status, answer.text)),
    }
}
