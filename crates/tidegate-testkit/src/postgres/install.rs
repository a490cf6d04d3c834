//! Where the programs of a PostgreSQL version are, and how they are run: never as root, which the
//! server refuses, and never longer than the test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A major version that tests run against: the oldest and the newest that are supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Of Debian.
    V15,
    /// Of the Python package index, unpacked by `cargo xtask setup`.
    V18,
}

/// The user that Debian's package makes.
const USER: &str = "postgres";

impl Version {
    /// Both.
    pub const ALL: [Version; 2] = [Version::V15, Version::V18];

    /// The folder that holds `bin`, `lib` and `share`.
    ///
    /// # Panics
    /// If it is not installed: a version that is missing is no reason to test less.
    pub(super) fn home(self) -> PathBuf {
        let home = match self {
            Version::V15 => PathBuf::from("/usr/lib/postgresql/15"),
            Version::V18 => target().join("tools/postgresql-18.6.0"),
        };
        assert!(
            home.join("bin/postgres").exists(),
            "PostgreSQL {self} is not in {}: `cargo xtask setup` brings it",
            home.display()
        );
        home
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Version::V15 => "15",
            Version::V18 => "18",
        })
    }
}

/// The programs of one version, in a folder that the server's user can enter.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    bin: PathBuf,
}

impl Programs {
    /// `spare` is a folder for a copy, where the installed ones are behind a closed door: a
    /// checkout below `/root`, say.
    pub(super) fn of(version: Version, spare: &Path) -> Programs {
        let home = version.home();
        if !is_root() || home.ancestors().all(open_to_others) {
            return Programs { bin: home.join("bin") };
        }
        let copy = spare.join("programs");
        run(Command::new("cp").arg("-a").arg(&home).arg(&copy));
        Programs { bin: copy.join("bin") }
    }

    /// A program, run as the server's user and killed with the thread that starts it.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
        }
        command.args(["--pdeathsig=KILL", "--"]).arg(self.bin.join(program));
        // What the caller's shell sets for its own servers is not meant for ours.
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGSERVICE", "LC_ALL"] {
            command.env_remove(name);
        }
        // A module of the wheel would else take the system's older libpq.
        command.env("LD_LIBRARY_PATH", self.bin.join("../lib")).env("LC_MESSAGES", "C").current_dir("/");
        command
    }
}

/// Gives a new folder to the server's user.
pub(super) fn make_folder(path: &Path) {
    std::fs::create_dir(path).expect("make a folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("close the folder");
    if is_root() {
        run(Command::new("chown").arg(USER).arg(path));
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Panics
/// With what it said, if it fails.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn open_to_others(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
