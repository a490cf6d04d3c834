//! Folds constants, and orders the sides of equality: a node whose operands are simple already becomes the
//! simplest that means the same. What fails is left as it is, since a branch that is never taken may fail.

use crate::activation::Nothing;
use crate::canonical;
use crate::evaluate::Evaluation;
use crate::functions::Function;
use crate::index::IndexKey;
use crate::tree::{Comparison, Node, Set};
use crate::value::{List, Value};

/// From this many constants on, membership is looked up; a few strings are compared faster than hashed.
const SET_FROM: usize = 9;

/// The simplest node that means the same.
pub(crate) fn simplify(node: Node) -> Node {
    match node {
        Node::All(parts) => all(parts, true),
        Node::Any(parts) => all(parts, false),
        Node::Choose(parts) => choose(parts),
        Node::In(sides) => member(*sides),
        node if is_constant(&node) => match Evaluation::new(&Nothing).value(&node) {
            Ok(value) => Node::Constant(value.into_owned()),
            Err(_) => node,
        },
        Node::Compare(comparison @ (Comparison::Equal | Comparison::Unequal), mut sides) => {
            if canonical::order(&sides[0], &sides[1]).is_gt() {
                sides.swap(0, 1);
            }
            Node::Compare(comparison, sides)
        }
        node => node,
    }
}

/// Whether everything directly below is constant. `dyn` hides the kind of its argument on purpose, a macro's body is no
/// constant, and what a table has changes.
fn is_constant(node: &Node) -> bool {
    if matches!(
        node,
        Node::Constant(_)
            | Node::Read(_)
            | Node::Has(_)
            | Node::Comprehension(_)
            | Node::Lookup(_)
            | Node::Call(Function::Dyn, _)
    ) {
        return false;
    }
    let mut constant = true;
    node.children(&mut |child| constant &= matches!(child, Node::Constant(_)));
    constant
}

/// `&&`, where `neutral` is true, or `||`.
fn all(parts: Vec<Node>, neutral: bool) -> Node {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Node::Constant(Value::Bool(value)) if value == neutral => {}
            decisive @ Node::Constant(Value::Bool(_)) => return decisive,
            Node::All(inner) if neutral => kept.extend(inner),
            Node::Any(inner) if !neutral => kept.extend(inner),
            part => kept.push(part),
        }
    }
    match kept.pop() {
        None => Node::Constant(Value::Bool(neutral)),
        Some(only) if kept.is_empty() && only.is_boolean() => only,
        Some(last) => {
            kept.push(last);
            if neutral { Node::All(kept) } else { Node::Any(kept) }
        }
    }
}

fn choose(parts: Box<[Node; 3]>) -> Node {
    let Node::Constant(Value::Bool(condition)) = parts[0] else { return Node::Choose(parts) };
    let [_, then, otherwise] = *parts;
    if condition { then } else { otherwise }
}

fn member([member, of]: [Node; 2]) -> Node {
    if let Node::Constant(Value::List(List::Values(list))) = &of
        && list.len() >= SET_FROM
        && !matches!(member, Node::Constant(_))
    {
        let keys = list.iter().map(|value| IndexKey::of(value.clone())).collect::<Option<_>>();
        if let (Some(keys), Node::Constant(list)) = (keys, &of) {
            return Node::InSet(Box::new(member), Set { list: list.clone(), keys });
        }
    }
    let node = Node::In(Box::new([member, of]));
    if is_constant(&node)
        && let Ok(value) = Evaluation::new(&Nothing).value(&node)
    {
        return Node::Constant(value.into_owned());
    }
    node
}
