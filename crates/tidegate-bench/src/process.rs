//! What a process of this machine costs, by `/proc`.

use std::fs::{read_dir, read_link, read_to_string};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A process, or all processes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    session: bool,
}

impl Process {
    /// The process with this id.
    pub fn of(pid: u32) -> Process {
        Process { pid, session: false }
    }

    /// All processes, now and later, of the session that this one leads: a server with several.
    pub fn session(pid: u32) -> Process {
        Process { pid, session: true }
    }

    /// This one.
    pub fn own() -> Process {
        Process::of(std::process::id())
    }

    /// The process on this machine that listens on an address of loopback, where its files may be
    /// looked at.
    pub fn listening_on(address: SocketAddr) -> Option<Process> {
        if !address.ip().is_loopback() {
            return None;
        }
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| read_to_string(table).unwrap_or_default());
        let link = tables.iter().flat_map(|table| table.lines()).find_map(|line| listener(line, address))?;
        all().find(|process| process.has_open(&link))
    }

    /// Its id.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// CPU time, user and system; `None`: it is gone.
    pub fn cpu(self) -> Option<Duration> {
        let ticks = self.sum(|process| Some(process.stat(11)? + process.stat(12)?))?;
        Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Proportional set size; `None`: it is gone, or is not ours to look into.
    pub fn pss_bytes(self) -> Option<u64> {
        self.sum(|process| {
            let text = process.read("smaps_rollup")?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        })
    }

    /// Of the process, or of all of the session that are there.
    fn sum(self, value: impl Fn(Process) -> Option<u64>) -> Option<u64> {
        if !self.session {
            return value(self);
        }
        let values = all().filter(|process| process.stat(3) == Some(u64::from(self.pid))).filter_map(value);
        values.reduce(|sum, value| sum + value)
    }

    /// A field of `/proc/PID/stat`, counted from behind the name, which may hold anything.
    fn stat(self, field: usize) -> Option<u64> {
        self.read("stat")?.rsplit(')').next()?.split_whitespace().nth(field)?.parse().ok()
    }

    fn read(self, file: &str) -> Option<String> {
        read_to_string(format!("/proc/{}/{file}", self.pid)).ok()
    }

    fn has_open(self, link: &str) -> bool {
        let files = read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        files.filter_map(|file| read_link(file.path()).ok()).any(|target| target.as_os_str() == link)
    }
}

fn all() -> impl Iterator<Item = Process> {
    let entries = read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Process::of)
}

/// `socket:[INODE]` of a line of `/proc/net/tcp`, if it listens there.
fn listener(line: &str, address: SocketAddr) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let anywhere = ip.bytes().all(|digit| digit == b'0');
    let here = fields.get(3) == Some(&LISTEN) && u16::from_str_radix(port, 16) == Ok(address.port());
    (here && (anywhere || ip == written(address.ip()))).then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
}

/// As the kernel writes it: words of 32 bits in the byte order of the machine.
fn written(ip: IpAddr) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word));
    words.map(|word| format!("{word:08X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_listens_is_found() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(place) else { continue };
            let address = listener.local_addr().expect("an address");
            assert_eq!(Process::listening_on(address), Some(Process::own()), "{address}");
        }
        assert!(Process::own().pss_bytes().expect("memory") > 0);
        assert!(Process::own().cpu().is_some());
        let session = Process::own().stat(3).expect("a session") as u32;
        assert!(Process::session(session).cpu() >= Process::own().cpu(), "we are one of it");
    }
}
