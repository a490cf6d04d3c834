//! A real server process: started in a folder of its own, killed when the handle is dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_bench::Process;

use crate::port::Port;

/// A start that takes longer has failed, however slow the machine.
const START: Duration = Duration::from_secs(60);
/// Lines of output kept for failure messages.
const LINES: usize = 200;

/// A running server.
pub struct Server {
    binary: PathBuf,
    folder: Folder,
    environment: Vec<(String, String)>,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    output: Arc<Mutex<VecDeque<String>>>,
    /// Those of its config, which are its own also while it is down.
    _ports: [Port; 2],
}

enum Folder {
    Own(tempfile::TempDir),
    Given(PathBuf),
}

/// A server that did not start.
#[derive(Debug)]
pub struct StartError {
    /// How it ended, if it did.
    pub status: Option<ExitStatus>,
    /// What it said.
    pub output: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server did not start ({:?}):\n{}", self.status, self.output)
    }
}

impl std::error::Error for StartError {}

impl Server {
    /// Starts `binary` with this config in a new folder. `listen`, `admin` and `log` are added
    /// where the config lacks them: free ports of loopback, and `data` in the folder.
    ///
    /// # Panics
    /// With all that the server said, if it does not start.
    pub fn start(binary: &Path, config: &str) -> Server {
        let folder = tempfile::tempdir().expect("a temp folder");
        Server::launch(binary, Folder::Own(folder), config, &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same in a folder of the caller's, with environment variables.
    ///
    /// # Errors
    /// If the server does not start.
    pub fn start_in(
        binary: &Path,
        folder: &Path,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Result<Server, StartError> {
        Server::launch(binary, Folder::Given(folder.to_owned()), config, environment)
    }

    fn launch(binary: &Path, folder: Folder, config: &str, environment: &[(&str, &str)]) -> Result<Server, StartError> {
        let ports = [Port::claim(), Port::claim()];
        let completed = complete(config, ports[0].address, ports[1].address);
        std::fs::write(folder.path().join("tidegate.yaml"), completed).expect("write the config");
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (child, address, admin, output) = spawn(binary, folder.path(), &environment)?;
        let binary = binary.to_owned();
        let server = Server { binary, folder, environment, child, address, admin, output, _ports: ports };
        // From now on the same ports, so that clients find a restarted server.
        let config = server.folder().join("tidegate.yaml");
        let text = std::fs::read_to_string(&config).expect("read the config");
        let text = fix(&fix(&text, "listen: ", address), "admin: { listen: ", admin);
        std::fs::write(config, text).expect("write the config");
        Ok(server)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators connect.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The folder with `tidegate.yaml` and `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Writes another config, for a reload: completed as for the start.
    pub fn rewrite(&self, config: &str) {
        let completed = complete(config, self.address, self.admin);
        std::fs::write(self.folder().join("tidegate.yaml"), completed).expect("write the config");
    }

    /// SIGTERM. Does not wait.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a pid");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }

    /// SIGHUP. Does not wait.
    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a pid");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
    }

    /// Waits until the process ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("wait for the server")
    }

    /// Whether the process has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// Starts the server again on the same ports and folder, after it has ended.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<(), StartError> {
        let (child, address, admin, output) = spawn(&self.binary, self.folder.path(), &self.environment)?;
        (self.child, self.address, self.admin, self.output) = (child, address, admin, output);
        Ok(())
    }

    /// What the server has said last.
    pub fn output(&self) -> String {
        let lines = self.output.lock().expect("no holder of this lock panics");
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Proportional set size in bytes.
    pub fn pss_bytes(&self) -> u64 {
        self.process().pss_bytes().expect("a running server")
    }

    /// CPU time of the process, user and system.
    pub fn cpu(&self) -> Duration {
        self.process().cpu().expect("a running server")
    }

    /// What its costs are read from.
    pub fn process(&self) -> Process {
        Process::of(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("what the server at {} said last:\n{}", self.address, self.output());
        }
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Own(folder) => folder.path(),
            Folder::Given(path) => path,
        }
    }
}

fn complete(config: &str, listen: SocketAddr, admin: SocketAddr) -> String {
    let has = |name: &str| config.lines().any(|line| line.starts_with(name));
    let mut text = String::new();
    for (name, line) in [
        ("listen:", format!("listen: {listen}\n")),
        ("admin:", format!("admin: {{ listen: {admin} }}\n")),
        ("log:", "log: { path: ./data }\n".to_owned()),
    ] {
        if !has(name) {
            text.push_str(&line);
        }
    }
    text.push_str(config.trim_start_matches('\n'));
    text
}

/// Writes a real port where the config let the system choose.
fn fix(config: &str, name: &str, address: SocketAddr) -> String {
    config.replacen(&format!("{name}127.0.0.1:0"), &format!("{name}{address}"), 1)
}

type Started = (Child, SocketAddr, SocketAddr, Arc<Mutex<VecDeque<String>>>);

fn spawn(binary: &Path, folder: &Path, environment: &[(String, String)]) -> Result<Started, StartError> {
    let mut child = Command::new(binary)
        .args(["serve", "--config", "tidegate.yaml"])
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary.display()));
    let output = Arc::new(Mutex::new(VecDeque::new()));
    let stdout = follow(child.stdout.take().expect("piped"), output.clone());
    let stderr = follow(child.stderr.take().expect("piped"), output.clone());
    let (mut address, mut admin) = (None, None);
    while address.is_none() || admin.is_none() {
        match stdout.recv_timeout(START) {
            Ok(line) => {
                let after = |words: &str| line.split_once(words).and_then(|(_, rest)| first_word(rest).parse().ok());
                address = address.or_else(|| after("listening on http://")).or_else(|| after("listening on https://"));
                admin = admin.or_else(|| after("admin on http://"));
            }
            Err(reason) => {
                if reason == RecvTimeoutError::Timeout {
                    let _ = child.kill();
                }
                let status = child.wait().ok();
                // All that it said, to the end of both.
                stdout.iter().chain(&stderr).for_each(drop);
                let lines = output.lock().expect("no holder of this lock panics");
                let output = lines.iter().map(|line: &String| format!("{line}\n")).collect();
                return Err(StartError { status, output });
            }
        }
    }
    Ok((child, address.expect("seen"), admin.expect("seen"), output))
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default()
}

/// Reads a pipe to its end on a thread, so that the server never waits for us; hands on the first
/// lines, and keeps the last.
pub(crate) fn follow(pipe: impl Read + Send + 'static, output: Arc<Mutex<VecDeque<String>>>) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.try_send(line.clone());
            let mut lines = output.lock().expect("no holder of this lock panics");
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
    receiver
}
