//! A real PostgreSQL cluster in a folder of its own, on a port of its own: started, killed, copied,
//! promoted. Nothing of it is left when it is dropped.
//!
//! A cluster that has ended keeps its folder and its port, so that clients find it again.

mod install;
mod postmaster;

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::Rng;
use rustix::process::Signal;
use tokio_postgres::{Client, NoTls};

use install::Programs;
pub use install::Version;
use postmaster::Postmaster;

/// Below the ports that the system gives to clients, so that none of them takes the port while the
/// server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Our part of `postgresql.conf`, which says nothing else.
const SETTINGS: &str = "settings.conf";
/// Other tests look for ports at the same time.
const PORT_TRIES: usize = 20;

/// A cluster; its superuser is `postgres` and needs no password.
pub struct Cluster {
    version: Version,
    programs: Programs,
    folder: tempfile::TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    postmaster: Option<Postmaster>,
}

/// What a cluster shall be like, before it is made.
pub struct Setup {
    version: Version,
    settings: Vec<(String, String)>,
    hba: Vec<String>,
    segment_mib: u32,
}

/// A cold copy of a cluster's data, good until the cluster is dropped.
#[derive(Clone, Debug)]
pub struct Saved(PathBuf);

impl Setup {
    /// A line of `postgresql.conf`.
    pub fn set(mut self, name: &str, value: &str) -> Setup {
        set(&mut self.settings, name, value);
        self
    }

    /// Whether commits wait for the disk; they do not unless asked to, which a killed process
    /// does not notice.
    pub fn fsync(self, fsync: bool) -> Setup {
        self.set("fsync", if fsync { "on" } else { "off" })
    }

    /// Lines of `pg_hba.conf` before the one that trusts everybody.
    pub fn hba(mut self, line: &str) -> Setup {
        self.hba.push(line.to_owned());
        self
    }

    /// Size of a WAL file, 16 MiB where not said: what is kept is kept in whole files.
    pub fn segment_mib(self, segment_mib: u32) -> Setup {
        Setup { segment_mib, ..self }
    }

    /// Makes and starts it.
    ///
    /// # Panics
    /// With all that the server said, if it does not start.
    pub fn start(self) -> Cluster {
        let mut cluster = Cluster::lay(self.version, self.settings);
        cluster.make_data(|programs, data| {
            let mut initdb = programs.command("initdb");
            initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(data);
            install::run(initdb.arg(format!("--wal-segsize={}", self.segment_mib)));
        });
        let conf = cluster.data().join("postgresql.conf");
        std::fs::write(&conf, format!("include_if_exists = '{SETTINGS}'\n")).expect("write postgresql.conf");
        let hba = cluster.data().join("pg_hba.conf");
        let rest = std::fs::read_to_string(&hba).expect("read pg_hba.conf");
        std::fs::write(&hba, format!("{}\n{rest}", self.hba.join("\n"))).expect("write pg_hba.conf");
        cluster.first_start();
        cluster
    }
}

impl Cluster {
    /// A new cluster with `wal_level=logical`.
    ///
    /// # Panics
    /// If the version is not installed, or does not start.
    pub fn start(version: Version) -> Cluster {
        Cluster::setup(version).start()
    }

    /// The same with settings.
    pub fn setup(version: Version) -> Setup {
        let settings = [
            ("wal_level", "logical"),
            ("fsync", "off"),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            // In the folder, so that a killed server leaves nothing elsewhere.
            ("dynamic_shared_memory_type", "mmap"),
            ("shared_buffers", "32MB"),
            ("log_replication_commands", "on"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Setup { version, settings, hba: Vec::new(), segment_mib: 16 }
    }

    /// Which version it is of.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL for a database, as its superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// The same as another user, or as `user:password`.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server has said last; empty when it is not running.
    pub fn output(&self) -> String {
        self.postmaster.as_ref().map(Postmaster::output).unwrap_or_default()
    }

    /// The process id of the postmaster.
    ///
    /// # Panics
    /// If it is not running.
    pub fn pid(&self) -> u32 {
        self.postmaster.as_ref().expect("it is running").pid()
    }

    /// Runs statements with `psql`, each in a transaction of its own, and returns their rows:
    /// columns apart by `|`, a row a line, without the last line feed.
    ///
    /// # Panics
    /// With what `psql` said, if one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements).unwrap_or_else(|said| panic!("{statements}\n{said}"))
    }

    /// The same, for statements that may fail.
    ///
    /// # Errors
    /// What `psql` said.
    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut psql = self.programs.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d"]).arg(self.url(database));
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().unwrap_or_else(|error| panic!("{psql:?}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let statements = statements.to_owned();
        // On a thread of its own: with both pipes full, each would wait for the other.
        let writer = std::thread::spawn(move || stdin.write_all(statements.as_bytes()));
        let output = child.wait_with_output().expect("wait for psql");
        // It stops reading at an error, which it has told.
        let _ = writer.join();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// A connection, whose other half runs as a task.
    ///
    /// # Errors
    /// If the server is down or refuses.
    pub async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        connect(&self.url(database)).await
    }

    /// `kill -9` of the server with all its processes.
    pub fn kill9(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.kill9();
        }
    }

    /// Stops as an operator does, "fast": replication clients get what is there first.
    ///
    /// # Panics
    /// If it does not end within a minute.
    pub fn stop(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.end(Signal::INT);
        }
    }

    /// Changes a setting from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        set(&mut self.settings, name, value);
    }

    /// Starts it again after it has ended, on the same port and folder.
    ///
    /// # Panics
    /// With all that the server said, if it does not start.
    pub fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "it is running");
        self.launch().unwrap_or_else(|said| panic!("PostgreSQL does not start again:\n{said}"));
    }

    /// The same on another port: that of a server that is gone, whose clients come here now.
    ///
    /// # Panics
    /// As [`Self::start_again`].
    pub fn start_on(&mut self, port: u16) {
        self.port = port;
        self.start_again();
    }

    /// A cold copy of all data.
    ///
    /// # Panics
    /// If it is running.
    pub fn save(&self) -> Saved {
        assert!(self.postmaster.is_none(), "a cold copy needs a stopped server");
        let count = std::fs::read_dir(self.folder.path()).expect("read the folder").count();
        let saved = Saved(self.folder.path().join(format!("saved-{count}")));
        copy(&self.data(), &saved.0);
        saved
    }

    /// Puts a copy back in the place of the data.
    ///
    /// # Panics
    /// If it is running.
    pub fn restore(&mut self, saved: &Saved) {
        assert!(self.postmaster.is_none(), "data is not replaced under a running server");
        self.free_memory();
        std::fs::remove_dir_all(self.data()).expect("remove the data");
        copy(&saved.0, &self.data());
    }

    /// A standby of this server, running and streaming.
    ///
    /// # Panics
    /// If it does not start.
    pub fn standby(&self) -> Cluster {
        let mut standby = Cluster::lay(self.version, self.settings.clone());
        standby.make_data(|programs, data| {
            let mut backup = programs.command("pg_basebackup");
            backup.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"]).arg(data);
            install::run(backup.arg("-d").arg(self.url("postgres")));
        });
        standby.first_start();
        standby
    }

    /// Waits until this standby has applied all that `primary` has written until now.
    ///
    /// # Panics
    /// If that takes more than half a minute.
    pub fn catch_up(&self, primary: &Cluster) {
        let lsn = primary.sql("postgres", "SELECT pg_current_wal_insert_lsn()");
        self.sql(
            "postgres",
            &format!(
                "SET statement_timeout = '30s';
                 DO $$ BEGIN WHILE coalesce(pg_last_wal_replay_lsn(), '0/0') < '{lsn}'
                 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
            ),
        );
    }

    /// Makes a primary of this standby, on a new timeline.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote(true, 60)"), "t");
    }

    /// Bytes of the files of the write-ahead log.
    pub fn wal_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.data().join("pg_wal")).expect("read pg_wal");
        // Files may go while they are counted.
        files.flatten().filter_map(|file| file.metadata().ok()).filter(|is| is.is_file()).map(|is| is.len()).sum()
    }

    fn lay(version: Version, settings: Vec<(String, String)>) -> Cluster {
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("tidegate-pg").permissions(open).tempdir().expect("a temp folder");
        let programs = Programs::of(version, folder.path());
        Cluster { version, programs, folder, port: 0, settings, postmaster: None }
    }

    fn make_data(&self, make: impl FnOnce(&Programs, &Path)) {
        install::make_folder(&self.data());
        make(&self.programs, &self.data());
    }

    fn first_start(&mut self) {
        for _ in 0..PORT_TRIES {
            self.port = free_port();
            match self.launch() {
                Ok(()) => return,
                Err(said) if said.contains("Address already in use") => {}
                Err(said) => panic!("PostgreSQL {} does not start:\n{said}", self.version),
            }
        }
        panic!("no free port after {PORT_TRIES} tries");
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.data()).arg("-c").arg(format!("port={}", self.port));
        // In a file, not in the command, so that ALTER SYSTEM has its say.
        let line = |(name, value): &(String, String)| format!("{name} = '{}'\n", value.replace('\'', "''"));
        let settings: String = self.settings.iter().map(line).collect();
        std::fs::write(self.data().join(SETTINGS), settings).expect("write the settings");
        self.postmaster = Some(Postmaster::start(command)?);
        Ok(())
    }

    /// A killed server leaves a segment of shared memory, whose number is in its lock file.
    fn free_memory(&self) {
        let lock = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        if let Some(segment) = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = Command::new("ipcrm").args(["-m", segment]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill9();
        self.free_memory();
    }
}

/// A connection to any URL, whose other half runs as a task.
///
/// # Errors
/// If the server is down or refuses.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // Its end is told by the next statement of the client.
        let _ = connection.await;
    });
    Ok(client)
}

fn set(settings: &mut Vec<(String, String)>, name: &str, value: &str) {
    settings.retain(|(own, _)| own != name);
    settings.push((name.to_owned(), value.to_owned()));
}

fn copy(from: &Path, to: &Path) {
    install::run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to));
}

fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::rng().random_range(PORTS));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("without end")
}

#[cfg(test)]
mod tests;
