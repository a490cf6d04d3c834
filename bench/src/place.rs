//! Where one server lives while it is measured: a temporary folder, free ports, the core, and the
//! config of `bench/peers/NAME` with these filled in.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::process::Process;

/// A server that does not listen after so long will not.
const START: Duration = Duration::from_secs(20);
/// Between two looks whether it does.
const BETWEEN: Duration = Duration::from_millis(20);

/// The surroundings of one server; the folder is removed with it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    core: usize,
}

/// Why a server cannot be measured here, in words for its row.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Missing {
        Missing(error.to_string())
    }
}

impl Place {
    pub(crate) fn new(core: usize) -> io::Result<Place> {
        Ok(Place { folder: tempfile::Builder::new().prefix("tidegate-bench-").tempdir()?, core })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Copies `bench/peers/NAME/FILE` into the folder. `{name}` becomes the value of that name and
    /// `{folder}` this folder; other brackets stay.
    pub(crate) fn config(&self, file: &str, values: &[(&str, SocketAddr)]) -> Result<PathBuf, Missing> {
        let source = bench().join("peers").join(file);
        let text = std::fs::read_to_string(&source)?;
        let mut text = text.replace("{folder}", &self.folder().display().to_string());
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), &value.port().to_string());
        }
        let target = self.folder().join(source.file_name().unwrap_or_default());
        std::fs::write(&target, text)?;
        Ok(target)
    }

    /// Runs a program to its end; what it says is returned.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String, Missing> {
        let mut process = Process::start(words, self.folder(), self.core)?;
        while !process.ended() {
            #[expect(clippy::disallowed_methods, reason = "so that a signal can end it meanwhile")]
            std::thread::sleep(BETWEEN);
        }
        Ok(std::fs::read_to_string(self.folder().join("output"))?)
    }

    /// Starts a process of the server, and returns when it accepts connections at `address`.
    pub(crate) fn start(&self, words: &[&str], address: SocketAddr) -> Result<Process, Missing> {
        let mut process = Process::start(words, self.folder(), self.core)?;
        self.listens(&mut process, address)?;
        Ok(process)
    }

    /// Returns when a process accepts connections at `address`.
    pub(crate) fn listens(&self, process: &mut Process, address: SocketAddr) -> Result<(), Missing> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if process.ended() || began.elapsed() > START {
                return Err(Missing(format!("does not start: {}", self.said())));
            }
            #[expect(clippy::disallowed_methods, reason = "nothing tells when another program listens")]
            std::thread::sleep(BETWEEN);
        }
        Ok(())
    }

    /// The last line of what the server said.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read(self.folder().join("output")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }
}

/// An address of loopback with a port that is free now.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// The folder `bench`.
fn bench() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `bench/setup` puts what it brings.
pub(crate) fn tools() -> PathBuf {
    target().join("tools/peers")
}

/// A program of this workspace, built beside this one.
pub(crate) fn built(name: &str) -> Result<String, Missing> {
    let program = std::env::current_exe()?.with_file_name(name);
    if !program.exists() {
        return Err(Missing(format!("{} is not built", program.display())));
    }
    Ok(program.display().to_string())
}

/// A program that has to be installed.
pub(crate) fn installed(program: &Path) -> Result<String, Missing> {
    if !program.exists() {
        return Err(Missing(format!("{} is not there; run bench/setup", program.display())));
    }
    Ok(program.display().to_string())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| bench().join("../target"), PathBuf::from)
}
