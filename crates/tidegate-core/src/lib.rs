//! The words of Tidegate as types.
//!
//! Every other room speaks in these: an [`Address`] names where events are, a [`Record`] is an
//! event at its place in a log, a [`Cursor`] is a place in a log seen through one view, a
//! [`Frame`] is what a watch yields, an [`ErrorCode`] is everything that can be refused.
//! Nothing here does I/O, and nothing here knows another room.

pub mod address;
pub mod code;
pub mod cursor;
pub mod frame;
pub mod json;
pub mod placement;
pub mod record;
pub mod scope;
pub mod shelves;
pub mod suggest;
pub mod template;
pub mod time;

pub use address::{Address, AddressError, Pattern, Target};
pub use code::{ErrorCode, Problem};
pub use cursor::{ChannelId, Cursor, CursorError, Epoch, Fingerprint, Offset};
pub use frame::{Frame, GapReason, NoticeCode, ResetReason};
pub use placement::{KeySpec, Placement, PlacementError};
pub use record::{Key, Op, Record, Tx, is_notice};
pub use scope::{Kind, Scope, View};
pub use shelves::Shelves;
pub use template::{Template, TemplateError};
pub use time::Millis;
