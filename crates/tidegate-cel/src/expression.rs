//! An expression that was parsed, checked and compiled.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::activation::Activation;
use crate::error::{CelError, Failure};
use crate::evaluate::Evaluation;
use crate::index::{self, Equality};
use crate::kind::{Kind, Kinds};
use crate::lookup::{self, LookedUp};
use crate::parser;
use crate::path::FieldPath;
use crate::simplify::simplify;
use crate::tree::Node;
use crate::value::Value;
use crate::variables::Variables;
use crate::{canonical, fold, limits, never, reads};

/// A compiled expression: cheap to clone, and equal to every other one with the same normal form.
///
/// Two expressions that were parsed with different [`Variables`] are not to be mixed.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    root: Node,
    /// The root can only be a bool, or fail.
    is_boolean: bool,
    kinds: Kinds,
    canonical: String,
    equalities: Vec<Equality>,
    reads: Vec<FieldPath>,
    lookups: Vec<LookedUp>,
}

impl Expression {
    /// Parses, checks and compiles a source.
    ///
    /// # Errors
    /// It is no CEL, it speaks of what is not there, its kinds cannot fit, it asks for what this subset
    /// does not have, or it is over one of the [limits].
    pub fn parse(source: &str, variables: &Variables) -> Result<Expression, CelError> {
        let (root, kinds) = parser::parse(source, variables)?;
        let expression = Expression::compile(root, kinds);
        if expression.canonical().len() > limits::SOURCE_BYTES_MAX {
            return Err(parser::too_long());
        }
        Ok(expression)
    }

    /// Parses a condition: an expression that may be true.
    ///
    /// # Errors
    /// Those of [`parse`](Expression::parse), and that it can never be a bool.
    pub fn condition(source: &str, variables: &Variables) -> Result<Expression, CelError> {
        let expression = Expression::parse(source, variables)?;
        if expression.0.kinds.has(Kind::Bool) {
            return Ok(expression);
        }
        Err(CelError {
            message: format!("a condition is true or false, and this is {}", expression.0.kinds),
            column: 1,
            hint: Some("compare it with something, such as `data.price > 100.0`".to_owned()),
        })
    }

    /// Whether it is true of what the activation has.
    ///
    /// # Errors
    /// It is neither true nor false of it.
    #[inline]
    pub fn matches(&self, activation: &dyn Activation) -> Result<bool, Failure> {
        if self.0.is_boolean {
            return Evaluation::new(activation).truth(&self.0.root);
        }
        match self.evaluate(activation)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::NotBool),
        }
    }

    /// Its value.
    ///
    /// # Errors
    /// It has none, or a limit was reached.
    pub fn evaluate<'e>(&'e self, activation: &'e dyn Activation) -> Result<Value<'e>, Failure> {
        Evaluation::new(activation).value(&self.0.root)
    }

    /// What its value can be.
    pub fn kinds(&self) -> Kinds {
        self.0.kinds
    }

    /// Its normal form, by which it is told apart; it is CEL, and parses to an equal expression (after
    /// [`fold`](Expression::fold) it may be longer than what is parsed).
    pub fn canonical(&self) -> &str {
        &self.0.canonical
    }

    /// Where it can be looked up: it is true only where each of these paths has one of its keys. Those
    /// with the fewest keys come first; there are none for most expressions.
    pub fn equalities(&self) -> &[Equality] {
        &self.0.equalities
    }

    /// Whether it looks at a variable.
    pub fn reads(&self, variable: &str) -> bool {
        self.paths(variable).next().is_some()
    }

    /// What it looks at in a variable: the topmost paths, the variable itself if it is read whole.
    pub fn paths(&self, variable: &str) -> impl Iterator<Item = &FieldPath> {
        self.0.reads.iter().filter(move |path| path.variable() == variable)
    }

    /// What remains of it when the variables are known that the activation has: those are looked up
    /// now, and the rest must be evaluated without them. It has the same result as the whole.
    #[must_use]
    pub fn fold(&self, known: &dyn Activation) -> Expression {
        let root = fold::fold(&self.0.root, known);
        let kinds = if let Node::Constant(value) = &root { value.kind().into() } else { self.0.kinds };
        Expression::compile(root, kinds)
    }

    /// This condition and another one, of the same variables. The normal form may be longer than what is parsed.
    #[must_use]
    pub fn and(&self, other: &Expression) -> Expression {
        let root = simplify(Node::All(vec![self.0.root.clone(), other.0.root.clone()]));
        Expression::compile(root, Kind::Bool.into())
    }

    /// Whether it is true of nothing where these variables have no value, as far as its form says: it is constant, asks one
    /// path for two values, or needs what is not there.
    pub fn is_never_true(&self, without: &[&str]) -> bool {
        never::never_true(&self.0.root, without)
    }

    /// What it looks up, each lookup as it stands.
    pub fn lookups(&self) -> &[LookedUp] {
        &self.0.lookups
    }

    /// The value, if it is the same whatever the variables are.
    pub fn constant(&self) -> Option<&Value<'static>> {
        if let Node::Constant(value) = &self.0.root { Some(value) } else { None }
    }

    fn compile(root: Node, kinds: Kinds) -> Expression {
        let canonical = canonical::print(&root);
        let (equalities, reads) = (index::equalities(&root), reads::reads(&root));
        let (lookups, is_boolean) = (lookup::lookups(&root), root.is_boolean());
        Expression(Arc::new(Compiled { is_boolean, root, kinds, canonical, equalities, reads, lookups }))
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.canonical() == other.canonical()
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical().hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.canonical())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.canonical())
    }
}
