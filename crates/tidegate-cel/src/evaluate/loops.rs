//! The macros over lists, and over the keys of maps.

use super::{Evaluation, decided};
use crate::error::Failure;
use crate::tree::{Comprehension, Macro};
use crate::value::{List, Map, Shared, Value};

/// What a macro goes through.
enum Range<'e> {
    List(List<'e>),
    Keys(Map<'e>),
}

impl<'e> Evaluation<'e> {
    pub(super) fn comprehension(&mut self, comprehension: &'e Comprehension) -> Result<Value<'e>, Failure> {
        self.step()?;
        let range = match self.value(&comprehension.range)? {
            Value::List(list) => Range::List(list),
            Value::Map(map) => Range::Keys(map),
            _ => return Err(Failure::NoSuchOverload),
        };
        match comprehension.name {
            Macro::All => self.quantified(comprehension, &range, false).map(Value::Bool),
            Macro::Exists => self.quantified(comprehension, &range, true).map(Value::Bool),
            Macro::ExistsOne => {
                let mut found = 0;
                for at in 0..range.len() {
                    self.bind(comprehension, &range, at)?;
                    found += usize::from(self.truth(&comprehension.body)?);
                }
                Ok(Value::Bool(found == 1))
            }
            Macro::Filter | Macro::Map => self.collected(comprehension, &range),
        }
    }

    /// `all`, or `exists` if `decisive` is true.
    fn quantified(
        &mut self,
        comprehension: &'e Comprehension,
        range: &Range<'e>,
        decisive: bool,
    ) -> Result<bool, Failure> {
        let truth = |at| self.bind(comprehension, range, at).and_then(|()| self.truth(&comprehension.body));
        decided(decisive, (0..range.len()).map(truth))
    }

    fn collected(&mut self, comprehension: &'e Comprehension, range: &Range<'e>) -> Result<Value<'e>, Failure> {
        let mut list = Vec::new();
        for at in 0..range.len() {
            self.bind(comprehension, range, at)?;
            let value = match (comprehension.name, &comprehension.condition) {
                (Macro::Filter, _) => {
                    if !self.truth(&comprehension.body)? {
                        continue;
                    }
                    self.locals[comprehension.level].clone()
                }
                (_, Some(condition)) if !self.truth(condition)? => continue,
                _ => self.value(&comprehension.body)?,
            };
            self.produce(size_of::<Value>())?;
            list.push(value);
        }
        Ok(Value::List(List::Values(Shared::Owned(list.into()))))
    }

    /// Makes an element the value of the macro's variable.
    fn bind(&mut self, comprehension: &Comprehension, range: &Range<'e>, at: usize) -> Result<(), Failure> {
        self.step()?;
        self.locals[comprehension.level] = range.get(at).ok_or(Failure::NoSuchField)?;
        Ok(())
    }
}

impl<'e> Range<'e> {
    fn len(&self) -> usize {
        match self {
            Range::List(list) => list.len(),
            Range::Keys(map) => map.len(),
        }
    }

    fn get(&self, at: usize) -> Option<Value<'e>> {
        match self {
            Range::List(list) => list.get(at),
            Range::Keys(map) => map.at(at).map(|(key, _)| key),
        }
    }
}
