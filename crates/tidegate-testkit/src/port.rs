//! Ports of loopback for servers that come back after a death.

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

use rand::Rng;

/// A port that nobody else is given while this is held, also in other processes and while nobody listens on it.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    /// Its name is the port's; the system forgets it with the process.
    _claim: UnixListener,
}

impl Port {
    /// One that is free, below those that the system gives to who connects, least of all to a client of ours that tries to
    /// connect to it.
    pub(crate) fn claim() -> Port {
        loop {
            let port = rand::rng().random_range(10_000..32_000);
            let name = UnixAddress::from_abstract_name(format!("tidegate-test-port-{port}")).expect("a short name");
            let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            // Others than our tests have ports, too.
            if TcpListener::bind(address).is_ok() {
                return Port { address, _claim: claim };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_is_given_what_another_holds() {
        let held: Vec<Port> = (0..500).map(|_| Port::claim()).collect();
        let ports: HashSet<_> = held.iter().map(|port| port.address.port()).collect();
        assert_eq!(ports.len(), held.len());
    }
}
