//! The macros over lists and maps, whose first argument is a name.

use super::{Parser, Refusal};
use crate::build::{self, Part};
use crate::lexer::Token;
use crate::limits::COMPREHENSIONS_NESTED_MAX;
use crate::tree::Macro;

impl<'s> Parser<'s> {
    /// The arguments of a macro on `range`, whose opening parenthesis is behind us.
    pub(super) fn comprehension(&mut self, name: Macro, range: Part, at: usize) -> Result<Part, Refusal> {
        let Token::Name(variable) = self.token else {
            return Err(self.unexpected("the name of an element"));
        };
        if matches!(variable, "true" | "false" | "null" | "in") {
            return Err(self.unexpected("the name of an element"));
        }
        self.advance()?;
        self.expect(",")?;
        let level = self.locals.len();
        if level == COMPREHENSIONS_NESTED_MAX {
            let message = format!("`{}` in more than one other macro", name.name());
            return Err(Refusal::new(at, message).hint("a macro can be nested once"));
        }
        self.locals.push(variable);
        let first = self.expression()?;
        let second = if self.accept(",")? { Some(self.expression()?) } else { None };
        if second.is_some() && name != Macro::Map {
            return Err(Refusal::new(at, format!("`{}` takes a name and one expression", name.name())));
        }
        self.expect(")")?;
        self.locals.pop();
        build::comprehension(build::Loop { name, range, level, variable, first, second }, at)
    }
}
