//! The config file into values that cannot be wrong.
//!
//! YAML becomes a tree that knows its places (`document`); mappings are read field by field
//! (`fields`) against the shapes that also make the JSON Schema (`shape`); every mistake is
//! collected and shown where it stands (`report`). What comes out has no text that would still
//! have to be read.

mod access;
mod audit;
mod channel;
mod channels;
mod document;
mod draft;
mod env;
mod feed;
mod fields;
mod gate;
mod hooks;
mod limits;
mod lookups;
mod machine;
mod overload;
mod proxies;
mod reference;
mod report;
mod shape;
mod sources;
mod tls;
mod values;
mod written;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use audit::AuditConfig;
pub use channels::{ChannelConfig, Retain};
pub use draft::{Draft, URL_VARIABLE};
pub use env::Environment;
use fields::{Fields, Reader};
pub use report::Report;
use report::{Problem, Problems};
use shape::defaults;
pub use sources::SourceConfig;
pub use tls::{ClientsConfig, TlsConfig};
use values::{Complaint, ranged};
pub use written::{Difference, Written};

/// With less, hardly anybody could watch.
const MEMORY_MIN: u64 = 16 << 20;

/// A whole config.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// With it, clients speak TLS to `listen`.
    pub tls: Option<TlsConfig>,
    /// Where the admin side listens.
    pub admin: SocketAddr,
    /// Host names of this server beside its address, lower case.
    pub hosts: Vec<String>,
    /// Origins that may write, lower case.
    pub origins: Vec<String>,
    /// A watch gets a bookmark at least this often.
    pub heartbeat: Duration,
    /// How streams are served.
    pub stream: StreamConfig,
    /// What gives way under load.
    pub overload: tidegate_wire::LoadOptions,
    /// What clients may make the server hold in memory, in bytes.
    pub memory_max: u64,
    /// The log.
    pub log: LogConfig,
    /// Who may say for whom a request is.
    pub proxies: tidegate_transports::Proxies,
    /// How callers say who they are.
    pub gate: tidegate_gate::GateConfig,
    /// Applications that are asked.
    pub hooks: Option<tidegate_gate::HooksConfig>,
    /// What is told of its decisions.
    pub audit: AuditConfig,
    /// How much each may do.
    pub limits: tidegate_gate::LimitsConfig,
    /// Systems that are read from.
    pub sources: Vec<SourceConfig>,
    /// Channels in the order of the file.
    pub channels: Vec<ChannelConfig>,
    /// The file that it was read from; one that was made has none.
    pub file: Option<PathBuf>,
    /// All of it as it is written.
    pub written: Written,
}

impl Config {
    /// Whether who comes from another machine is asked who he is, and is not overheard.
    pub fn guarded(&self) -> bool {
        let Some(tls) = &self.tls else { return false };
        !self.gate.issuers.is_empty() || tls.clients.as_ref().is_some_and(|clients| clients.required)
    }
}

/// Where and how the log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Its folder.
    pub path: PathBuf,
    /// The journal is drained after this much.
    pub journal_bytes: u64,
    /// Segments are merged up to this size.
    pub segment_bytes: u64,
}

/// How streams are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// A busy view is written out at most this often.
    pub batch_delay_ms: u64,
    /// Sockets are written to by io_uring where the kernel allows it.
    pub io_uring: bool,
    /// What clients accept compressed is compressed.
    pub compress: bool,
    /// A watcher whose socket takes no byte for so long is closed.
    pub write_timeout_ms: u64,
    /// A watcher that stays behind the live events for so long is closed.
    pub lag_max: Duration,
    /// A connection that is about this old is closed.
    pub age_max: Option<Duration>,
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{0}")]
    Mistakes(Report),
}

impl Config {
    /// Reads a file; relative paths in it are seen from its folder.
    pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
        let source = std::fs::read_to_string(path).map_err(unreadable)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = Config::parse(&path.to_string_lossy(), &source, folder, environment);
        let config = config.map_err(ConfigError::Mistakes)?;
        Ok(Config { file: Some(path.to_owned()), ..config })
    }

    /// Reads the text of a config; `name` stands in the report, `folder` before relative paths.
    pub fn parse(name: &str, source: &str, folder: &Path, environment: &Environment) -> Result<Config, Report> {
        let problems = Problems::default();
        let reader = Reader { source, environment, problems: &problems };
        let config = match document::parse(source) {
            Ok(root) => {
                let read = reader.open::<shape::File>(&root, 0..0, "the config");
                let read = read.and_then(|fields| file(reader, &fields, folder));
                read.map(|config| Config { written: Written::of(&root, source), ..config })
            }
            Err(problem) => {
                problems.add(problem);
                None
            }
        };
        match (problems.into_report(name, source), config) {
            (Some(report), _) => Err(report),
            (None, Some(config)) => Ok(config),
            (None, None) => unreachable!("a part that cannot be read has been reported"),
        }
    }
}

/// The JSON Schema of the file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(shape::File).to_value()
}

/// The reference page of the file.
pub fn reference() -> String {
    reference::page(&json_schema())
}

fn file(reader: Reader, fields: &Fields, folder: &Path) -> Option<Config> {
    let listen = fields.value("listen", defaults::listen(), values::listener);
    let tls = tls::read(reader, fields.get("tls"), folder);
    let admin = admin(reader, fields);
    let hosts = fields.optional("hosts", |field| field.list(false, values::host));
    let origins = fields.optional("origins", |field| field.list(false, values::origin));
    let heartbeat = fields.value("heartbeat", defaults::heartbeat(), |text| {
        ranged(values::duration(text)?, Duration::from_secs(5)..=Duration::from_secs(60), "5s", "60s")
    });
    let stream = stream(reader, fields);
    let overload = overload::read(reader, fields);
    let memory_max = memory_max(reader, fields);
    let log = log(reader, fields, folder);
    let proxies = proxies::read(reader, fields.get("proxies"));
    let gate = gate::read(reader, fields.get("gate"), folder);
    let fetch = gate.as_ref().map(|found| found.gate.fetch.clone()).unwrap_or_default();
    let hooks = hooks::read(reader, fields.get("hooks"), &fetch);
    let audit = audit::read(reader, fields.get("audit"), folder);
    let declared = sources::read(reader, fields.get("sources"));
    let channels = channels::read(reader, fields.require("channels", "channels: { … }"), &declared);
    fields.finish();
    if let Some(hooks) = &hooks {
        hooks::asked(reader, fields, hooks.as_ref(), &channels);
    }
    if let (Some(listen), Some(admin)) = (listen, admin)
        && listen == admin
        && listen.port() != 0
    {
        let span = fields.get("admin").or_else(|| fields.get("listen")).map_or(0..0, |field| field.name_span());
        let title = format!("clients and the admin side cannot both listen on {listen}");
        reader.problems.add(Problem::new(span, title, "choose another port for one of them"));
    }
    let (tls, gate) = (tls?, gate?);
    let certificates = tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    Some(Config {
        listen: listen?,
        tls,
        admin: admin?,
        hosts: hosts?.unwrap_or_default(),
        origins: origins?.unwrap_or_default(),
        heartbeat: heartbeat?,
        stream: stream?,
        overload: overload?,
        memory_max: memory_max?,
        log: log?,
        proxies: proxies?,
        limits: gate.limits,
        gate: tidegate_gate::GateConfig { certificates, ..gate.gate },
        hooks: hooks?,
        audit: audit?,
        sources: declared.into_iter().filter_map(|declared| declared.config).collect(),
        channels,
        file: None,
        written: Written::default(),
    })
}

fn admin(reader: Reader, fields: &Fields) -> Option<SocketAddr> {
    let Some(field) = fields.get("admin") else { return values::listener(defaults::admin()).ok() };
    let fields = reader.open::<shape::Admin>(field.node(), field.name_span(), "`admin`")?;
    let listen = fields.value("listen", defaults::admin(), values::listener);
    fields.finish();
    listen
}

/// Reads a mapping that may be left out: then each of its fields is as if it were not given.
fn section<S: schemars::JsonSchema, T>(
    reader: Reader,
    fields: &Fields,
    name: &str,
    read: impl FnOnce(&Fields) -> Option<T>,
) -> Option<T> {
    let null = document::Node { span: 0..0, content: document::Content::Null };
    let field = fields.get(name);
    let (node, owner) = field.as_ref().map_or((&null, 0..0), |field| (field.node(), field.name_span()));
    let fields = reader.open::<S>(node, owner, &format!("`{name}`"))?;
    let value = read(&fields);
    fields.finish();
    value
}

fn stream(reader: Reader, fields: &Fields) -> Option<StreamConfig> {
    section::<shape::Stream, _>(reader, fields, "stream", |fields| {
        let batch_delay_ms = fields.value("batch_delay_ms", defaults::batch_delay_ms(), |text| {
            ranged(values::count(text)?, 0..=20, "0", "20")
        });
        let io_uring = fields.value("io_uring", defaults::io_uring(), values::boolean);
        let compress = fields.value("compress", defaults::compress(), values::boolean);
        let write_timeout_ms = fields.value("write_timeout_ms", defaults::write_timeout_ms(), |text| {
            ranged(values::count(text)?, 1_000..=3_600_000, "1000", "3600000")
        });
        let lag_max = fields.value("lag_max", defaults::lag_max(), |text| {
            let longest = Duration::from_secs(7 * 24 * 3_600);
            ranged(values::duration(text)?, Duration::from_secs(1)..=longest, "1s", "7d")
        });
        let age_max = fields.value("age_max", defaults::age_max(), |text| match text {
            "none" => Ok(None),
            _ => {
                let longest = Duration::from_secs(30 * 24 * 3_600);
                ranged(values::duration(text)?, Duration::from_secs(1)..=longest, "1s", "30d").map(Some)
            }
        });
        Some(StreamConfig {
            batch_delay_ms: batch_delay_ms?,
            io_uring: io_uring?,
            compress: compress?,
            write_timeout_ms: write_timeout_ms?,
            lag_max: lag_max?,
            age_max: age_max?,
        })
    })
}

fn memory_max(reader: Reader, fields: &Fields) -> Option<u64> {
    section::<shape::Memory, _>(reader, fields, "memory", |fields| {
        let given = fields.get("max").is_some();
        let max = fields.value("max", defaults::memory_max(), |text| {
            ranged(values::bytes(text)?, MEMORY_MIN..=1 << 40, "16MiB", "1TiB")
        })?;
        let half = machine::memory_bytes().map_or(max, |bytes| bytes / 2);
        Some(if given { max } else { max.min(half).max(MEMORY_MIN) })
    })
}

fn log(reader: Reader, fields: &Fields, folder: &Path) -> Option<LogConfig> {
    section::<shape::Log, _>(reader, fields, "log", |fields| log_fields(fields, folder))
}

fn log_fields(fields: &Fields, folder: &Path) -> Option<LogConfig> {
    let size = |text: &str| ranged(values::bytes(text)?, 1 << 20..=4 << 30, "1MiB", "4GiB");
    let path = fields.value("path", defaults::path(), path);
    let journal_bytes = fields.value("journal_bytes", defaults::journal_bytes(), size);
    let segment_bytes = fields.value("segment_bytes", defaults::segment_bytes(), size);
    Some(LogConfig { path: folder.join(path?), journal_bytes: journal_bytes?, segment_bytes: segment_bytes? })
}

fn path(text: &str) -> Result<PathBuf, Complaint> {
    match text {
        "" => Err(Complaint::new("no folder").help("name a folder, such as `./tidegate-data`")),
        text if text.contains("://") => {
            Err(Complaint::new("logs on other systems are not built yet").help("name a folder for the embedded log"))
        }
        text => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests;
