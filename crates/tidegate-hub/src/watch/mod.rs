//! What a watch sees, where it begins, and how it reads until it is live.

mod filter;
mod judge;
mod lens;
mod past;
mod plan;
mod rate;
mod reader;
mod sight;
mod tick;
mod view;

pub use filter::Filter;
pub use judge::{Judgement, Regard, Renewal};
pub use lens::{Lens, Mode};
pub use past::PAST_BYTES_MAX;
pub(crate) use past::{Name, Past};
pub use plan::{From, Plan, Start, WatchRequest};
pub use rate::{Rate, RateError};
pub use reader::{Piece, Reader};
pub use sight::{Image, Sight};
pub use tick::Tick;
pub use view::View;
