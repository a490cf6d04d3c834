//! TLS for the replication client, which brings none that we can use: the one it has knows neither the system's
//! certificates nor addresses as names, and needs a second crypto provider.
//!
//! So we speak TLS to the server ourselves, and the client speaks to us, through a socket in a folder that only we may
//! enter:
//!
//! ```text
//!     replication client ── unix socket ── pump ── TLS ── server
//! ```
//!
//! The pump holds one buffer for each direction. Either side's end is the other's.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;

use super::{Mode, Tls, TlsError};

/// Where the replication client connects to. It must live until the client is connected.
#[derive(Debug)]
pub(in crate::postgres) struct Route {
    host: String,
    port: u16,
    /// While we wait for the client.
    _waiting: Option<oneshot::Sender<()>>,
}

/// "Do you speak TLS?", in the manual's chapter "SSL Session Encryption".
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// Names the socket; nothing listens on it.
const PORT: u16 = 5432;
/// From the server come rows, to it little more than that we are there.
const DOWN_BYTES: usize = 64 << 10;
const UP_BYTES: usize = 4 << 10;
/// Where a socket may be made: in a container the first may be read-only, the second never is.
const SHARED_MEMORY: &str = "/dev/shm";

impl Route {
    /// For the client: a name, an address, or the folder of a socket.
    pub(in crate::postgres) fn host(&self) -> &str {
        &self.host
    }

    /// For the client.
    pub(in crate::postgres) fn port(&self) -> u16 {
        self.port
    }

    fn straight(host: &str, port: u16) -> Route {
        Route { host: host.to_owned(), port, _waiting: None }
    }
}

impl Tls {
    /// Opens a way to the server for one replication connection.
    pub(in crate::postgres) async fn replication(&self, host: &str, port: u16) -> Result<Route, TlsError> {
        // A local socket has no TLS, and needs none: libpq does not look at sslmode there either.
        if self.mode == Mode::Disable || host.starts_with('/') {
            return Ok(Route::straight(host, port));
        }
        match self.open(host, port).await? {
            Some(server) => accept(server).map_err(TlsError::Route),
            None => Ok(Route::straight(host, port)),
        }
    }

    /// `None`: it does not speak TLS, and need not.
    async fn open(&self, host: &str, port: u16) -> Result<Option<TlsStream<TcpStream>>, TlsError> {
        let mut stream = TcpStream::connect((host, port)).await.map_err(TlsError::Connect)?;
        stream.set_nodelay(true).map_err(TlsError::Connect)?;
        stream.write_all(&SSL_REQUEST).await.map_err(TlsError::Connect)?;
        // One byte and no more: what else is there came from who knows whom, and is not to be taken for the server's.
        match stream.read_u8().await.map_err(TlsError::Connect)? {
            b'S' => self.handshake(host, stream).await.map(Some).map_err(TlsError::Handshake),
            _ if self.mode == Mode::Prefer => Ok(None),
            _ => Err(TlsError::Refused),
        }
    }
}

fn accept(server: TlsStream<TcpStream>) -> io::Result<Route> {
    let folder = folder()?;
    let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{PORT}")))?;
    let host = folder.path().to_str().ok_or_else(|| io::Error::other("its folder has no UTF-8 name"))?.to_owned();
    let (waiting, mut given_up) = oneshot::channel();
    tokio::spawn(async move {
        let client = tokio::select! {
            client = ours(&listener) => client,
            _ = &mut given_up => return,
        };
        drop((listener, folder));
        if let Ok(client) = client {
            pump(server, client).await;
        }
    });
    Ok(Route { host, port: PORT, _waiting: Some(waiting) })
}

fn folder() -> io::Result<TempDir> {
    let make = |place: &Path| {
        let private = std::fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix("tidegate-").permissions(private).tempdir_in(place)
    };
    make(&std::env::temp_dir()).or_else(|error| make(Path::new(SHARED_MEMORY)).map_err(|_| error))
}

/// The first connection of this process. Others could only come from our own user, who has no business here.
async fn ours(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (client, _) = listener.accept().await?;
        let peer = client.peer_cred()?.pid();
        if peer.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id())) {
            return Ok(client);
        }
    }
}

async fn pump(mut server: TlsStream<TcpStream>, mut client: UnixStream) {
    // How it ends, the client sees: as the end of its connection.
    let _ = copy_bidirectional_with_sizes(&mut server, &mut client, DOWN_BYTES, UP_BYTES).await;
}
