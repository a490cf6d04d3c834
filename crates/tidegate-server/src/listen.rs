//! Listening, and saying clearly why not.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why a port is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// There is no gate yet: whoever reaches the port may do what literal rules allow to all.
    #[error(
        "{field}: {address} can be reached from other machines, and there is no gate yet: everyone who reaches it may \
         read and publish what `access` opens.\nListen on 127.0.0.1 behind a proxy that asks who comes, or say \
         --insecure if the network is trusted"
    )]
    Exposed {
        /// In the config.
        field: &'static str,
        /// As configured.
        address: SocketAddr,
    },
    /// Another program listens there.
    #[error("{field}: another program listens on {address}.\nStop it, or choose another port; port 0 picks a free one")]
    Taken {
        /// In the config.
        field: &'static str,
        /// As configured.
        address: SocketAddr,
    },
    /// Something else.
    #[error("{field}: cannot listen on {address}: {error}")]
    Other {
        /// In the config.
        field: &'static str,
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

impl ListenError {
    /// Why `address`, which stands under `field` in the config, could not be bound.
    pub fn of(field: &'static str, address: SocketAddr, error: io::Error) -> ListenError {
        match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken { field, address },
            _ => ListenError::Other { field, address, error },
        }
    }
}

/// Listens on `address`, which stands under `field` in the config.
pub(crate) async fn listen(
    field: &'static str,
    address: SocketAddr,
    insecure: bool,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    if !address.ip().is_loopback() && !insecure {
        return Err(ListenError::Exposed { field, address });
    }
    let failed = |error| ListenError::of(field, address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
