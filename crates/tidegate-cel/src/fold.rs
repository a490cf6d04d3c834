//! Partial evaluation: what is known becomes constant, and what remains is a smaller expression.

use crate::activation::Activation;
use crate::simplify::simplify;
use crate::tree::{Comprehension, Lookup, Node};
use crate::value::Value;

/// The tree without the variables that `known` has. A path that leads nowhere in a known variable
/// stays, and fails wherever the rest is evaluated without that variable, as it would have here.
pub(crate) fn fold(node: &Node, known: &dyn Activation) -> Node {
    let one = |node: &Node| Box::new(fold(node, known));
    let two = |sides: &[Node; 2]| Box::new([fold(&sides[0], known), fold(&sides[1], known)]);
    let many = |list: &[Node]| list.iter().map(|node| fold(node, known)).collect();
    simplify(match node {
        Node::Constant(_) => return node.clone(),
        Node::Read(path) => match path.value(known) {
            Ok(value) => Node::Constant(value.into_owned()),
            Err(_) => node.clone(),
        },
        Node::Has(path) => match path.is_there(known) {
            Ok(there) => Node::Constant(Value::Bool(there)),
            Err(_) => node.clone(),
        },
        Node::Select(subject, name) => Node::Select(one(subject), name.clone()),
        Node::HasSelected(subject, name) => Node::HasSelected(one(subject), name.clone()),
        Node::Index(sides) => Node::Index(two(sides)),
        Node::Not(inner) => Node::Not(one(inner)),
        Node::Negate(inner) => Node::Negate(one(inner)),
        Node::Arithmetic(operator, sides) => Node::Arithmetic(*operator, two(sides)),
        Node::Compare(comparison, sides) => Node::Compare(*comparison, two(sides)),
        Node::In(sides) => Node::In(two(sides)),
        Node::InSet(member, set) => Node::In(Box::new([fold(member, known), Node::Constant(set.list.clone())])),
        Node::All(parts) => Node::All(many(parts)),
        Node::Any(parts) => Node::Any(many(parts)),
        Node::Choose(parts) => {
            Node::Choose(Box::new([fold(&parts[0], known), fold(&parts[1], known), fold(&parts[2], known)]))
        }
        Node::Call(function, arguments) => Node::Call(*function, many(arguments)),
        Node::Matches(subject, pattern) => Node::Matches(one(subject), pattern.clone()),
        Node::List(list) => Node::List(many(list)),
        Node::Map(pairs) => {
            Node::Map(pairs.iter().map(|(key, value)| (fold(key, known), fold(value, known))).collect())
        }
        Node::Lookup(lookup) => {
            let Lookup { table, key, .. } = &**lookup;
            let key: Vec<Node> = many(key);
            let parts: Option<Vec<Value<'_>>> = key.iter().map(constant).collect();
            match parts.and_then(|parts| known.lookup(table, &parts)) {
                Some(found) => Node::Constant(Value::Bool(found)),
                None => Node::Lookup(Box::new(Lookup { table: table.clone(), key, ..**lookup })),
            }
        }
        Node::Comprehension(inner) => Node::Comprehension(Box::new(Comprehension {
            name: inner.name,
            range: fold(&inner.range, known),
            level: inner.level,
            variable: inner.variable.clone(),
            condition: inner.condition.as_ref().map(|condition| fold(condition, known)),
            body: fold(&inner.body, known),
        })),
    })
}

fn constant(node: &Node) -> Option<Value<'_>> {
    if let Node::Constant(value) = node { Some(value.borrowed()) } else { None }
}
