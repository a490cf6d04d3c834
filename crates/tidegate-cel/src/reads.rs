//! What an expression looks at.

use crate::path::FieldPath;
use crate::tree::Node;

/// All paths into variables that a tree reads, each once, without those below another one.
pub(crate) fn reads(root: &Node) -> Vec<FieldPath> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<FieldPath>) {
    if let Node::Read(path) | Node::Has(path) = node
        && path.is_variable()
        && !found.iter().any(|other| other.covers(path))
    {
        found.retain(|other| !path.covers(other));
        found.push(path.clone());
    }
    node.children(&mut |child| collect(child, found));
}
