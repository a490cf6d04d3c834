//! One policy: a condition over what its right may see.

use tidegate_cel::{CelError, Expression};

use super::vocabulary::Vocabulary;

/// What a policy is for, and so what it may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Who may watch.
    Read,
    /// Who may publish what.
    Publish,
    /// How far back a watch may begin.
    History,
    /// Which rows a caller sees.
    Rows,
}

/// A condition that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nobody.
    #[default]
    Never,
    /// Everybody.
    Always,
    /// Those of whom it is true.
    When(Expression),
}

impl Right {
    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Publish => "publish",
            Right::History => "history",
            Right::Rows => "rows",
        }
    }

    /// What it does not look at, with the reason.
    fn hidden(self) -> &'static [(&'static str, &'static str)] {
        const TIME: (&str, &str) = ("time", "a policy has no `time` of an event; the time of now is `now`");
        const OP: (&str, &str) = ("op", "a policy judges a value, not what happens to it");
        const DATA: (&str, &str) =
            ("data", "it is judged at the door, before there is a value; a row rule sees `data`");
        const KEY: (&str, &str) = ("key", "it is judged at the door, for all keys; a row rule sees `key`");
        const NOW: (&str, &str) =
            ("now", "a row would come and go without a change; let what expires be a change of the row");
        match self {
            Right::Read | Right::History => &[DATA, KEY, TIME, OP],
            Right::Publish => &[TIME, OP],
            Right::Rows => &[NOW, TIME, OP],
        }
    }

    /// Reads an expression that may look at what this right sees.
    pub(super) fn check(self, text: &str, expression: &Expression) -> Result<(), CelError> {
        let Some((name, reason)) = self.hidden().iter().find(|(name, _)| expression.reads(name)) else {
            return Ok(());
        };
        Err(CelError {
            message: format!("`{}` does not see `{name}`", self.name()),
            column: column_of(text, name),
            hint: Some((*reason).to_owned()),
        })
    }
}

impl Policy {
    /// Reads the policy of a right.
    ///
    /// # Errors
    /// It is no condition, or looks at what this right does not see.
    pub fn parse(right: Right, text: &str, vocabulary: &Vocabulary) -> Result<Policy, CelError> {
        let expression = Expression::condition(text, &vocabulary.variables)?;
        right.check(text, &expression)?;
        Ok(match (expression.canonical(), expression.is_never_true(&[])) {
            ("true", _) => Policy::Always,
            (_, true) => Policy::Never,
            _ => Policy::When(expression),
        })
    }

    pub(super) fn expression(&self) -> Option<&Expression> {
        if let Policy::When(expression) = self { Some(expression) } else { None }
    }
}

/// Where a name stands, in characters from 1.
fn column_of(text: &str, name: &str) -> usize {
    let part_of_name = |one: char| one.is_alphanumeric() || matches!(one, '_' | '.');
    let found = text.match_indices(name).find(|(at, _)| {
        let (before, behind) = (&text[..*at], &text[at + name.len()..]);
        !before.ends_with(part_of_name) && !behind.starts_with(|one: char| one.is_alphanumeric() || one == '_')
    });
    found.map_or(1, |(at, _)| text[..at].chars().count() + 1)
}
