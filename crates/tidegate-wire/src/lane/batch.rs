//! The same bytes to many sockets with one system call, where the kernel has io_uring.
//!
//! Nothing is left under way when a call returns: each send completes at once, with what its socket
//! takes, as a `send` of its own would.
#![expect(unsafe_code, reason = "the kernel reads the bytes through the ring, which the compiler cannot see")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, Probe, opcode, types};
use rustix::io::Errno;

/// Sends that go into one system call: those of a slice.
pub(super) const SENDS_MAX: usize = 64;

/// A ring of one lane.
pub(super) struct Batch {
    ring: IoUring,
}

impl Batch {
    /// A ring for the calling thread, if this kernel and this process may have one.
    pub(super) fn new() -> Option<Batch> {
        let ring = IoUring::builder().setup_single_issuer().setup_coop_taskrun().build(SENDS_MAX as u32).ok()?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).ok()?;
        probe.is_supported(opcode::Send::CODE).then_some(Batch { ring })
    }

    /// Sends `bytes` on each socket, at most [`SENDS_MAX`], without waiting. `taken` gets for each, in
    /// order, how many it took.
    pub(super) fn send(&mut self, sockets: &[BorrowedFd<'_>], bytes: &[u8], taken: &mut Vec<io::Result<usize>>) {
        assert!(sockets.len() <= SENDS_MAX, "a batch is as large as its ring");
        taken.clear();
        taken.resize_with(sockets.len(), || Ok(0));
        let flags = libc_flags();
        for (index, socket) in sockets.iter().enumerate() {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length).flags(flags).build();
            // SAFETY: the kernel reads `bytes` and `socket` until the send has completed. Both are
            // borrowed for the whole of this call, which does not return before all sends have
            // completed (below); a panic in between is an abort (`Unfinished`).
            let pushed = unsafe { self.ring.submission().push(&send.user_data(index as u64)) };
            pushed.expect("the ring has a place for each of a batch");
        }
        let unfinished = Unfinished;
        let mut left = sockets.len();
        while left > 0 {
            match self.ring.submit_and_wait(left) {
                Ok(_) => {}
                Err(error)
                    if matches!(Errno::from_io_error(&error), Some(Errno::INTR | Errno::AGAIN | Errno::BUSY)) => {}
                Err(error) => panic!("io_uring: {error}"),
            }
            for done in self.ring.completion() {
                left -= 1;
                taken[done.user_data() as usize] = match done.result() {
                    bytes @ 0.. => Ok(bytes as usize),
                    error if -error == Errno::AGAIN.raw_os_error() => Ok(0),
                    error => Err(io::Error::from_raw_os_error(-error)),
                };
            }
        }
        std::mem::forget(unfinished);
    }
}

/// Neither wait nor raise a signal, as the standard library sends.
fn libc_flags() -> i32 {
    (rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL).bits() as i32
}

/// Ends the process when dropped: the kernel may still read what would be freed.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Every socket takes what it can, in any mixture of empty, full and closed ones, and what it took
    /// is what arrives.
    #[test]
    fn each_takes_what_it_can() {
        let Some(mut batch) = Batch::new() else { return };
        let mut taken = Vec::new();
        let bytes: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
        for _ in 0..20 {
            let mut pairs: Vec<(UnixStream, UnixStream)> =
                (0..SENDS_MAX).map(|_| UnixStream::pair().expect("a pair")).collect();
            for (index, (ours, theirs)) in pairs.iter_mut().enumerate() {
                ours.set_nonblocking(true).expect("set");
                match index % 3 {
                    // Full: it takes nothing.
                    1 => while io::Write::write(ours, &bytes).is_ok() {},
                    2 => theirs.shutdown(std::net::Shutdown::Both).expect("shut"),
                    _ => {}
                }
            }
            let sockets: Vec<BorrowedFd<'_>> = pairs.iter().map(|(ours, _)| ours.as_fd()).collect();
            batch.send(&sockets, &bytes, &mut taken);
            drop(sockets);
            for (index, (ours, mut theirs)) in pairs.into_iter().enumerate() {
                match (index % 3, &taken[index]) {
                    (0, Ok(taken)) => {
                        drop(ours);
                        let mut got = Vec::new();
                        theirs.read_to_end(&mut got).expect("read");
                        assert_eq!(got, bytes[..*taken]);
                        assert!(*taken > 0);
                    }
                    (1, Ok(0)) | (2, Err(_)) => {}
                    (_, other) => panic!("socket {index}: {other:?}"),
                }
            }
        }
    }
}
