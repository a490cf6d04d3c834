//! What the process tells of itself: the log on stderr, and the audit in a file of its own where the config names one.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};
use tidegate_server::AUDIT;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// So many lines of the audit may wait for its disk; then who is decided about waits too, since none is to be lost.
const AUDIT_LINES_MAX: usize = 65_536;

/// Logs to stderr; `TIDEGATE_LOG` filters, as in `TIDEGATE_LOG=debug` or `tidegate_log=trace,info`. What is returned writes
/// the rest of the audit when it is dropped.
///
/// # Errors
/// The file of the audit cannot be written.
pub(crate) fn start(audit: Option<&Path>) -> Result<Option<WorkerGuard>> {
    let filter =
        EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(tidegate_server::log_filter()));
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(color);
    let registry = tracing_subscriber::registry();
    let Some(path) = audit else {
        // A second call would fail, which is as good: one is enough.
        let _ = registry.with(log.with_filter(filter)).try_init();
        return Ok(None);
    };
    let (lines, guard) = lines(open(path)?);
    let elsewhere = Targets::new().with_default(LevelFilter::TRACE).with_target(AUDIT, LevelFilter::OFF);
    let audit = fmt::layer().json().flatten_event(true).with_level(false).with_target(false).with_writer(lines);
    let own = Targets::new().with_target(AUDIT, LevelFilter::INFO);
    let _ = registry.with(log.with_filter(filter).with_filter(elsewhere)).with(audit.with_filter(own)).try_init();
    Ok(Some(guard))
}

/// Lines are appended, so that what rotates the file may copy and truncate it.
fn open(path: &Path) -> Result<File> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.with_context(|| format!("the audit cannot be written to `{}`", path.display()))
}

fn lines(file: File) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(false).buffered_lines_limit(AUDIT_LINES_MAX).finish(file)
}
