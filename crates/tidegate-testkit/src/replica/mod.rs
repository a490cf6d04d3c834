//! What a correct client does with the frames of a watch.
//!
//! **On a cut the replica rolls back to its last cursor.** Applying on top of what is there would
//! do as well where every change carries a cursor (then nothing is left to roll back), and would
//! be wrong in the two places where frames come without one: a `reset` has thrown the rows away
//! that the old cursor stands for, and of a conflated tick the server may, from the old cursor,
//! rightly say nothing at all about a row that came and went while the client was away. A client
//! that does not want to keep the old rows through a snapshot may instead forget its cursor at
//! `reset` and begin anew ([`Replica::forget_at_reset`]); that costs a snapshot, never the truth.
//!
//! A replica says something about the server only where [`Replica::settled`] holds.

mod history;
mod state;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tidegate_core::Cursor;

pub use history::{History, Item};
pub use state::{Rows, State, row_hash};

/// The replica of one watch.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Where the client is; what it presents to resume.
    pub cursor: Option<String>,
    /// What it holds.
    pub holds: Holds,
    /// Frames whose `prev` showed that something before them is missing.
    pub lost: u64,
    /// Frames whose `prev` showed that they came again.
    pub doubled: u64,
    /// Gaps and their reasons, in order, those rolled back too.
    pub gaps: Vec<String>,
    /// Resets by reason, in order, those rolled back too.
    pub resets: Vec<String>,
    forget_at_reset: bool,
    /// The cursor that the next `prev` must name; none where the chain begins anew.
    link: Option<String>,
}

/// Rows or events.
#[derive(Clone, Debug)]
pub enum Holds {
    /// Last value per key.
    State(State),
    /// Everything in order.
    History(History),
}

/// What the server did that no client can make sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl Replica {
    /// An empty replica of a state watch.
    pub fn state() -> Replica {
        Replica::new(Holds::State(State::default()))
    }

    /// An empty list of a history or plain watch.
    pub fn history() -> Replica {
        Replica::new(Holds::History(History::default()))
    }

    fn new(holds: Holds) -> Replica {
        Replica {
            cursor: None,
            holds,
            lost: 0,
            doubled: 0,
            gaps: Vec::new(),
            resets: Vec::new(),
            forget_at_reset: false,
            link: None,
        }
    }

    /// Keeps no rows through a snapshot, and gives the cursor up instead.
    pub fn forget_at_reset(self) -> Replica {
        Replica { forget_at_reset: true, ..self }
    }

    /// The rows, where this is a state replica.
    pub fn rows(&self) -> Option<&Rows> {
        match &self.holds {
            Holds::State(state) => Some(&state.rows),
            Holds::History(_) => None,
        }
    }

    /// The list, where this is a history replica.
    pub fn items(&self) -> Option<&[Item]> {
        match &self.holds {
            Holds::State(_) => None,
            Holds::History(history) => Some(&history.items),
        }
    }

    /// Whether the replica stands at its cursor: only then is it comparable with the server.
    pub fn settled(&self) -> bool {
        self.cursor.is_some()
            && match &self.holds {
                Holds::State(state) => state.settled(),
                Holds::History(history) => history.settled(),
            }
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// Frames that contradict the protocol.
    pub fn apply(&mut self, frame: &Value) -> Result<(), Violation> {
        let op = text(frame, "op")?;
        match op {
            "close" => return Ok(()),
            // Of the server, to this watcher alone.
            "notice" if frame.get("time").is_none() => return Ok(()),
            "begin" => self.link = self.cursor.clone(),
            "gap" => {
                self.gaps.push(text(frame, "reason")?.to_owned());
                self.link = None;
                if let Holds::History(history) = &mut self.holds {
                    history.gap(frame)?;
                }
                return Ok(());
            }
            "reset" => {
                self.resets.push(text(frame, "reason")?.to_owned());
                self.link = None;
                if self.forget_at_reset {
                    self.cursor = None;
                }
            }
            _ => {}
        }
        match &mut self.holds {
            Holds::State(state) => state.apply(op, frame)?,
            Holds::History(history) => history.apply(op, frame)?,
        }
        if let Some(cursor) = frame.get("cursor") {
            let cursor = cursor.as_str().ok_or_else(|| broken("a cursor that is no text", frame))?.to_owned();
            self.stand(op, cursor, frame)?;
        }
        Ok(())
    }

    /// The connection broke: drops what came after the last cursor.
    pub fn cut(&mut self) {
        match &mut self.holds {
            Holds::State(state) => state.roll_back(),
            Holds::History(history) => history.roll_back(),
        }
        self.link = None;
    }

    /// Everything is given up, as by a client that begins without its cursor.
    pub fn begin_anew(&mut self) {
        self.cut();
        self.cursor = None;
    }

    fn stand(&mut self, op: &str, cursor: String, frame: &Value) -> Result<(), Violation> {
        if let (Some(link), Some(prev)) = (&self.link, frame.get("prev").and_then(Value::as_str))
            && op != "begin"
            && !same_place(link, prev)
        {
            match (offset(link), offset(&cursor)) {
                (Some(mine), Some(its)) if its <= mine => self.doubled += 1,
                _ => self.lost += 1,
            }
        }
        match &mut self.holds {
            Holds::State(state) => state.commit(frame)?,
            Holds::History(history) => history.commit(),
        }
        self.link = Some(cursor.clone());
        self.cursor = Some(cursor);
        Ok(())
    }
}

/// The offset inside a cursor; for counting and comparing in tests, which a client must not do.
pub fn offset(cursor: &str) -> Option<u64> {
    cursor.parse::<Cursor>().ok().map(|cursor| cursor.offset)
}

/// Two views of one channel write the same position differently.
fn same_place(a: &str, b: &str) -> bool {
    let place = |text: &str| text.parse::<Cursor>().ok().map(|cursor| (cursor.channel, cursor.epoch, cursor.offset));
    a == b || (place(a).is_some() && place(a) == place(b))
}

fn text<'f>(frame: &'f Value, name: &str) -> Result<&'f str, Violation> {
    frame.get(name).and_then(Value::as_str).ok_or_else(|| broken(&format!("`{name}` is missing"), frame))
}

fn broken(what: &str, frame: &Value) -> Violation {
    Violation(format!("{what}: {frame}"))
}
