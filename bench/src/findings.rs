//! What a scenario found, and what it is to be.

use std::fmt;
use std::time::Duration;

/// One figure of one run.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The scenario's number, as in `docs/performance.md`.
    pub(crate) number: u32,
    /// Which figure; a row of the table has those of all runs.
    pub(crate) title: String,
    pub(crate) unit: Unit,
    /// Or why there is none.
    pub(crate) value: Result<f64, String>,
    /// What it is compared with in the same run: its name and its value.
    pub(crate) beside: Option<(&'static str, f64)>,
    pub(crate) goal: Goal,
    /// What else one wants to know.
    pub(crate) note: String,
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    /// So many times that beside it, at most.
    TimesAtMost(f64),
    TimesAtLeast(f64),
    /// It is told, and that is all.
    Quoted,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Us,
    Ms,
    Seconds,
    Bytes,
    Cores,
    PerSecond,
    MibPerSecond,
    Count,
}

impl Finding {
    pub(crate) fn new(number: u32, title: impl Into<String>, unit: Unit, value: f64, goal: Goal) -> Finding {
        Finding { number, title: title.into(), unit, value: Ok(value), beside: None, goal, note: String::new() }
    }

    /// One that could not be had.
    pub(crate) fn missing(number: u32, title: impl Into<String>, why: impl Into<String>) -> Finding {
        Finding { value: Err(why.into()), ..Finding::new(number, title, Unit::Count, 0.0, Goal::Quoted) }
    }

    pub(crate) fn beside(mut self, name: &'static str, value: f64) -> Finding {
        self.beside = Some((name, value));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Finding {
        self.note = note.into();
        self
    }

    /// How many times what is beside it.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, beside) = self.beside?;
        self.value.as_ref().ok().map(|value| value / beside)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Err(why) => write!(f, "{}: – {why}", self.title),
            Ok(value) => {
                write!(f, "{}: {}", self.title, self.unit.show(*value))?;
                if let Some((name, beside)) = self.beside {
                    write!(f, ", {name} {}", self.unit.show(beside))?;
                }
                if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", self.note) }
            }
        }
    }
}

impl Goal {
    /// Whether it is met; `None`: there is nothing to meet, or nothing to tell it by.
    pub(crate) fn met(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Goal::AtMost(most) => Some(value <= most),
            Goal::TimesAtMost(most) => Some(ratio? <= most),
            Goal::TimesAtLeast(least) => Some(ratio? >= least),
            Goal::Quoted => None,
        }
    }
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_not_or_cannot_be_told() {
        let finding = Finding::new(1, "x", Unit::Us, 5.0, Goal::TimesAtMost(1.1));
        assert_eq!(finding.goal.met(5.0, finding.ratio()), None, "nothing beside it");
        let finding = finding.beside("limit", 4.0);
        assert_eq!(finding.goal.met(5.0, finding.ratio()), Some(false));
        assert_eq!(Goal::TimesAtLeast(1.2).met(5.0, finding.ratio()), Some(true));
        assert_eq!((Goal::AtMost(5.0).met(5.0, None), Goal::Quoted.met(5.0, None)), (Some(true), None));
    }
}
