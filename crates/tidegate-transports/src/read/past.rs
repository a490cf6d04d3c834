//! `at=TIME`: rows, or one value, as of a past time.
//!
//! Each page is exact as of its cursor, which is that of all of them, so nothing has to be caught up with to make them one
//! state. Nothing of it is kept: a past that many ask for is for the caches in front.

use tidegate_core::frame::Row;
use tidegate_core::{Address, Cursor, Offset, Problem};
use tidegate_hub::PAST_BYTES_MAX;

use super::made::{Made, What};
use super::pages::Page;
use super::{ANSWER_BYTES, Reading, absent, rows_body, single};

impl Reading<'_> {
    /// The answer as of a position; the link to a page names the one that its first page had.
    pub(super) async fn as_of(&self, at: Offset, page: Option<&str>) -> Result<Made, Problem> {
        let Reading { gateway, channel, asked } = self;
        let page = page.map(|token| Page::parse(token, channel)).transpose()?;
        let (at, after) = page.map_or((at, None), |page| (page.at, Some(page.after)));
        let share = gateway.budget.take(ANSWER_BYTES + PAST_BYTES_MAX).await?;
        let read = gateway.hub.rows_as_of(channel, &asked.view, at, after, asked.limit).await?;
        let cursor = channel.cursor(&asked.view, at);
        if let (Some(address), Some(key)) = (single(&asked.view.scope.target), &asked.view.scope.key) {
            return Ok(value(address, key, read.rows.into_iter().next(), &cursor));
        }
        let body = rows_body(&read.rows, &cursor);
        let made = Made::new(What::Part(read.rows.len()), &cursor, at, share.hold(body));
        Ok(Made { next: read.next, ..made })
    }
}

fn value(address: &Address, key: &str, row: Option<Row>, cursor: &Cursor) -> Made {
    match row {
        Some(row) => Made::new(What::Part(1), cursor, cursor.offset, row.data),
        None => Made::new(What::Absent, cursor, cursor.offset, absent(address, key)),
    }
}
