//! A disk that fails on command: a C library for `LD_PRELOAD`, compiled when a test needs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = include_str!("shim.c");

/// The library, and the folder through which a test commands it.
pub struct Shim {
    folder: tempfile::TempDir,
    below: PathBuf,
}

impl Shim {
    /// Compiles the library. It will catch what is written below `below`.
    ///
    /// # Panics
    /// If there is no C compiler, with what it said.
    pub fn new(below: &Path) -> Shim {
        let folder = tempfile::tempdir().expect("a temp folder");
        let source = folder.path().join("shim.c");
        std::fs::write(&source, SOURCE).expect("write the source");
        std::fs::create_dir(folder.path().join("control")).expect("make the control folder");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(folder.path().join("shim.so"))
            .arg(&source)
            .output()
            .expect("run cc");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        // The kernel names files by their real path.
        let below = below.canonicalize().expect("a folder that is there");
        Shim { folder, below }
    }

    /// What a server needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        vec![
            ("LD_PRELOAD", text(&self.folder.path().join("shim.so"))),
            ("TIDEGATE_SHIM_BELOW", text(&self.below)),
            ("TIDEGATE_SHIM_CONTROL", text(&self.control(""))),
        ]
    }

    /// From now on every sync fails, or none.
    pub fn sync_fails(&self, fails: bool) {
        self.wish("sync-fails", fails.then_some(0));
    }

    /// From now on every sync takes so much longer.
    pub fn sync_delay(&self, delay: Duration) {
        self.wish("sync-delay-ms", Some(delay.as_millis()));
    }

    /// From now on nothing can be written, or all.
    pub fn full(&self, full: bool) {
        self.wish("full", full.then_some(0));
    }

    fn wish(&self, name: &str, value: Option<u128>) {
        let path = self.control(name);
        match value {
            // By a rename, so that the library never reads half of it.
            Some(value) => {
                let new = self.folder.path().join("new");
                std::fs::write(&new, value.to_string()).expect("write a wish");
                std::fs::rename(new, path).expect("place a wish");
            }
            None => drop(std::fs::remove_file(path)),
        }
    }

    fn control(&self, name: &str) -> PathBuf {
        self.folder.path().join("control").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dd` with a sync at its end stands for any program.
    fn dd(shim: &Shim, into: &Path) -> std::process::Output {
        Command::new("dd")
            .args(["if=/dev/zero", "bs=512", "count=1", "conv=fdatasync"])
            .arg(format!("of={}", into.display()))
            .envs(shim.environment())
            .output()
            .expect("run dd")
    }

    #[test]
    fn a_sync_fails_below_the_folder_and_nowhere_else() {
        let (inside, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let shim = Shim::new(inside.path());
        assert!(dd(&shim, &inside.path().join("x")).status.success());
        shim.sync_fails(true);
        let failed = dd(&shim, &inside.path().join("x"));
        assert!(String::from_utf8_lossy(&failed.stderr).contains("Input/output error"), "{failed:?}");
        assert!(dd(&shim, &outside.path().join("x")).status.success());
        shim.sync_fails(false);
        assert!(dd(&shim, &inside.path().join("x")).status.success());
    }

    #[test]
    fn a_full_disk_takes_no_allocation() {
        let inside = tempfile::tempdir().expect("a folder");
        let shim = Shim::new(inside.path());
        let allocate = || {
            let mut command = Command::new("fallocate");
            command.args(["-l", "4096"]).arg(inside.path().join("x")).envs(shim.environment());
            command.output().expect("run fallocate")
        };
        assert!(allocate().status.success());
        shim.full(true);
        assert!(String::from_utf8_lossy(&allocate().stderr).contains("No space left"));
    }
}
