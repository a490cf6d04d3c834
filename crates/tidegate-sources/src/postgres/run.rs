//! The source's thread: one session after the other, for ever.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_log::Log;

use super::destination::Plan;
use super::failure::Failure;
use super::session::Context;
use super::settings::Postgres;
use super::upkeep::{Care, Upkeep};
use super::wait::Wait;
use crate::running::{Running, Stop};
use crate::{Finding, Source, SourceState, SourceStats, StartError, Target};

/// After a failure the next session waits at least this long, and twice as long after each further one.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// A session that lasted this long has worked: the waits begin anew.
const WORKED: Duration = Duration::from_secs(30);

impl Source for Postgres {
    fn check(&self, name: &str, targets: &[Target]) -> Vec<Finding> {
        super::check::findings(self, name, targets)
    }

    fn start(&self, name: &str, log: Log, targets: Vec<Target>) -> Result<Running, StartError> {
        let plan = Arc::new(Plan::new(&log, targets)?);
        let runtime = super::runtime()?;
        let stats = Arc::new(SourceStats::default());
        let (name, settings, counted) = (name.to_owned(), self.clone(), stats.clone());
        Ok(Running::start(&name.clone(), stats, move |stop| {
            let wait = Wait { runtime: runtime.handle().clone(), stop };
            let slot = settings.slot_of_process(&name);
            let care = Care {
                name: name.clone(),
                slot: slot.clone(),
                settings: settings.clone(),
                plan: plan.clone(),
                stats: counted.clone(),
            };
            let upkeep = Upkeep::start(care, &wait.runtime);
            let told = RefCell::default();
            let context = Context { name, settings, log, plan, stats: counted, wait, slot, upkeep, told };
            run(&context);
            // Connections that are still open have nothing to say any more.
            runtime.shutdown_background();
        })?)
    }
}

fn run(context: &Context) {
    let Context { name, stats, wait: Wait { stop, .. }, .. } = context;
    let mut wait = RETRY_MIN;
    let mut lost = None;
    // What fails now, as it was logged.
    let mut failing: Option<String> = None;
    while !stop.requested() {
        context.upkeep.ensure();
        let began = Instant::now();
        let failure = context.session(&mut lost);
        if began.elapsed() >= WORKED {
            wait = RETRY_MIN;
            failing = None;
        }
        match failure {
            Failure::Stopped => return,
            Failure::Over => {
                tracing::error!(source = name, "the log takes nothing more; the source stops");
                stats.set_state(SourceState::Waiting);
                return;
            }
            Failure::Again(why) => {
                tracing::info!(source = name, why, "connecting anew");
                if !stop.wait_until(began + RETRY_MIN) {
                    return;
                }
                continue;
            }
            Failure::Lost(why) => {
                lost = Some(why);
                continue;
            }
            Failure::Upstream { what, remedy } => {
                SourceStats::add(&stats.failures, 1);
                if failing.as_ref() != Some(&what) {
                    match &remedy {
                        Some(sql) => tracing::error!(source = name, "{what}; run: {sql}"),
                        None => tracing::error!(source = name, "{what}; it is tried again"),
                    }
                    failing = Some(what);
                }
            }
        }
        stats.set_state(SourceState::Waiting);
        if !wait_for(stop, wait) {
            return;
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// Not all servers of a fleet come back at once.
fn wait_for(stop: &Stop, wait: Duration) -> bool {
    let spread = wait.mul_f64(0.75 + 0.5 * f64::from(rand_byte()) / 255.0);
    stop.wait_until(Instant::now() + spread)
}

fn rand_byte() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0) & 0xff) as u8
}
