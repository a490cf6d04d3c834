//! Which certificate new connections are shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Pair;

/// Holds the certificate, and figures about it.
#[derive(Debug)]
pub(crate) struct Keeper {
    key: RwLock<Arc<CertifiedKey>>,
    expiry_seconds: AtomicU64,
    reloads: AtomicU64,
    failures: AtomicU64,
}

impl Keeper {
    pub(crate) fn new(pair: &Pair) -> Keeper {
        Keeper {
            key: RwLock::new(pair.key.clone()),
            expiry_seconds: AtomicU64::new(pair.expiry_seconds()),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Shows another one from now on; connections that are open go on with theirs.
    pub(super) fn replace(&self, pair: &Pair) {
        *self.key.write().expect("no holder of this lock panics") = pair.key.clone();
        self.expiry_seconds.store(pair.expiry_seconds(), Ordering::Relaxed);
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// When the certificate that is shown ceases to be good, in seconds since 1970.
    pub(crate) fn expiry_seconds(&self) -> u64 {
        self.expiry_seconds.load(Ordering::Relaxed)
    }

    /// How often another one was taken.
    pub(crate) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// How often the files changed and were no good.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.read().expect("no holder of this lock panics").clone())
    }
}
