//! What expressions can speak of, declared before they are parsed.

use tidegate_core::suggest;

use crate::kind::Kinds;
use crate::limits::VARIABLES_MAX;

/// The variables of a kind of expression, in the order in which an
/// [`Activation`](crate::Activation) numbers them.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    list: Vec<Variable>,
    looks_up: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    /// All fields that there can be, where that is known.
    pub(crate) fields: Option<Vec<(String, Kinds)>>,
}

impl Variables {
    /// None yet.
    pub fn new() -> Variables {
        Variables::default()
    }

    /// Adds a variable, whose slot is the number of those before it.
    ///
    /// # Panics
    /// If there are more than [`VARIABLES_MAX`]; they are those of our own code.
    #[must_use]
    pub fn with(self, name: &str, kinds: impl Into<Kinds>) -> Variables {
        self.add(Variable { name: name.to_owned(), kinds: kinds.into(), fields: None })
    }

    /// Adds a map of which all fields are known: others are refused when an expression is parsed.
    ///
    /// # Panics
    /// As [`with`](Variables::with).
    #[must_use]
    pub fn with_fields<'f>(self, name: &str, fields: impl IntoIterator<Item = (&'f str, Kinds)>) -> Variables {
        let fields = fields.into_iter().map(|(name, kinds)| (name.to_owned(), kinds)).collect();
        self.add(Variable { name: name.to_owned(), kinds: crate::Kind::Map.into(), fields: Some(fields) })
    }

    /// With lookups too: `exists("table", key)`, which an [`Activation`](crate::Activation) answers.
    #[must_use]
    pub fn with_lookups(self) -> Variables {
        Variables { looks_up: true, ..self }
    }

    pub(crate) fn looks_up(&self) -> bool {
        self.looks_up
    }

    /// The slot of a variable.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|variable| variable.name == name)
    }

    /// Their names, in order of their slots.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|variable| variable.name.as_str())
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&Variable> {
        self.list.get(slot)
    }

    fn add(mut self, variable: Variable) -> Variables {
        assert!(self.list.len() < VARIABLES_MAX, "more than {VARIABLES_MAX} variables");
        self.list.push(variable);
        self
    }
}

impl Variable {
    /// What a field can be.
    ///
    /// # Errors
    /// There cannot be such a field; the nearest that there can be.
    pub(crate) fn field(&self, name: &str) -> Result<Kinds, Option<&str>> {
        let Some(fields) = &self.fields else { return Ok(Kinds::ANY) };
        match fields.iter().find(|(field, _)| field == name) {
            Some((_, kinds)) => Ok(*kinds),
            None => Err(suggest::nearest(name, fields.iter().map(|(field, _)| field.as_str()))),
        }
    }
}
