//! Texts of /proc into figures: pure functions, so that recorded texts test them.
//!
//! A line that cannot be read is left out, never a panic: kernels add fields at line ends and new
//! lines anywhere. Units are in the names; what the kernel counts in its own units is converted
//! where it is used.

/// Ticks that one CPU, or all together, spent since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTicks {
    /// User code, nice included; time of guests is in it.
    pub(super) user: u64,
    pub(super) system: u64,
    /// Nothing to do.
    pub(super) idle: u64,
    /// Nothing to do but wait for a disk.
    pub(super) iowait: u64,
    /// Taken by the hypervisor.
    pub(super) steal: u64,
}

impl CpuTicks {
    pub(super) fn total(&self) -> u64 {
        self.user + self.system + self.idle + self.iowait + self.steal
    }
}

/// `/proc/stat`: `total`, `cpu0`, `cpu1` …
pub(super) fn cpus(text: &str) -> Vec<(String, CpuTicks)> {
    text.lines().filter_map(cpu).collect()
}

fn cpu(line: &str) -> Option<(String, CpuTicks)> {
    let mut parts = line.split_ascii_whitespace();
    let label = parts.next()?.strip_prefix("cpu")?;
    let name = if label.is_empty() { "total".to_owned() } else { format!("cpu{}", label.parse::<u32>().ok()?) };
    let ticks: Vec<u64> = parts.map_while(|part| part.parse().ok()).collect();
    let &[user, nice, system, idle, ref rest @ ..] = ticks.as_slice() else { return None };
    let rest = |at: usize| rest.get(at).copied().unwrap_or(0);
    let (iowait, irq, softirq, steal) = (rest(0), rest(1), rest(2), rest(3));
    Some((name, CpuTicks { user: user + nice, system: system + irq + softirq, idle, iowait, steal }))
}

/// `/proc/meminfo`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    /// What programs could still get without swapping.
    pub(super) available: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

pub(super) fn memory(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
        let mut parts = line[name.len() + 1..].split_ascii_whitespace();
        let kib: u64 = parts.next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    Some(Memory {
        total: bytes("MemTotal")?,
        // Kernels before 3.14 do not say what is available.
        available: bytes("MemAvailable").or_else(|| bytes("MemFree"))?,
        swap_total: bytes("SwapTotal").unwrap_or(0),
        swap_free: bytes("SwapFree").unwrap_or(0),
    })
}

/// Bytes that a device has moved since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Read, or received.
    pub(super) into: u64,
    /// Written, or sent.
    pub(super) out_of: u64,
}

/// `/proc/diskstats`: every block device and partition that was ever used.
pub(super) fn block_devices(text: &str) -> Vec<(String, Moved)> {
    // "Sectors" there are 512 bytes, whatever the disk's own are.
    const SECTOR_BYTES: u64 = 512;
    text.lines()
        .filter_map(|line| {
            let parts: Vec<&str> = line.split_ascii_whitespace().collect();
            let sectors = |at: usize| parts.get(at)?.parse::<u64>().ok();
            let moved = Moved { into: sectors(5)? * SECTOR_BYTES, out_of: sectors(9)? * SECTOR_BYTES };
            Some((parts.get(2)?.to_string(), moved))
        })
        .filter(|(_, moved)| *moved != Moved::default())
        .collect()
}

/// `/proc/net/dev`: every interface that was ever used.
pub(super) fn interfaces(text: &str) -> Vec<(String, Moved)> {
    text.lines()
        .filter_map(|line| {
            let (name, figures) = line.split_once(':')?;
            let parts: Vec<&str> = figures.split_ascii_whitespace().collect();
            let bytes = |at: usize| parts.get(at)?.parse::<u64>().ok();
            Some((name.trim().to_owned(), Moved { into: bytes(0)?, out_of: bytes(8)? }))
        })
        .filter(|(_, moved)| *moved != Moved::default())
        .collect()
}

/// `/proc/loadavg`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) one: f64,
    pub(super) five: f64,
    pub(super) fifteen: f64,
    /// Threads that exist.
    pub(super) threads: u64,
}

pub(super) fn load(text: &str) -> Option<Load> {
    let mut parts = text.split_ascii_whitespace();
    let mut average = || parts.next()?.parse::<f64>().ok();
    let (one, five, fifteen) = (average()?, average()?, average()?);
    let (_, threads) = parts.next()?.split_once('/')?;
    Some(Load { one, five, fifteen, threads: threads.parse().ok()? })
}

/// `/proc/self/mountinfo`: where file systems on real devices are mounted, each once, the root
/// always, even where it is an overlay.
pub(super) fn mounts(text: &str) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let before: Vec<&str> = before.split(' ').collect();
        let source = after.split(' ').nth(1).unwrap_or_default();
        let (Some(device), Some(point)) = (before.get(2), before.get(4)) else { continue };
        let real = source.starts_with("/dev/") || *point == "/";
        // A bind mount shows a device a second time, and a file can be mounted over as well.
        if real && !seen.contains(device) {
            seen.push(device);
            found.push(unescape(point));
        }
    }
    found
}

/// Mount points have `\040` for a space.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let byte = octal.map(|digits| digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        match byte.and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// The program's short name, at most 15 bytes; it chooses it itself.
    pub(super) name: String,
    /// User and system together.
    pub(super) ticks: u64,
    /// In ticks since boot; with the pid it says which process this is.
    pub(super) started: u64,
    /// Pages in memory.
    pub(super) pages: u64,
}

pub(super) fn process(text: &str) -> Option<Process> {
    // The name may hold spaces and parentheses; the last one ends it.
    let (head, rest) = text.rsplit_once(')')?;
    let (pid, name) = head.split_once(" (")?;
    let parts: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `rest` begins with field 3 of proc(5).
    let field = |number: usize| parts.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        name: name.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        ticks: field(14)? + field(15)?,
        started: field(22)?,
        pages: field(24)?,
    })
}

#[cfg(test)]
mod tests;
