//! The certificate that clients are shown: read from two files, shown to every new connection, and
//! read again when the files change.
//!
//! ```text
//!   files ─► pair ─► keeper ─► handshakes
//!     ▲                 ▲
//!     └── watch: changed, or SIGHUP; a pair that is no good leaves the old one
//! ```

mod keeper;
mod pair;
mod watch;

pub(crate) use keeper::Keeper;
pub use pair::{Pair, PairError, authorities};
pub(crate) use watch::Watch;
