//! What a caller may do: the policies of a channel, in CEL, judged before anything is read or written.
//!
//! ```text
//!   caller, target ─► read? ─► how far back? ─► row rule, with what is known of the caller put in ─► entrance
//!   caller, event  ─► publish?
//! ```
//!
//! What is not allowed is denied, and so is what cannot be said: an expression that fails is a no. A refusal names the
//! channel and the policy, never what the claims say. Who the caller is was found out before; nothing here sees a token.

mod access;
mod caller;
mod decision;
mod door;
mod history;
mod policies;
mod refusal;
mod rows;
mod rule;
mod vocabulary;
mod writing;

pub use access::{Access, Asks};
pub use caller::{Caller, ClaimsError};
pub use decision::{Act, decide};
pub use door::Entrance;
pub use history::History;
pub use policies::Policies;
pub use rows::RowRule;
pub use rule::{Policy, Right};
pub use vocabulary::Vocabulary;

pub(crate) use history::Reach;
pub(crate) use refusal::{history as refuse_history, refuse_condition};
pub(crate) use vocabulary::filters;
pub(crate) use writing::{may_publish, may_write};

#[cfg(test)]
mod tests;
