//! Listening, and saying clearly why not.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why a port is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Others reach the port, and nothing asks who they are, or tokens would pass in the clear.
    #[error(
        "{field}: {address} can be reached from other machines, and nobody is asked there who comes, or not without \
         others who listen.\nFor clients, give the config a `gate` with issuers, and `tls`; or listen on 127.0.0.1 \
         behind a proxy, or say --insecure if the network is trusted"
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

/// Listens on `address`, which stands under `field` in the config; beyond loopback only where that is `guarded`.
pub(crate) async fn listen(
    field: &'static str,
    address: SocketAddr,
    guarded: bool,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    if !address.ip().is_loopback() && !guarded {
        return Err(ListenError::Exposed { field, address });
    }
    let failed = |error| ListenError::of(field, address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
