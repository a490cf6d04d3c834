//! Makes nodes of parts: refuses kinds that cannot fit, folds constants, measures the depth.

mod check;

use tidegate_core::suggest;

use crate::functions::Function;
use crate::kind::{Kind, Kinds};
use crate::lexer::Token;
use crate::limits::DEPTH_MAX;
use crate::parser::Refusal;
use crate::path::{FieldPath, Root, Segment};
use crate::pattern::Pattern;
use crate::simplify::simplify;
use crate::tree::{Arithmetic, Comparison, Comprehension, Lookup, Macro, Node, constant_depth};
use crate::value::Value;
use crate::variables::Variables;

/// What a part of a key can be.
const KEYED: Kinds = Kinds::of(Kind::String).or(Kinds::NUMBERS);

/// A node, and what is known of it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) node: Node,
    pub(crate) kinds: Kinds,
    depth: usize,
    /// The byte of the source where it begins.
    at: usize,
    /// The last thing that was asked of it was a field.
    is_field: bool,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operator {
    Or,
    And,
    In,
    Compare(Comparison),
    Arithmetic(Arithmetic),
}

/// A macro and its arguments.
pub(crate) struct Loop<'s> {
    pub(crate) name: Macro,
    pub(crate) range: Part,
    pub(crate) level: usize,
    pub(crate) variable: &'s str,
    pub(crate) first: Part,
    /// Of `map` with a condition, which is the first.
    pub(crate) second: Option<Part>,
}

impl Operator {
    /// The binding of those that bind least.
    pub(crate) const BINDING_MIN: u8 = 1;

    /// The operator that a token is.
    pub(crate) fn of(token: &Token<'_>) -> Option<Operator> {
        Some(match token {
            Token::Name("in") => Operator::In,
            Token::Symbol(symbol) => match *symbol {
                "||" => Operator::Or,
                "&&" => Operator::And,
                "==" => Operator::Compare(Comparison::Equal),
                "!=" => Operator::Compare(Comparison::Unequal),
                "<" => Operator::Compare(Comparison::Less),
                "<=" => Operator::Compare(Comparison::LessOrEqual),
                ">" => Operator::Compare(Comparison::Greater),
                ">=" => Operator::Compare(Comparison::GreaterOrEqual),
                "+" => Operator::Arithmetic(Arithmetic::Add),
                "-" => Operator::Arithmetic(Arithmetic::Subtract),
                "*" => Operator::Arithmetic(Arithmetic::Multiply),
                "/" => Operator::Arithmetic(Arithmetic::Divide),
                "%" => Operator::Arithmetic(Arithmetic::Remainder),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// How tightly it binds its operands.
    pub(crate) fn binding(self) -> u8 {
        match self {
            Operator::Or => Self::BINDING_MIN,
            Operator::And => 2,
            Operator::In | Operator::Compare(_) => 3,
            Operator::Arithmetic(Arithmetic::Add | Arithmetic::Subtract) => 4,
            Operator::Arithmetic(_) => 5,
        }
    }
}

impl Part {
    pub(crate) fn constant(value: Value<'static>, at: usize) -> Part {
        Part { kinds: value.kind().into(), node: Node::Constant(value), depth: 1, at, is_field: false }
    }

    /// The same, beginning where its first operand does.
    fn from(self, first: usize) -> Part {
        Part { at: first, ..self }
    }

    /// A node above others, of which the deepest has that depth; `at` is where it is named.
    fn above(depth_below: usize, node: Node, kinds: Kinds, at: usize) -> Result<Part, Refusal> {
        let node = simplify(node);
        let (kinds, depth) = match &node {
            Node::Constant(value) => (value.kind().into(), constant_depth(value)),
            _ => (kinds, depth_below + 1),
        };
        if depth > DEPTH_MAX { Err(Refusal::deep(at)) } else { Ok(Part { node, kinds, depth, at, is_field: false }) }
    }
}

/// A variable that was declared.
pub(crate) fn variable(name: &str, variables: &Variables, locals: &[&str], at: usize) -> Result<Part, Refusal> {
    if let Some((slot, kinds)) = variables.slot(name).and_then(|slot| Some((slot, variables.get(slot)?.kinds))) {
        return Ok(read(Root::Variable { slot, name: name.into() }, kinds, at));
    }
    let near = suggest::nearest(name, variables.names().chain(locals.iter().copied()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", variables.names().collect::<Vec<_>>().join(", ")),
    };
    Err(Refusal::new(at, format!("there is no variable `{name}`")).hint(hint))
}

/// The variable of a macro.
pub(crate) fn local(name: &str, level: usize, at: usize) -> Part {
    read(Root::Local { level, name: name.into() }, Kinds::ANY, at)
}

fn read(root: Root, kinds: Kinds, at: usize) -> Part {
    Part { node: Node::Read(FieldPath { root, segments: Vec::new() }), kinds, depth: 1, at, is_field: false }
}

/// `part.name`, or `part["name"]`.
pub(crate) fn field(part: Part, name: &str, at: usize, variables: &Variables) -> Result<Part, Refusal> {
    if !part.kinds.has(Kind::Map) {
        return Err(Refusal::new(at, format!("{} has no fields", part.kinds)));
    }
    match part.node {
        Node::Read(mut path) => {
            let mut kinds = Kinds::ANY;
            if let Root::Variable { slot, .. } = path.root
                && path.segments.is_empty()
                && let Some(variable) = variables.get(slot)
            {
                kinds = variable.field(name).map_err(|near| {
                    let hint = near.map(|near| format!("did you mean `{near}`?"));
                    Refusal::new(at, format!("`{}` has no field `{name}`", variable.name)).hint_if(hint)
                })?;
            }
            path.segments.push(Segment::Field(name.into()));
            Ok(Part { node: Node::Read(path), kinds, depth: 1, at: part.at, is_field: true })
        }
        node => {
            let node = Node::Select(Box::new(node), name.into());
            Ok(Part { is_field: true, ..Part::above(part.depth, node, Kinds::ANY, at)?.from(part.at) })
        }
    }
}

/// `part[index]`.
pub(crate) fn index(part: Part, index: Part, at: usize, variables: &Variables) -> Result<Part, Refusal> {
    if part.kinds.and(check::INDEXED).is_none() {
        return Err(Refusal::new(at, format!("{} has no elements", part.kinds)));
    }
    match (part.node, index.node) {
        (node @ Node::Read(_), Node::Constant(Value::String(name))) if part.kinds.has(Kind::Map) => {
            field(Part { node, ..part }, &name, at, variables)
        }
        (Node::Read(mut path), Node::Constant(Value::Int(place))) => {
            path.segments.push(Segment::Index(place));
            Ok(Part { node: Node::Read(path), kinds: Kinds::ANY, depth: 1, at: part.at, is_field: false })
        }
        (subject, place) => {
            let depth = part.depth.max(index.depth);
            Ok(Part::above(depth, Node::Index(Box::new([subject, place])), Kinds::ANY, at)?.from(part.at))
        }
    }
}

/// `has(part)`.
pub(crate) fn has(part: Part, at: usize) -> Result<Part, Refusal> {
    let (depth, node) = match part.node {
        Node::Read(path) if matches!(path.segments.last(), Some(Segment::Field(_))) => (0, Node::Has(path)),
        Node::Select(subject, name) => (part.depth - 1, Node::HasSelected(subject, name)),
        // It was there, or it would not be folded.
        Node::Constant(_) if part.is_field => (0, Node::Constant(Value::Bool(true))),
        _ => return Err(Refusal::new(at, "`has` takes a field, such as `has(data.price)`")),
    };
    Part::above(depth, node, Kind::Bool.into(), at)
}

/// `!part` or `-part`.
pub(crate) fn unary(symbol: &str, part: Part, at: usize) -> Result<Part, Refusal> {
    let (kinds, node): (Kinds, fn(Box<Node>) -> Node) = match symbol {
        "!" => (Kind::Bool.into(), Node::Not),
        _ => (Kinds::of(Kind::Int).or(Kind::Double.into()), Node::Negate),
    };
    let kinds = part.kinds.and(kinds);
    if kinds.is_none() {
        return Err(Refusal::new(at, format!("`{symbol}` does not take {}", part.kinds)));
    }
    Part::above(part.depth, node(Box::new(part.node)), kinds, at)
}

/// `left operator right`.
pub(crate) fn binary(operator: Operator, left: Part, right: Part, at: usize) -> Result<Part, Refusal> {
    let kinds = check::binary(operator, &left, &right, at)?;
    let first = left.at;
    let mut depth = left.depth.max(right.depth);
    let node = match operator {
        Operator::Or | Operator::And => {
            // A chain is one node: what is taken into it is as deep as before.
            let is_or = matches!(operator, Operator::Or);
            let own = |part: &Part| match part.node {
                Node::Any(_) if is_or => part.depth - 1,
                Node::All(_) if !is_or => part.depth - 1,
                _ => part.depth,
            };
            depth = own(&left).max(own(&right));
            let parts = vec![left.node, right.node];
            if is_or { Node::Any(parts) } else { Node::All(parts) }
        }
        Operator::In => Node::In(Box::new([left.node, right.node])),
        Operator::Compare(comparison) => Node::Compare(comparison, Box::new([left.node, right.node])),
        Operator::Arithmetic(arithmetic) => Node::Arithmetic(arithmetic, Box::new([left.node, right.node])),
    };
    let part = Part::above(depth, node, kinds, at)?.from(first);
    // One side that is left of a chain is as deep as it was.
    Ok(match part.node {
        Node::All(_) | Node::Any(_) | Node::Constant(_) => part,
        _ if matches!(operator, Operator::Or | Operator::And) => Part { depth: part.depth - 1, ..part },
        _ => part,
    })
}

/// `condition ? then : otherwise`.
pub(crate) fn choose(condition: Part, then: Part, otherwise: Part, at: usize) -> Result<Part, Refusal> {
    check::condition(&condition, "?", at)?;
    match condition.node {
        Node::Constant(Value::Bool(true)) => return Ok(then),
        Node::Constant(Value::Bool(false)) => return Ok(otherwise),
        _ => {}
    }
    let depth = condition.depth.max(then.depth).max(otherwise.depth);
    let kinds = then.kinds.or(otherwise.kinds);
    let node = Node::Choose(Box::new([condition.node, then.node, otherwise.node]));
    Ok(Part::above(depth, node, kinds, at)?.from(condition.at))
}

/// `[a, b]`.
pub(crate) fn list(parts: Vec<Part>, at: usize) -> Result<Part, Refusal> {
    let depth = deepest(&parts);
    Part::above(depth, Node::List(parts.into_iter().map(|part| part.node).collect()), Kind::List.into(), at)
}

/// `{a: b}`.
pub(crate) fn map(parts: Vec<(Part, Part)>, at: usize) -> Result<Part, Refusal> {
    let depth = parts.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0);
    for (key, _) in &parts {
        check::key(key)?;
    }
    let pairs = parts.into_iter().map(|(key, value)| (key.node, value.node)).collect();
    Part::above(depth, Node::Map(pairs), Kind::Map.into(), at)
}

/// `function(parts)`, or a method of the first.
pub(crate) fn call(function: Function, parts: Vec<Part>, at: usize) -> Result<Part, Refusal> {
    let kinds = check::call(function, &parts, at)?;
    let depth = deepest(&parts);
    // Of a method that is what it is called on.
    let first = parts.first().map_or(at, |part| part.at.min(at));
    if function == Function::Matches {
        return matches(parts, depth, at);
    }
    let node = Node::Call(function, parts.into_iter().map(|part| part.node).collect());
    Ok(Part::above(depth, node, kinds, at)?.from(first))
}

/// A macro.
pub(crate) fn comprehension(parts: Loop<'_>, at: usize) -> Result<Part, Refusal> {
    let Loop { name, range, level, variable, first, second } = parts;
    check::range(&range, name, at)?;
    let depth = range.depth.max(first.depth).max(second.as_ref().map_or(0, |second| second.depth));
    if name != Macro::Map || second.is_some() {
        check::condition(&first, name.name(), at)?;
    }
    let kinds = if name.is_boolean() { Kind::Bool } else { Kind::List };
    let begin = range.at;
    let (condition, body) = match second {
        Some(second) => (Some(first.node), second.node),
        None => (None, first.node),
    };
    let comprehension = Comprehension { name, range: range.node, level, variable: variable.into(), condition, body };
    Ok(Part::above(depth, Node::Comprehension(Box::new(comprehension)), kinds.into(), at)?.from(begin))
}

/// `exists("table", key)`.
pub(crate) fn lookup(parts: Vec<Part>, at: usize) -> Result<Part, Refusal> {
    const HINT: &str = "write `exists(\"members\", [data.room, claims.sub])`: a channel, and the parts of a key of it";
    let depth = deepest(&parts);
    let Ok([table, key]) = <[Part; 2]>::try_from(parts) else {
        return Err(Refusal::new(at, "`exists` takes a channel and a key").hint(HINT));
    };
    let Node::Constant(Value::String(name)) = table.node else {
        return Err(Refusal::new(table.at, "the channel of `exists` is named as it is, as a string").hint(HINT));
    };
    let (composite, parts) = match key.node {
        Node::List(parts) => (true, parts),
        Node::Constant(Value::List(list)) => {
            (true, list.iter().map(|part| Node::Constant(part.into_owned())).collect())
        }
        part => (false, vec![part]),
    };
    if parts.is_empty() || (!composite && key.kinds.and(KEYED).is_none()) {
        return Err(Refusal::new(key.at, "the key of `exists` is a string, a number, or a list of these").hint(HINT));
    }
    let lookup = Lookup { table: (&*name).into(), key: parts, composite, at: table.at };
    Part::above(depth, Node::Lookup(Box::new(lookup)), Kind::Bool.into(), at)
}

fn matches(parts: Vec<Part>, depth: usize, at: usize) -> Result<Part, Refusal> {
    let Ok([subject, pattern]) = <[Part; 2]>::try_from(parts) else {
        return Err(Refusal::new(at, "`matches` takes one pattern"));
    };
    let Node::Constant(Value::String(source)) = pattern.node else {
        return Err(Refusal::new(pattern.at, "the pattern of `matches` is a constant"));
    };
    let compiled = Pattern::new(&source)
        .map_err(|reason| Refusal::new(pattern.at, format!("the pattern of `matches` is none: {reason}")))?;
    Part::above(depth, Node::Matches(Box::new(subject.node), compiled), Kind::Bool.into(), at)
}

fn deepest(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}
