//! How far back a watch may begin.
//!
//! To a caller who may not look back further, the log begins there: `from=start` is that place, and a cursor from before
//! it is announced as a gap, as if it had been trimmed.

use std::time::Duration;

use tidegate_cel::{CelError, Expression, Kind, Value};
use tidegate_core::Millis;

use super::door::Question;
use super::rule::Right;
use super::vocabulary::Vocabulary;

/// A watch that was cut goes on from its cursor for this long even where there is no history: what came meanwhile is
/// what it would have been told.
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// How far back a watch may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// With all that is kept.
    #[default]
    All,
    /// With the next event.
    Nothing,
    /// With what was appended within this time.
    Within(Duration),
    /// What the expression says: a bool, or a duration.
    Expression(Expression),
}

/// How far back one caller may look now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All that is kept.
    All,
    /// What was appended at this time or later.
    Since(Millis),
    /// Only what is to come; a cut watch goes on from this time or later.
    Nothing { resumes: Millis },
}

impl History {
    /// Reads an expression, which is true or false or a duration.
    ///
    /// # Errors
    /// It is none of them, or looks at what it does not see.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<History, CelError> {
        let expression = Expression::parse(text, &vocabulary.variables)?;
        Right::History.check(text, &expression)?;
        if !expression.kinds().has(Kind::Bool) && !expression.kinds().has(Kind::Duration) {
            return Err(CelError {
                message: format!("`history` is a duration, true or false, and this is {}", expression.kinds()),
                column: 1,
                hint: Some(
                    "such as `7d`, or `claims.tier == \"gold\" ? duration(\"168h\") : duration(\"1h\")`".to_owned(),
                ),
            });
        }
        Ok(match expression.constant() {
            Some(Value::Bool(true)) => History::All,
            Some(Value::Duration(length)) => History::within(*length),
            Some(_) => History::Nothing,
            None => History::Expression(expression),
        })
    }

    /// What is said of it cannot be said for all addresses of a pattern that leaves a parameter open: then nothing is.
    pub(super) fn reach(&self, question: &Question<'_>) -> Reach {
        let said = match self {
            History::Expression(expression) => match expression.evaluate(question) {
                Ok(Value::Bool(true)) => History::All,
                Ok(Value::Duration(length)) => History::within(length),
                _ => History::Nothing,
            },
            said => said.clone(),
        };
        let now = question.millis();
        let before = |time: Duration| Millis(now.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        match said {
            History::All => Reach::All,
            History::Within(time) => Reach::Since(before(time)),
            History::Nothing | History::Expression(_) => Reach::Nothing { resumes: before(RESUMED_WITHIN) },
        }
    }

    pub(super) fn expression(&self) -> Option<&Expression> {
        if let History::Expression(expression) = self { Some(expression) } else { None }
    }

    fn within(length: tidegate_cel::Duration) -> History {
        match u64::try_from(length.nanos()) {
            Ok(nanos) if nanos > 0 => History::Within(Duration::from_nanos(nanos)),
            _ => History::Nothing,
        }
    }
}

impl Reach {
    /// The oldest time of append that is shown; `None`: there is no such bound.
    pub(crate) fn oldest(self, now: Millis) -> Option<Millis> {
        match self {
            Reach::All => None,
            Reach::Since(time) => Some(time),
            Reach::Nothing { .. } => Some(now),
        }
    }

    /// The oldest time of append from which a cursor goes on.
    pub(crate) fn resumes(self) -> Option<Millis> {
        match self {
            Reach::All => None,
            Reach::Since(time) | Reach::Nothing { resumes: time } => Some(time),
        }
    }
}
