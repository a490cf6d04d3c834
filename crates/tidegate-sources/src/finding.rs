//! What a look upstream has found.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it has to be.
    pub level: Level,
    /// What was found, for people: one line.
    pub what: String,
    /// What to run upstream or to write in the config, ready to be copied; may have many lines.
    pub remedy: Option<String>,
}

/// Whether something is as it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is.
    Good,
    /// The source works; somebody will be sorry later.
    Warning,
    /// The source cannot work, or not wholly.
    Missing,
}

impl Finding {
    /// Something is as it has to be.
    pub fn good(what: impl Into<String>) -> Finding {
        Finding { level: Level::Good, what: what.into(), remedy: None }
    }

    /// Something works and had better be changed.
    pub fn warning(what: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, what: what.into(), remedy: None }
    }

    /// Something is missing.
    pub fn missing(what: impl Into<String>) -> Finding {
        Finding { level: Level::Missing, what: what.into(), remedy: None }
    }

    /// With what to do about it.
    pub fn remedy(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}
