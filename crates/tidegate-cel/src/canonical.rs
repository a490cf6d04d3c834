//! The normal form of an expression: CEL again, without white space that means nothing, with as few
//! parentheses as there can be, constants folded, the sides of `==` and `!=` in one order. Equal trees
//! print equally, and what is printed is parsed to an equal tree.
//!
//! `&&` and `||` keep the order of the source: their value does not depend on it, but what a limit
//! ends does, and what an evaluation costs.

use std::cmp::Ordering;
use std::fmt::Write;

use crate::functions::Style;
use crate::path::{FieldPath, Segment};
use crate::tree::{Arithmetic, Node};
use crate::value::{List, Map, Value};

/// How tightly an operator binds its operands.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Choice,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Member,
}

/// The text of a tree.
pub(crate) fn print(root: &Node) -> String {
    let mut out = String::new();
    node(root, Binding::Choice, &mut out);
    out
}

/// The text of a path.
pub(crate) fn path(path: &FieldPath) -> String {
    let mut out = path.variable().to_owned();
    for segment in &path.segments {
        match segment {
            Segment::Field(name) => field(name, &mut out),
            Segment::Index(at) => push(&mut out, format_args!("[{at}]")),
        }
    }
    out
}

/// Which of two operands stands first where the operator does not care: constants are last, as people
/// write them, and what would need parentheses on the right is on the left.
pub(crate) fn order(one: &Node, other: &Node) -> Ordering {
    let rank = |node: &Node| match node {
        Node::Constant(_) => 2,
        node => u8::from(binding(node) != Binding::Relation),
    };
    rank(one).cmp(&rank(other)).then_with(|| print(one).cmp(&print(other)))
}

/// Writes a node where at least `least` is wanted, in parentheses if it binds less.
fn node(node: &Node, least: Binding, out: &mut String) {
    let own = binding(node);
    if own < least {
        out.push('(');
        bare(node, own, out);
        out.push(')');
    } else {
        bare(node, own, out);
    }
}

fn binding(node: &Node) -> Binding {
    match node {
        Node::Choose(_) => Binding::Choice,
        Node::Any(_) => Binding::Or,
        Node::All(_) => Binding::And,
        Node::Compare(..) | Node::In(_) | Node::InSet(..) => Binding::Relation,
        Node::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, _) => Binding::Sum,
        Node::Arithmetic(..) => Binding::Product,
        Node::Not(_) | Node::Negate(_) => Binding::Unary,
        Node::Constant(Value::Int(value)) if *value < 0 => Binding::Unary,
        Node::Constant(Value::Double(value)) if value.is_finite() && value.is_sign_negative() => Binding::Unary,
        _ => Binding::Member,
    }
}

fn bare(this: &Node, own: Binding, out: &mut String) {
    match this {
        Node::Constant(value) => constant(value, out),
        Node::Read(read) => out.push_str(&path(read)),
        Node::Has(read) => push(out, format_args!("has({})", path(read))),
        Node::Select(subject, name) => {
            node(subject, Binding::Member, out);
            field(name, out);
        }
        Node::HasSelected(subject, name) => {
            out.push_str("has(");
            node(subject, Binding::Member, out);
            field(name, out);
            out.push(')');
        }
        Node::Index(sides) => {
            node(&sides[0], Binding::Member, out);
            out.push('[');
            node(&sides[1], Binding::Choice, out);
            out.push(']');
        }
        Node::Not(inner) => {
            out.push('!');
            node(inner, Binding::Unary, out);
        }
        Node::Negate(inner) => {
            out.push('-');
            node(inner, Binding::Unary, out);
        }
        Node::Arithmetic(operator, sides) => binary(sides, operator.symbol(), own, out),
        Node::Compare(comparison, sides) => binary(sides, comparison.symbol(), own, out),
        Node::In(sides) => binary(sides, " in ", own, out),
        Node::InSet(member, set) => {
            node(member, own, out);
            out.push_str(" in ");
            constant(&set.list, out);
        }
        Node::All(parts) => chain(parts, "&&", "true", Binding::Relation, out),
        Node::Any(parts) => chain(parts, "||", "false", Binding::And, out),
        Node::Choose(parts) => {
            node(&parts[0], Binding::Or, out);
            out.push('?');
            node(&parts[1], Binding::Or, out);
            out.push(':');
            node(&parts[2], Binding::Choice, out);
        }
        Node::Call(function, arguments) => {
            let signature = function.signature();
            call(signature.name, signature.style == Style::Member, arguments, out);
        }
        Node::Matches(subject, pattern) => {
            node(subject, Binding::Member, out);
            out.push_str(".matches(");
            string(pattern.source(), out);
            out.push(')');
        }
        Node::List(list) => {
            out.push('[');
            separated(list, out);
            out.push(']');
        }
        Node::Map(pairs) => {
            out.push('{');
            for (at, (key, value)) in pairs.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                node(key, Binding::Choice, out);
                out.push(':');
                node(value, Binding::Choice, out);
            }
            out.push('}');
        }
        Node::Lookup(lookup) => {
            out.push_str("exists(");
            string(&lookup.table, out);
            out.push_str(if lookup.composite { ",[" } else { "," });
            separated(&lookup.key, out);
            out.push_str(if lookup.composite { "])" } else { ")" });
        }
        Node::Comprehension(inner) => {
            node(&inner.range, Binding::Member, out);
            push(out, format_args!(".{}({}", inner.name.name(), inner.variable));
            for part in inner.condition.iter().chain([&inner.body]) {
                out.push(',');
                node(part, Binding::Choice, out);
            }
            out.push(')');
        }
    }
}

fn binary(sides: &[Node; 2], symbol: &str, own: Binding, out: &mut String) {
    node(&sides[0], own, out);
    out.push_str(symbol);
    // Operators bind from the left: on the right side an equal one needs parentheses.
    node(&sides[1], tighter(own), out);
}

fn tighter(binding: Binding) -> Binding {
    match binding {
        Binding::Relation => Binding::Sum,
        Binding::Sum => Binding::Product,
        _ => Binding::Unary,
    }
}

/// `neutral` stands beside a part that is alone since it may be no bool.
fn chain(parts: &[Node], symbol: &str, neutral: &str, least: Binding, out: &mut String) {
    if let [_] = parts {
        out.push_str(neutral);
        out.push_str(symbol);
    }
    for (at, part) in parts.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { symbol });
        node(part, least, out);
    }
}

fn call(name: &str, member: bool, arguments: &[Node], out: &mut String) {
    let rest = match arguments.split_first() {
        Some((subject, rest)) if member => {
            node(subject, Binding::Member, out);
            out.push('.');
            rest
        }
        _ => arguments,
    };
    push(out, format_args!("{name}("));
    separated(rest, out);
    out.push(')');
}

fn separated(list: &[Node], out: &mut String) {
    for (at, one) in list.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        node(one, Binding::Choice, out);
    }
}

fn constant(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => push(out, format_args!("{value}")),
        Value::Int(value) => push(out, format_args!("{value}")),
        Value::Uint(value) => push(out, format_args!("{value}u")),
        Value::Double(value) => double(*value, out),
        Value::String(text) => string(text, out),
        Value::Bytes(value) => bytes(value, out),
        Value::Timestamp(at) => push(out, format_args!("timestamp(\"{at}\")")),
        Value::Duration(length) => push(out, format_args!("duration(\"{length}\")")),
        Value::List(list) => values(list, out),
        Value::Map(map) => pairs(map, out),
    }
}

fn values(list: &List<'_>, out: &mut String) {
    out.push('[');
    for (at, value) in list.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        constant(&value, out);
    }
    out.push(']');
}

fn pairs(map: &Map<'_>, out: &mut String) {
    out.push('{');
    for (at, (key, value)) in map.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        constant(&key, out);
        out.push(':');
        constant(&value, out);
    }
    out.push('}');
}

fn double(value: f64, out: &mut String) {
    if !value.is_finite() {
        return push(out, format_args!("double(\"{value}\")"));
    }
    let (plain, exponential) = (format!("{value:?}"), format!("{value:e}"));
    out.push_str(if exponential.len() < plain.len() { &exponential } else { &plain });
}

/// Escaped like this, no character of a terminal's control sequences is printed.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        escaped(character, out);
    }
    out.push('"');
}

fn bytes(bytes: &[u8], out: &mut String) {
    out.push_str("b\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escaped(character, out);
        }
        for byte in chunk.invalid() {
            push(out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push('"');
}

fn escaped(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..' ' | '\x7f' => push(out, format_args!("\\x{:02x}", u32::from(character))),
        _ => out.push(character),
    }
}

fn field(name: &str, out: &mut String) {
    if is_selector(name) {
        push(out, format_args!(".{name}"));
    } else {
        out.push('[');
        string(name, out);
        out.push(']');
    }
}

/// Whether a name can stand behind a dot.
pub(crate) fn is_selector(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && rest && !matches!(name, "in" | "true" | "false" | "null")
}

/// Writing to a string does not fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
