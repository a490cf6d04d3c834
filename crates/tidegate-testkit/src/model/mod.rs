//! The reference model: in memory, slow, obviously right.
//!
//! It decides what a watch that begins anywhere must yield: [`log`] holds records and the view,
//! [`cursor`] judges a presented cursor, [`watch`] turns both into frames. Tests compare the real
//! thing with it; it never looks at the real thing.

pub mod cursor;
pub mod log;
pub mod view;
pub mod watch;

#[cfg(test)]
mod tests;

pub use cursor::{Verdict, judge};
pub use log::{Change, Channel, Log, Record};
pub use view::View;
pub use watch::{Befores, Begin, Eye, Rule, Watch};
