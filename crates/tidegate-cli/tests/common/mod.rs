//! The servers that the tests of the binary start.

use std::path::Path;

use tidegate_testkit::process::Server;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// A plain channel `rooms/{room}/messages` and a keyed one `rows/{part}`, both open.
pub(crate) fn chat_and_rows() -> Server {
    Server::start(
        binary(),
        r#"
channels:
  chat:
    address: rooms/{room}/messages
    access: { read: "true", publish: "true" }
    batch_bytes_max: 2MiB
  rows:
    address: rows/{part}
    key: id
    access: { read: "true", publish: "true" }
"#,
    )
}
