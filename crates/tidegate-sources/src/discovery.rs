//! What a source offers before anyone has written a config: `tidegate serve URL` makes one of it.

use crate::finding::Finding;

/// What stands behind a URL.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Settings of the source beside its `url`, as the config would have them. They name what is made
    /// upstream, since how the source will be called is not known yet.
    pub settings: Vec<(String, String)>,
    /// What can be served, in the order in which people would list it.
    pub channels: Vec<Discovered>,
    /// What cannot.
    pub left_out: Vec<LeftOut>,
    /// What was looked at on the way.
    pub findings: Vec<Finding>,
    /// What serving makes upstream, so that nobody wonders later.
    pub makes: Vec<Made>,
}

/// A table that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// A name for its channel: the table's, with its schema where that is not the usual one. It need
    /// not be one that the config allows, nor unlike the others: whoever makes the config sees to that.
    pub name: String,
    /// An address for it, `orders` or `sales/orders`, not escaped; the same holds.
    pub address: String,
    /// As `table:` in the config.
    pub table: String,
    /// The columns that tell its rows apart, at least one.
    pub key: Vec<String>,
}

/// A table that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As `table:` in the config.
    pub table: String,
    /// Why not, for people: one line.
    pub why: String,
    /// What to run upstream so that it can, ready to be copied.
    pub remedy: Option<String>,
}

/// A thing that a source makes upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it is and how long it stays, for people: one line.
    pub what: String,
    /// What removes it, ready to be copied; `None`: it goes by itself.
    pub removal: Option<String>,
}

/// Why nothing is known of what stands behind a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DiscoverError {
    /// What did not work, for people, without the URL's password.
    pub what: String,
    /// What to do about it; may have many lines.
    pub help: Option<String>,
}

/// For kinds without URL schemes, which are never asked.
pub(crate) fn nothing(_: &str) -> Result<Discovery, DiscoverError> {
    Err(DiscoverError { what: "this kind of source has no URL".to_owned(), help: None })
}
