//! Where a publish goes, and the cursor and ETag of what is there.

use tidegate_core::{Address, Cursor, ErrorCode, Key, Offset, Problem, Scope};
use tidegate_log::Entry;

use crate::channel::Channel;
use crate::watch::View;

/// What the URL of a publish names: what its condition and its ETag are of.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) address: Address,
    /// Else the address as a whole.
    pub(super) key: Option<Key>,
}

impl Place {
    /// The cursor that an answer to a `GET` of the place would have, of one key or of the whole address.
    pub(super) fn cursor(&self, channel: &Channel, key: Option<&Key>, offset: Offset) -> Cursor {
        let scope = Scope { key: key.cloned(), ..Scope::address(self.address.clone()) };
        channel.cursor(&View::whole(scope, channel.default_kind()), offset)
    }

    /// The ETag of what was last changed by the record at `offset`, as in the header.
    pub(super) fn etag(&self, channel: &Channel, offset: Offset) -> String {
        quoted(&self.cursor(channel, self.key.as_ref(), offset).to_string())
    }

    /// What a condition says nothing of must not be written under it.
    pub(super) fn own(&self, entry: Entry) -> Result<Entry, Problem> {
        if entry.address == self.address {
            return Ok(entry);
        }
        let detail = format!("a condition is of one address, and this is at `{}`", entry.address.as_str());
        Err(Problem::new(ErrorCode::Invalid, detail)
            .hint("leave `address` out of the envelopes, or leave the condition out"))
    }
}

/// A strong ETag. By hand: every publish is answered with one, and formatting costs several times as much.
pub(super) fn quoted(cursor: &str) -> String {
    let mut etag = String::with_capacity(cursor.len() + 2);
    etag.push('"');
    etag.push_str(cursor);
    etag.push('"');
    etag
}
