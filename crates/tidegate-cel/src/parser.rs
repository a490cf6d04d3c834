//! From a source to a checked tree, by the precedence of operators. It recurses only where something is
//! opened, at most [`NESTING_MAX`] deep, and stops at the first mistake.

mod macros;
mod primary;

use crate::build::{self, Operator, Part};
use crate::error::CelError;
use crate::kind::Kinds;
use crate::lexer::{Lexer, Token};
use crate::limits::{DEPTH_MAX, NESTING_MAX, NODES_MAX, SOURCE_BYTES_MAX};
use crate::tree::Node;
use crate::variables::Variables;

/// What is wrong, at which byte.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Parses a whole source.
pub(crate) fn parse(source: &str, variables: &Variables) -> Result<(Node, Kinds), CelError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(too_long());
    }
    let placed = |refusal: Refusal| CelError {
        message: refusal.message,
        column: source[..refusal.at].chars().count() + 1,
        hint: refusal.hint,
    };
    let part = Parser::new(source, variables).and_then(Parser::whole).map_err(placed)?;
    Ok((part.node, part.kinds))
}

pub(crate) fn too_long() -> CelError {
    CelError {
        message: format!("the expression is longer than {SOURCE_BYTES_MAX} bytes"),
        column: 1,
        hint: Some("split it, or use `in` with a list".to_owned()),
    }
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The next token, and where it begins.
    token: Token<'s>,
    at: usize,
    variables: &'s Variables,
    /// The variables of the macros whose bodies are open.
    locals: Vec<&'s str>,
    nodes: usize,
    nesting: usize,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, variables: &'s Variables) -> Result<Parser<'s>, Refusal> {
        let mut lexer = Lexer::new(source);
        let (token, at) = lexer.next()?;
        Ok(Parser { lexer, token, at, variables, locals: Vec::new(), nodes: 0, nesting: 0 })
    }

    fn whole(mut self) -> Result<Part, Refusal> {
        let part = self.expression()?;
        match &self.token {
            Token::End => Ok(part),
            _ => Err(self.unexpected("an operator, or the end")),
        }
    }

    /// Everything, down to the choice `? :`.
    fn expression(&mut self) -> Result<Part, Refusal> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(Refusal::deep(self.at));
        }
        let condition = self.operation(Operator::BINDING_MIN)?;
        let at = self.at;
        let part = if self.accept("?")? {
            self.count(at)?;
            let then = self.operation(Operator::BINDING_MIN)?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            build::choose(condition, then, otherwise, at)?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(part)
    }

    /// Operators that bind at least so tightly.
    fn operation(&mut self, binding_min: u8) -> Result<Part, Refusal> {
        let mut left = self.unary()?;
        while let Some(operator) = Operator::of(&self.token)
            && operator.binding() >= binding_min
        {
            let at = self.advance()?;
            self.count(at)?;
            let right = self.operation(operator.binding() + 1)?;
            left = build::binary(operator, left, right, at)?;
        }
        Ok(left)
    }

    /// `!` and `-`, as many as there are.
    fn unary(&mut self) -> Result<Part, Refusal> {
        let mut prefixes = Vec::new();
        while let Token::Symbol(symbol @ ("!" | "-")) = self.token {
            let at = self.advance()?;
            self.count(at)?;
            prefixes.push((symbol, at));
        }
        // The sign of a number belongs to it: the least int has no positive one.
        let is_number = matches!(self.token, Token::Int(_) | Token::Double(_));
        let signed = prefixes.pop_if(|(symbol, _)| is_number && *symbol == "-");
        let mut part = self.member(signed.is_some())?;
        for (symbol, at) in prefixes.into_iter().rev() {
            part = build::unary(symbol, part, at)?;
        }
        Ok(part)
    }

    /// Counts a node that stands at a place.
    fn count(&mut self, at: usize) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let refusal = Refusal::new(at, format!("the expression has more than {NODES_MAX} parts"));
        Err(refusal.hint("split it"))
    }

    /// Goes to the next token; where the last one began.
    fn advance(&mut self) -> Result<usize, Refusal> {
        let (token, at) = self.lexer.next()?;
        self.token = token;
        Ok(std::mem::replace(&mut self.at, at))
    }

    /// Goes past a symbol, if it is the next one.
    fn accept(&mut self, symbol: &str) -> Result<bool, Refusal> {
        let is_next = matches!(&self.token, Token::Symbol(next) if *next == symbol);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Refusal> {
        if self.accept(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Refusal {
        let found = match &self.token {
            Token::End => return Refusal::new(self.at, format!("the expression ends where {wanted} is expected")),
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "a number".to_owned(),
            Token::String(_) | Token::Bytes(_) => "a string".to_owned(),
            Token::Name(name) | Token::Quoted(name) => format!("`{name}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
        };
        let refusal = Refusal::new(self.at, format!("{found} stands where {wanted} is expected"));
        match self.token {
            Token::Name("and" | "AND") => refusal.hint("did you mean `&&`?"),
            Token::Name("or" | "OR") => refusal.hint("did you mean `||`?"),
            Token::Name("not" | "NOT") => refusal.hint("did you mean `!`?"),
            _ => refusal,
        }
    }
}

impl Refusal {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Refusal {
        Refusal { at, message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn hint_if(self, hint: Option<String>) -> Refusal {
        Refusal { hint: hint.or(self.hint), ..self }
    }

    pub(crate) fn deep(at: usize) -> Refusal {
        Refusal::new(at, format!("the expression is nested deeper than {DEPTH_MAX}"))
    }
}
