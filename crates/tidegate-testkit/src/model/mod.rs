//! The reference model: in memory, slow, obviously right.
//!
//! It decides what a watch that begins anywhere must yield: [`log`] holds records and the view,
//! [`eye`] is what a watch sees of them and [`told`] what of changes, [`cursor`] judges a presented
//! cursor, [`watch`] turns all that into frames. Tests compare the real thing with it; it never
//! looks at the real thing.

pub mod cursor;
pub mod eye;
pub mod log;
pub mod patch;
pub mod told;
pub mod view;
pub mod watch;

#[cfg(test)]
mod tests;

pub use cursor::{Verdict, judge};
pub use eye::{Eye, Image, Rule, Shown};
pub use log::{Change, Channel, Log, Record};
pub use told::Told;
pub use view::View;
pub use watch::{Befores, Begin, Mode, Watch};
