//! Reads that end: pages of rows, pages of records, one value.

use std::sync::Arc;

use tidegate_core::{Address, ErrorCode, Key, Offset, Problem, Record, Scope, View};
use tidegate_log::{ReadError, ReadLimit, ViewRow};

use crate::Hub;
use crate::channel::Channel;

/// A page of rows ends at this many.
pub const ROWS_MAX: usize = 10_000;
/// A page of any kind ends at this many bytes.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows of a view.
pub struct RowPage {
    /// In order of address and key.
    pub rows: Vec<ViewRow>,
    /// Where the next page begins.
    pub next: Option<(Address, Key)>,
    /// No row is older than the state at this position.
    pub at: Offset,
}

/// Records of a scope.
pub struct FramePage {
    /// In order.
    pub records: Vec<Arc<Record>>,
    /// Nothing of the scope up to here is missing.
    pub upto: Offset,
    /// More is there now.
    pub more: bool,
}

/// The newest records of a scope.
pub struct Newest {
    /// Oldest first.
    pub records: Vec<Arc<Record>>,
    /// Nothing of the scope up to here is missing from what a watch from here adds.
    pub upto: Offset,
}

/// One value.
pub struct Value {
    /// The row, if there is one.
    pub row: Option<ViewRow>,
    /// The state is that of this position.
    pub at: Offset,
}

/// The log's error as a client may see it; the operator's text goes to the server's log.
pub(crate) fn read_problem(error: ReadError) -> Problem {
    tracing::error!(%error, "a read of the log failed");
    Problem::new(ErrorCode::Internal, "the log could not be read")
}

/// Reads may touch the disk, so they run where blocking is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The log's pages may be short where a pattern matches little; this goes on until `limit` rows.
fn read_rows(
    channel: &Channel,
    scope: &Scope,
    after: Option<(Address, Key)>,
    limit: usize,
) -> Result<RowPage, ReadError> {
    let mut whole = RowPage { rows: Vec::new(), next: after, at: Offset::MAX };
    let mut bytes = 0;
    loop {
        let left = ReadLimit { records: limit - whole.rows.len(), bytes: PAGE_BYTES_MAX - bytes };
        let page = channel.log.rows(scope, whole.next.as_ref(), left)?;
        bytes += page.rows.iter().map(|row| row.data.len()).sum::<usize>();
        whole.rows.extend(page.rows);
        whole.at = whole.at.min(page.at);
        whole.next = page.next;
        if whole.next.is_none() || whole.rows.len() >= limit || bytes >= PAGE_BYTES_MAX {
            return Ok(whole);
        }
    }
}

impl Hub {
    /// One page of rows after `after`. Its `at` is where the reading began: catching up from
    /// there makes the rows exact.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn rows(
        &self,
        channel: &Arc<Channel>,
        scope: &Scope,
        after: Option<(Address, Key)>,
        limit: usize,
    ) -> Result<RowPage, Problem> {
        let (channel, scope) = (channel.clone(), scope.clone());
        blocking(move || read_rows(&channel, &scope, after, limit.min(ROWS_MAX))).await.map_err(read_problem)
    }

    /// One value.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn value(&self, channel: &Arc<Channel>, address: &Address, key: &str) -> Result<Value, Problem> {
        let (channel, address, key) = (channel.clone(), address.clone(), key.to_owned());
        let (row, at) = blocking(move || channel.log.row(&address, &key)).await.map_err(read_problem)?;
        Ok(Value { row, at })
    }

    /// The newest records of a scope.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn newest(&self, channel: &Arc<Channel>, scope: &Scope, limit: usize) -> Result<Newest, Problem> {
        let (channel, scope) = (channel.clone(), scope.clone());
        let upto = channel.log.head();
        let records = blocking(move || channel.log.newest(&scope, limit)).await.map_err(read_problem)?;
        let upto = records.last().map_or(upto, |last| upto.max(last.offset));
        Ok(Newest { records, upto })
    }

    /// The records of a scope after a position, or `None` if some of them were trimmed.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn page(
        &self,
        channel: &Arc<Channel>,
        view: &View,
        after: Offset,
        limit: usize,
    ) -> Result<Option<FramePage>, Problem> {
        let until = channel.log.head().max(after);
        let limit = ReadLimit { records: limit, bytes: PAGE_BYTES_MAX };
        let hot = channel.log.read_hot(after, until, &view.scope, limit);
        let page = match hot {
            Some(page) => page,
            None => {
                let (channel, scope) = (channel.clone(), view.scope.clone());
                match blocking(move || channel.log.read(after, until, &scope, limit)).await {
                    Ok(page) => page,
                    Err(ReadError::Trimmed { .. }) => return Ok(None),
                    Err(error) => return Err(read_problem(error)),
                }
            }
        };
        Ok(Some(FramePage { more: page.upto < until, records: page.records, upto: page.upto }))
    }

    /// The offset of the last change at an address, deletes included; `None` if nothing ever changed.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn touched(&self, channel: &Arc<Channel>, address: &Address) -> Result<Option<Offset>, Problem> {
        let (channel, address) = (channel.clone(), address.clone());
        blocking(move || channel.log.touched(&address)).await.map_err(read_problem)
    }
}
