//! Where a watch begins, and how it reads until it is live.

mod plan;
mod reader;

pub use plan::{From, Plan, Start, WatchRequest};
pub use reader::{Piece, Reader};
