//! Literals, names, calls, and what follows them: fields, indexes, methods.

use tidegate_core::suggest;

use super::{Parser, Refusal};
use crate::build::{self, Part};
use crate::functions::{Function, Style};
use crate::lexer::Token;
use crate::tree::Macro;
use crate::value::{Shared, Value};

/// Words that CEL keeps for languages around it.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl<'s> Parser<'s> {
    /// A value and everything that is asked of it; a number after its sign, if it has one.
    pub(super) fn member(&mut self, negative: bool) -> Result<Part, Refusal> {
        let mut part = self.primary(negative)?;
        loop {
            let at = self.at;
            if self.accept(".")? {
                part = self.selected(part)?;
            } else if self.accept("[")? {
                self.count(at)?;
                if matches!(self.token, Token::Symbol("?")) {
                    return Err(unsupported(self.at, "optional values"));
                }
                let index = self.expression()?;
                self.expect("]")?;
                part = build::index(part, index, at, self.variables)?;
            } else if matches!(self.token, Token::Symbol("{")) {
                return Err(unsupported(at, "messages"));
            } else {
                return Ok(part);
            }
        }
    }

    /// What stands behind the dot.
    fn selected(&mut self, part: Part) -> Result<Part, Refusal> {
        let at = self.at;
        self.count(at)?;
        let name = match self.token {
            Token::Name(name @ ("in" | "true" | "false" | "null")) => {
                let refusal = Refusal::new(at, format!("`{name}` cannot stand behind a dot"));
                return Err(refusal.hint(format!("write `[\"{name}\"]`")));
            }
            Token::Name(name) => name,
            Token::Quoted(name) => {
                self.advance()?;
                return build::field(part, name, at, self.variables);
            }
            Token::Symbol("?") => return Err(unsupported(at, "optional values")),
            _ => return Err(self.unexpected("a field")),
        };
        self.advance()?;
        if !self.accept("(")? {
            return build::field(part, name, at, self.variables);
        }
        if let Some((_, found)) = Macro::ALL.into_iter().find(|(known, _)| *known == name) {
            return self.comprehension(found, part, at);
        }
        let function = function(name, at, Style::Member)?;
        let mut arguments = vec![part];
        self.arguments(")", &mut arguments)?;
        build::call(function, arguments, at)
    }

    fn primary(&mut self, negative: bool) -> Result<Part, Refusal> {
        let at = self.at;
        self.count(at)?;
        if let Token::Name(name) = self.token {
            return self.named(name);
        }
        if self.accept("(")? {
            let part = self.expression()?;
            self.expect(")")?;
            return Ok(part);
        }
        if self.accept("[")? {
            let mut list = Vec::new();
            self.arguments("]", &mut list)?;
            return build::list(list, at);
        }
        if self.accept("{")? {
            let mut parts = Vec::new();
            self.pairs(&mut parts)?;
            return build::map(parts, at);
        }
        let value = match std::mem::replace(&mut self.token, Token::End) {
            Token::Int(size) => Value::Int(signed(size, negative, at)?),
            Token::Uint(value) => Value::Uint(value),
            Token::Double(value) => Value::Double(if negative { -value } else { value }),
            Token::String(text) => Value::text_made(text),
            Token::Bytes(bytes) => Value::Bytes(Shared::Owned(bytes.into())),
            Token::Symbol(".") => return Err(unsupported(at, "names that begin with a dot")),
            other => {
                self.token = other;
                return Err(self.unexpected("a value"));
            }
        };
        self.advance()?;
        Ok(Part::constant(value, at))
    }

    /// A word: a literal, a variable or a call.
    fn named(&mut self, name: &'s str) -> Result<Part, Refusal> {
        match name {
            "in" => return Err(self.unexpected("a value")),
            _ if RESERVED.contains(&name) => {
                return Err(Refusal::new(self.at, format!("`{name}` is a reserved word of CEL")));
            }
            _ => {}
        }
        let at = self.advance()?;
        match name {
            "true" | "false" => return Ok(Part::constant(Value::Bool(name == "true"), at)),
            "null" => return Ok(Part::constant(Value::Null, at)),
            _ => {}
        }
        if !self.accept("(")? {
            return match self.locals.iter().rposition(|local| *local == name) {
                Some(level) => Ok(build::local(name, level, at)),
                None => build::variable(name, self.variables, &self.locals, at),
            };
        }
        if name == "has" {
            let field = self.expression()?;
            self.expect(")")?;
            return build::has(field, at);
        }
        if name == "exists" && self.variables.looks_up() {
            let mut arguments = Vec::new();
            self.arguments(")", &mut arguments)?;
            return build::lookup(arguments, at);
        }
        let function = function(name, at, Style::Global)?;
        let mut arguments = Vec::new();
        self.arguments(")", &mut arguments)?;
        build::call(function, arguments, at)
    }

    /// Expressions with commas between, up to what closes them.
    fn arguments(&mut self, close: &str, list: &mut Vec<Part>) -> Result<(), Refusal> {
        while !self.accept(close)? {
            list.push(self.expression()?);
            if !self.accept(",")? {
                return self.expect(close);
            }
        }
        Ok(())
    }

    fn pairs(&mut self, parts: &mut Vec<(Part, Part)>) -> Result<(), Refusal> {
        while !self.accept("}")? {
            if matches!(self.token, Token::Symbol("?")) {
                return Err(unsupported(self.at, "optional values"));
            }
            let key = self.expression()?;
            self.expect(":")?;
            parts.push((key, self.expression()?));
            if !self.accept(",")? {
                return self.expect("}");
            }
        }
        Ok(())
    }
}

fn signed(size: u64, negative: bool, at: usize) -> Result<i64, Refusal> {
    let value = if negative { 0_i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() };
    value.ok_or_else(|| Refusal::new(at, "this number is too large for an int").hint("a uint ends with `u`"))
}

/// The function of a name, if it can be called like this.
fn function(name: &str, at: usize, style: Style) -> Result<Function, Refusal> {
    let Some(function) = Function::named(name) else {
        if Function::is_elsewhere(name) {
            return Err(unsupported(at, &format!("`{name}()`")));
        }
        let names = Function::names().chain(Macro::ALL.map(|(name, _)| name)).chain(["has"]);
        let near = suggest::nearest(name, names).map(|near| format!("did you mean `{near}`?"));
        return Err(Refusal::new(at, format!("there is no function `{name}`")).hint_if(near));
    };
    match (function.signature().style, style) {
        (Style::Either, _) | (Style::Global, Style::Global) | (Style::Member, Style::Member) => Ok(function),
        (Style::Global, _) => {
            Err(Refusal::new(at, format!("`{name}` is no method")).hint(format!("write `{name}(…)`")))
        }
        (Style::Member, _) => {
            Err(Refusal::new(at, format!("`{name}` is a method")).hint(format!("write `….{name}(…)`")))
        }
    }
}

pub(super) fn unsupported(at: usize, what: &str) -> Refusal {
    Refusal::new(at, format!("{what}: not supported in this subset of CEL"))
}
