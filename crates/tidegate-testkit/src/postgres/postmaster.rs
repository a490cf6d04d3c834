//! The process of a server, from its start to its last child.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::process::follow;

/// A start, with recovery, or an end that takes longer has failed, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running postmaster.
pub(super) struct Postmaster {
    pid: Pid,
    ended: Receiver<ExitStatus>,
    output: Arc<Mutex<VecDeque<String>>>,
}

impl Postmaster {
    /// Starts it and waits until it takes connections; else what it said.
    pub(super) fn start(mut command: Command) -> Result<Postmaster, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let lines = output.clone();
        let (started, start) = sync_channel(1);
        let (send_end, ended) = sync_channel(1);
        // It dies with the thread that started it, so that one is its own and waits for its end.
        std::thread::spawn(move || {
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let said = follow(child.stderr.take().expect("piped"), lines);
            let _ = started.send((Pid::from_child(&child), said));
            let _ = send_end.send(child.wait().expect("wait for the server"));
        });
        let (pid, said) = start.recv().expect("the server is started");
        let postmaster = Postmaster { pid, ended, output };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains("ready to accept") => return Ok(postmaster),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(postmaster.output()),
                Err(RecvTimeoutError::Timeout) => {
                    postmaster.kill9();
                    return Err(postmaster.output());
                }
            }
        }
    }

    /// What the server has said last.
    pub(super) fn output(&self) -> String {
        let lines = self.output.lock().expect("no holder of this lock panics");
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Asks it to end and waits for that.
    ///
    /// # Panics
    /// If it does not end.
    pub(super) fn end(self, signal: Signal) {
        let children = self.children();
        let _ = kill_process(self.pid, signal);
        if self.ended.recv_timeout(PATIENCE).is_err() {
            self.kill9();
            panic!("the server did not end after {signal:?}:\n{}", self.output());
        }
        children.iter().for_each(wait_for);
    }

    /// `kill -9` of the server and all its children, and waits until none is left: until then its
    /// shared memory is in use, and it could not be started again.
    pub(super) fn kill9(&self) {
        // Stopped, it starts no further children meanwhile.
        let _ = kill_process(self.pid, Signal::STOP);
        let children = self.children();
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = self.ended.recv_timeout(PATIENCE);
        for child in &children {
            let _ = rustix::process::pidfd_send_signal(child, Signal::KILL);
            wait_for(child);
        }
    }

    fn children(&self) -> Vec<OwnedFd> {
        let pid = self.pid.as_raw_nonzero();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let pids = text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
    }
}

fn wait_for(process: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
}
