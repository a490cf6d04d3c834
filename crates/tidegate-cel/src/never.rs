//! Whether an expression can be true at all, as far as its form says.

use crate::index;
use crate::tree::Node;
use crate::value::Value;

/// Whether it is never true where these variables have no value: it is constant, asks one path for two values, or fails.
pub(crate) fn never_true(node: &Node, without: &[&str]) -> bool {
    let never = |node: &Node| never_true(node, without);
    match node {
        Node::Constant(value) => !matches!(value, Value::Bool(true)),
        Node::All(parts) => {
            parts.iter().any(never) || index::equalities(node).iter().any(|equality| equality.keys.is_empty())
        }
        Node::Any(parts) => parts.iter().all(never),
        Node::Choose(parts) => fails(&parts[0], without) || (never(&parts[1]) && never(&parts[2])),
        _ => fails(node, without) || index::equalities(node).iter().any(|equality| equality.keys.is_empty()),
    }
}

/// Whether it surely has no value: an operand has none that is always looked at.
fn fails(node: &Node, without: &[&str]) -> bool {
    match node {
        Node::Read(path) | Node::Has(path) => path.is_variable() && without.contains(&path.variable()),
        // One side may decide alone.
        Node::All(parts) | Node::Any(parts) => parts.iter().all(|part| fails(part, without)),
        Node::Choose(parts) => fails(&parts[0], without),
        // What stands in the body of a macro is not looked at if there is nothing to go through.
        Node::Comprehension(inner) => fails(&inner.range, without),
        node => {
            let mut found = false;
            node.children(&mut |child| found |= fails(child, without));
            found
        }
    }
}
