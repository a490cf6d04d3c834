//! Reads that end: pages of rows, pages of records, one value.

use std::sync::Arc;

use tidegate_core::frame::Row;
use tidegate_core::{Address, ErrorCode, Key, Millis, Offset, Problem, Record};
use tidegate_log::{ReadError, ReadLimit, ViewRow};

use crate::Hub;
use crate::channel::Channel;
use crate::frames::shown;
use crate::watch::{Name, Past, Sight, View};

/// A page of rows ends at this many.
pub const ROWS_MAX: usize = 10_000;
/// A page of any kind ends at this many bytes.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A page of rows ends after so many that were looked at: a filter may show few of them.
const LOOKED_AT_MAX: usize = 100_000;
/// The newest events are looked for among so many.
const LOOKED_BACK_MAX: usize = 10_000;
/// So often a page of rows begins again because the channel moved on while it was read.
const RESTARTS_MAX: usize = 3;

/// Rows of a view.
#[derive(Debug)]
pub struct RowPage {
    /// In order of address and key.
    pub rows: Vec<Row>,
    /// Where the next page begins.
    pub next: Option<(Address, Key)>,
    /// No row is older than the state at this position.
    pub at: Offset,
    /// They are exactly that state, as they nearly always are.
    pub exact: bool,
    /// Where a view shows the whole of one address as it is: the offset of its last change, deletes included; 0
    /// if nothing ever changed. Read before the rows, so a change between the two makes it too old.
    pub touched: Option<Offset>,
    /// The head when reading began. All of this holds for as long as [`Channel::unchanged`] since then.
    pub since: Offset,
}

/// Rows of a view as of a past position.
#[derive(Debug)]
pub struct PastRows {
    /// In order of address and key.
    pub rows: Vec<Row>,
    /// Where the next page begins.
    pub next: Option<(Address, Key)>,
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
    /// The head when reading began, as in [`RowPage`].
    pub since: Offset,
    /// The last change of one address, as the conditions of writes have it; where nothing is held, the start of the log.
    pub last: Offset,
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
    // A request that was accepted before the drain may come this far after it.
    if matches!(error, ReadError::Closed) {
        return Problem::new(ErrorCode::Draining, error.to_string());
    }
    tracing::error!(%error, "a read of the log failed");
    Problem::new(ErrorCode::Internal, "the log could not be read")
}

/// For what touches the disk or takes long: it runs where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// A page of the log, as a view shows it.
struct Read {
    rows: Vec<Row>,
    next: Option<Name>,
    at: Offset,
    /// Rows that it has in the log.
    looked_at: usize,
}

impl Read {
    fn of(page: tidegate_log::RowPage, channel: &Channel, view: &View) -> Read {
        let looked_at = page.rows.len();
        let show = |row: ViewRow| {
            let data = view.row(&row, &channel.config)?;
            Some(Row { address: row.address, key: row.key, time: Some(row.time), data })
        };
        let rows = page.rows.into_iter().filter_map(show).collect();
        Read { rows, next: page.next, at: page.at, looked_at }
    }
}

/// The log's pages may be short where a pattern matches little, and each is the state at its own
/// head; joined they are one state only if the channel stood still meanwhile. So reading begins
/// again when it did not, a few times; a channel that never rests must not keep a reader forever.
///
/// What is then returned is of several heads, and `at` is the oldest of them. It is right all the
/// same for whoever catches up from there: a record carries the whole value of its key or its
/// deletion, so applying one again that a row already shows ends in the same value, and past the
/// newest of the heads each key was last touched by its own last record. (In between the rows show
/// some changes early. Pages of several requests are joined in just this way.)
fn read_rows(
    after: Option<(Address, Key)>,
    limit: usize,
    mut page: impl FnMut(Option<&(Address, Key)>, ReadLimit) -> Result<Read, ReadError>,
) -> Result<RowPage, ReadError> {
    for _ in 0..RESTARTS_MAX {
        if let Some(whole) = join_pages(after.clone(), limit + 1, true, &mut page)? {
            return Ok(cut(whole, limit));
        }
    }
    let whole = join_pages(after, limit + 1, false, &mut page)?;
    Ok(cut(whole.expect("pages of several heads are joined when asked for"), limit))
}

/// One row more than a page has was asked for: only so it is known whether there is a next page. That the log has more
/// to look through says nothing of that, and changes with rows that are not of the scope.
fn cut(mut page: RowPage, limit: usize) -> RowPage {
    if page.rows.len() > limit {
        page.rows.truncate(limit);
        page.next = page.rows.last().map(|row| (row.address.clone(), row.key.clone()));
    }
    page
}

/// Joins what is read until there are `limit` rows that are shown, or another bound is met.
fn past_rows(mut past: Past, channel: &Channel, view: &View, limit: usize) -> Result<PastRows, Problem> {
    while !past.prepare()? {}
    let mut rows: Vec<Row> = Vec::new();
    let (mut bytes, mut looked_at) = (0, 0);
    loop {
        // One row more than a page has says whether there is a next one.
        let page = past.page(ReadLimit { records: limit + 1 - rows.len(), bytes: PAGE_BYTES_MAX - bytes })?;
        looked_at += page.rows.len();
        for row in page.rows {
            if let Some(data) = view.past(&row, &channel.config) {
                bytes += data.len();
                rows.push(Row { data, ..row });
            }
        }
        if rows.len() > limit {
            rows.truncate(limit);
            let next: Option<Name> = rows.last().map(|row| (row.address.clone(), row.key.clone()));
            return Ok(PastRows { rows, next });
        }
        if page.next.is_none() || bytes >= PAGE_BYTES_MAX || looked_at >= LOOKED_AT_MAX {
            return Ok(PastRows { rows, next: page.next });
        }
    }
}

/// Looks back further where a filter shows few, up to a bound.
fn newest_shown(channel: &Channel, view: &View, limit: usize) -> Result<Vec<Arc<Record>>, ReadError> {
    let mut wanted = limit;
    loop {
        let mut records = channel.log.newest(&view.scope, wanted)?;
        let all = records.len() < wanted || wanted >= LOOKED_BACK_MAX;
        records.retain(|record| {
            record.op.is_channel_wide() || shown(&Sight::new(record, &channel.config), view, true).is_some()
        });
        if all || records.len() >= limit {
            records.drain(..records.len().saturating_sub(limit));
            return Ok(records);
        }
        wanted = (wanted * 4).min(LOOKED_BACK_MAX);
    }
}

/// Goes on until `limit` rows; `None` if `one_state` is asked for and the pages are of several.
fn join_pages(
    after: Option<(Address, Key)>,
    limit: usize,
    one_state: bool,
    page: &mut impl FnMut(Option<&(Address, Key)>, ReadLimit) -> Result<Read, ReadError>,
) -> Result<Option<RowPage>, ReadError> {
    let mut whole = RowPage { rows: Vec::new(), next: after, at: Offset::MAX, exact: true, touched: None, since: 0 };
    let (mut bytes, mut looked_at) = (0, 0);
    loop {
        let left = ReadLimit { records: limit - whole.rows.len(), bytes: PAGE_BYTES_MAX - bytes };
        let more = page(whole.next.as_ref(), left)?;
        looked_at += more.looked_at;
        whole.exact &= whole.at == Offset::MAX || more.at == whole.at;
        if one_state && !whole.exact {
            return Ok(None);
        }
        bytes += more.rows.iter().map(|row| row.data.len()).sum::<usize>();
        whole.rows.extend(more.rows);
        whole.at = whole.at.min(more.at);
        whole.next = more.next;
        let full = whole.rows.len() >= limit || bytes >= PAGE_BYTES_MAX || looked_at >= LOOKED_AT_MAX;
        if whole.next.is_none() || full {
            return Ok(Some(whole));
        }
    }
}

impl Hub {
    /// One page of rows after `after`. Catching up from its `at` makes the rows exact.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn rows(
        &self,
        channel: &Arc<Channel>,
        view: &View,
        after: Option<(Address, Key)>,
        limit: usize,
    ) -> Result<RowPage, Problem> {
        let (channel, view) = (channel.clone(), view.clone());
        let rows = move || {
            let since = channel.log.head();
            let whole = view.scope.single_address().filter(|_| view.scope.key.is_none() && view.lens.is_none());
            let touched = whole.map(|address| channel.log.touched(address)).transpose()?;
            let page = |after: Option<&(Address, Key)>, limit| {
                Ok(Read::of(channel.log.rows(&view.scope, after, limit)?, &channel, &view))
            };
            let rows = read_rows(after, limit.min(ROWS_MAX), page)?;
            Ok(RowPage { touched: touched.map(Option::unwrap_or_default), since, ..rows })
        };
        blocking(rows).await.map_err(read_problem)
    }

    /// One page of rows after `after` as of a past position, each exact.
    ///
    /// # Errors
    /// `out-of-reach` where history does not tell it, or too much has changed since; `internal` when the log cannot be
    /// read.
    pub async fn rows_as_of(
        &self,
        channel: &Arc<Channel>,
        view: &View,
        at: Offset,
        after: Option<(Address, Key)>,
        limit: usize,
    ) -> Result<PastRows, Problem> {
        let past = Past::new(channel, &view.scope, at, after);
        let (channel, view) = (channel.clone(), view.clone());
        blocking(move || past_rows(past, &channel, &view, limit.min(ROWS_MAX))).await
    }

    /// One value.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn value(&self, channel: &Arc<Channel>, address: &Address, key: &str) -> Result<Value, Problem> {
        if let Some((row, at)) = channel.log.row_hot(address, key) {
            return Ok(Value { row, at });
        }
        let (channel, address, key) = (channel.clone(), address.clone(), key.to_owned());
        let (row, at) = blocking(move || channel.log.row(&address, &key)).await.map_err(read_problem)?;
        Ok(Value { row, at })
    }

    /// The newest records that a view shows, of those that were appended at `oldest` or later.
    ///
    /// # Errors
    /// `internal` when the log cannot be read.
    pub async fn newest(
        &self,
        channel: &Arc<Channel>,
        view: &View,
        limit: usize,
        oldest: Option<Millis>,
    ) -> Result<Newest, Problem> {
        let (channel, view) = (channel.clone(), view.clone());
        // The start is taken before the records: what comes and goes between the two must not look as if nothing had been.
        let (since, start) = (channel.log.head(), channel.log.start());
        let mut records = blocking(move || newest_shown(&channel, &view, limit)).await.map_err(read_problem)?;
        records.retain(|record| oldest.is_none_or(|oldest| record.appended >= oldest));
        let last = records.last().map(|last| last.offset);
        Ok(Newest { records, upto: last.map_or(since, |last| since.max(last)), since, last: last.unwrap_or(start) })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that has four rows, one a page, and moves on before each of the first `moves` pages.
    fn moving(moves: u64) -> (RowPage, u64) {
        let mut reads = 0;
        let page = |after: Option<&(Address, Key)>, _: ReadLimit| {
            reads += 1;
            let at = reads.min(moves);
            let index = after.map_or(0, |(_, key)| key.parse::<u64>().expect("a number") + 1);
            let place = (Address::parse("a/b").expect("address"), Key::from(index.to_string()));
            let (address, key) = place.clone();
            let row = Row { address, key, time: Some(Millis(0)), data: at.to_string().into() };
            Ok(Read { rows: vec![row], next: (index < 3).then_some(place), at, looked_at: 1 })
        };
        (read_rows(None, 10, page).expect("read"), reads)
    }

    #[test]
    fn rows_are_the_state_at_their_cursor() {
        let (page, reads) = moving(3);
        assert_eq!((page.at, page.exact, page.rows.len(), reads), (3, true, 4, 2 + 4));
        assert!(page.rows.iter().all(|row| row.data == "3"), "{:?}", page.rows);
    }

    #[test]
    fn a_channel_that_never_rests_is_read_all_the_same() {
        let (page, reads) = moving(u64::MAX);
        assert_eq!(reads, 3 * 2 + 4);
        assert_eq!((page.at, page.exact, page.rows.len()), (7, false, 4));
    }
}
