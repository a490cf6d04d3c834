//! The words of Tidegate as types.
//!
//! Every other room speaks in these: an [`Address`] names where events are, a [`Record`] is an
//! event at its place in a log, a [`Cursor`] is a place in a log seen through one view, a
//! [`Frame`] is what a watch yields, an [`ErrorCode`] is everything that can be refused.
//! Nothing here does I/O, and nothing here knows another room.

pub mod address;
pub mod code;
pub mod cursor;
pub mod fields;
pub mod frame;
#[cfg(any(test, feature = "fuzzed"))]
#[doc(hidden)]
pub mod fuzzed;
pub mod json;
pub mod patch;
pub mod path;
pub mod placement;
pub mod principal;
pub mod record;
pub mod scope;
pub mod shelves;
pub mod suggest;
pub mod template;
pub mod time;

pub use address::{Address, AddressError, Pattern, Target};
pub use code::{ErrorCode, Problem};
pub use cursor::{ChannelId, Cursor, CursorError, Epoch, Fingerprint, Offset};
pub use fields::{Fields, Mask};
pub use frame::{Frame, GapReason, NoticeCode, ResetReason, Shown};
pub use patch::{ItemKeys, equal, json_patch, merge_patch};
pub use path::PathError;
pub use placement::{KeySpec, Placement, PlacementError};
pub use principal::Principal;
pub use record::{Key, Op, Record, Tx, is_notice};
pub use scope::{Kind, Scope};
pub use shelves::Shelves;
pub use template::{Template, TemplateError};
pub use time::Millis;
