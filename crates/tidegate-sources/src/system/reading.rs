//! One reading of everything, as the kernel counts it.

use std::fs;
use std::io;
use std::time::Instant;

use super::proc::{self, CpuTicks, Load, Memory, Moved, Process};

/// Mounts, interfaces and devices beyond this many are left out: a row each, each second.
const OF_A_KIND_MAX: usize = 64;
/// Processes beyond this many are not looked at; reading one costs about 10 microseconds.
const PROCESSES_MAX: usize = 4_096;

/// What the kernel said, and when.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) cpus: Vec<(String, CpuTicks)>,
    pub(super) memory: Option<Memory>,
    pub(super) mounts: Vec<Mount>,
    pub(super) block_devices: Vec<(String, Moved)>,
    pub(super) interfaces: Vec<(String, Moved)>,
    pub(super) load: Option<Load>,
    pub(super) processes: Vec<Process>,
    pub(super) units: Units,
}

/// A mounted file system, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: String,
    pub(super) total: u64,
    /// Free for ordinary users.
    pub(super) free: u64,
}

/// What the kernel counts in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) ticks_per_second: u64,
    pub(super) page_bytes: u64,
}

impl Reading {
    /// Reads everything.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read: this is no Linux, or a sandbox without /proc. Other files that
    /// are missing leave out their rows.
    pub(super) fn take() -> io::Result<Reading> {
        let cpus = proc::cpus(&fs::read_to_string("/proc/stat")?);
        let whole_devices = whole_devices();
        let mut block_devices = proc::block_devices(&text("/proc/diskstats"));
        block_devices.retain(|(name, _)| whole_devices.contains(name));
        block_devices.truncate(OF_A_KIND_MAX);
        let mut interfaces = proc::interfaces(&text("/proc/net/dev"));
        interfaces.truncate(OF_A_KIND_MAX);
        Ok(Reading {
            at: Instant::now(),
            cpus,
            memory: proc::memory(&text("/proc/meminfo")),
            mounts: proc::mounts(&text("/proc/self/mountinfo"))
                .into_iter()
                .take(OF_A_KIND_MAX)
                .filter_map(mount)
                .collect(),
            block_devices,
            interfaces,
            load: proc::load(&text("/proc/loadavg")),
            processes: processes(),
            units: Units {
                ticks_per_second: rustix::param::clock_ticks_per_second(),
                page_bytes: rustix::param::page_size() as u64,
            },
        })
    }
}

fn text(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `/proc/diskstats` lists partitions too, whose bytes their disk counts again.
fn whole_devices() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !["loop", "ram", "zram"].iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

fn mount(point: String) -> Option<Mount> {
    let figures = rustix::fs::statvfs(&point).ok()?;
    let block = figures.f_frsize;
    let mount = Mount { point, total: figures.f_blocks * block, free: figures.f_bavail * block };
    (mount.total > 0).then_some(mount)
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .take(PROCESSES_MAX)
        // A process may end between listing and reading.
        .filter_map(|pid| proc::process(&text(&format!("/proc/{pid}/stat"))))
        .collect()
}
