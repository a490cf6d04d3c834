//! What the kernel of this machine holds in memory for connections, by `/proc`.

use std::fs::read_to_string;

/// Bytes of slab, where sockets live, and of the buffers of TCP; `None`: this system does not tell.
pub(crate) fn memory_bytes() -> Option<u64> {
    let slab = field(&read_to_string("/proc/meminfo").ok()?, "Slab:", "Slab:")? * 1024;
    let pages = field(&read_to_string("/proc/net/sockstat").ok()?, "TCP:", "mem")?;
    Some(slab + pages * rustix::param::page_size() as u64)
}

/// The number behind `word` in the line that begins with `line`.
fn field(text: &str, line: &str, word: &str) -> Option<u64> {
    let line = text.lines().find(|candidate| candidate.starts_with(line))?;
    let mut words = line.split_whitespace().skip_while(|candidate| *candidate != word);
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_words() {
        let text = "sockets: used 190\nTCP: inuse 7 orphan 0 tw 0 alloc 9 mem 3\nUDP: inuse 0 mem 1\n";
        assert_eq!(field(text, "TCP:", "mem"), Some(3));
        assert_eq!(field("MemFree: 9 kB\nSlab:          123456 kB\n", "Slab:", "Slab:"), Some(123_456));
        assert!(memory_bytes().expect("Linux tells") > 0);
    }
}
