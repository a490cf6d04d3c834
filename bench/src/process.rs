//! The processes of one server, on a core of their own: started and ended.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, getsid, kill_process};

/// What runs now, so that a signal can end it; `None`: it has, and nothing starts any more.
static RUNNING: Mutex<Option<Vec<Pid>>> = Mutex::new(Some(Vec::new()));

/// A server with all that it starts: they are of one session, whose number is the first process'.
/// Ends them when it is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `words` in `folder` on the processor `core`; what it says is in `folder/output`.
    pub(crate) fn start(words: &[&str], folder: &Path, core: usize) -> io::Result<Process> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else { return Err(io::Error::other("was ended")) };
        let output = File::options().create(true).append(true).open(folder.join("output"))?;
        let child = Command::new("setsid")
            .args(["taskset", "-c", &core.to_string()])
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        running.push(Pid::from_child(&child));
        Ok(Process { child })
    }

    /// Whether the first process has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// The number of the session.
    pub(crate) fn session(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(self.session());
        // It may not be a session yet.
        let _ = self.child.kill();
        if let Some(running) = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            running.retain(|session| *session != self.session());
        }
        let _ = self.child.wait();
    }
}

/// Ends everything that runs; nothing starts after it.
pub(crate) fn end_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    running.into_iter().flatten().for_each(end);
}

/// Whether [`end_all`] was called.
pub(crate) fn stopped() -> bool {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).is_none()
}

/// Ends every process of a session. The first goes first, so that it starts none anew.
fn end(session: Pid) {
    let mut left = pids_of(session);
    left.sort_by_key(|pid| *pid != session);
    for pid in left {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn pids_of(session: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).filter(|pid| getsid(Some(*pid)) == Ok(session)).collect()
}
