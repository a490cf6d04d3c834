//! What the machine has, for defaults.

/// Memory that this process may have: the machine's, or less where its control group has a limit.
/// `None` where the system does not say.
pub(super) fn memory_bytes() -> Option<u64> {
    let total = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total);
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    total.into_iter().chain(group).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total("MemTotal:        1024 kB\nMemFree: 1 kB\n"), Some(1024 * 1024));
        assert_eq!(total("nothing"), None);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 0));
    }
}
