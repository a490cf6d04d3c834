//! Patterns of `matches()`: constant, compiled when the expression is parsed, and linear in the text.

use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson;

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_SOURCE_BYTES_MAX, PATTERN_STATES_MAX};

/// States times bytes that cost one step: half a microsecond with the slowest of its engines, and next to
/// nothing with those that most texts take.
const WORK_PER_STEP: usize = 128;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    source: Arc<str>,
    regex: Regex,
    states: usize,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn new(source: &str) -> Result<Pattern, String> {
        if source.len() > PATTERN_SOURCE_BYTES_MAX {
            return Err(format!("it is longer than {PATTERN_SOURCE_BYTES_MAX} bytes"));
        }
        let config = thompson::Config::new().nfa_size_limit(Some(PATTERN_BYTES_MAX));
        let automaton = thompson::Compiler::new().configure(config).build(source).map_err(|error| reason(&error))?;
        let states = automaton.states().len();
        if states > PATTERN_STATES_MAX {
            return Err(too_large());
        }
        // The regex holds automata for both directions, and the caches of their searches.
        let config = Regex::config()
            .nfa_size_limit(Some(4 * PATTERN_BYTES_MAX))
            .hybrid_cache_capacity(PATTERN_BYTES_MAX)
            .onepass_size_limit(Some(PATTERN_BYTES_MAX))
            .dfa(false);
        let regex = Regex::builder().configure(config).build(source).map_err(|error| error.to_string())?;
        Ok(Pattern { source: source.into(), regex, states })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches anywhere in the text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What a search of so many bytes costs.
    pub(crate) fn steps(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.states) / WORK_PER_STEP
    }
}

fn reason(error: &thompson::BuildError) -> String {
    if error.size_limit().is_some() {
        return too_large();
    }
    // The text of a syntax error draws the pattern on several lines and ends with what is wrong.
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn too_large() -> String {
    format!("it is too large: at most {PATTERN_STATES_MAX} states")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_fits() {
        for source in [
            "^[A-Z]+$",
            r"^[\w.+-]+@[\w-]+\.[\w.]+$",
            r"(?i)error|warn(ing)?",
            r"^\d{4}-\d\d-\d\d",
            r"^\pL+$",
            "^.{1,100}$",
        ] {
            let begin = std::time::Instant::now();
            let pattern = Pattern::new(source).unwrap_or_else(|reason| panic!("{source}: {reason}"));
            println!("{source}: {} states, {:?}", pattern.states, begin.elapsed());
        }
    }
}
