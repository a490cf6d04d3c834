//! What an expression may be and may cost, each with its reason. No expression can stall or crash
//! the process: parsing is linear in a short source, evaluation is bounded by steps and bytes.

/// The longest source, and the longest normal form; a filter stands in a URL, which has about as much.
pub const SOURCE_BYTES_MAX: usize = 4096;

/// Literals, names, operators and calls together.
pub const NODES_MAX: usize = 256;

/// The tree is walked recursively: a level costs a few hundred bytes of stack. Chains of `&&`, of
/// `||` and of fields are one level, whatever their length.
pub const DEPTH_MAX: usize = 32;

/// Parentheses, calls and branches that are open at once while parsing: those of the deepest tree,
/// a constant written as a call in its leaf, and the expression itself.
pub(crate) const NESTING_MAX: usize = DEPTH_MAX + 4;

/// A macro inside the body of a macro: two nested loops over an event's lists are what `STEPS_MAX`
/// can bound and people can read.
pub const COMPREHENSIONS_NESTED_MAX: usize = 2;

/// Steps of one evaluation: a node is one, and so are 64 bytes that are searched, 1 KiB that is
/// compared, 128 states times bytes of a pattern. All of them take a third of a millisecond at the worst,
/// or five milliseconds for a pattern with a text that was made for it.
pub const STEPS_MAX: u32 = 10_000;

/// Bytes of strings and lists that one evaluation makes.
pub const PRODUCED_BYTES_MAX: usize = 64 << 10;

/// The longest pattern of `matches()`.
pub const PATTERN_SOURCE_BYTES_MAX: usize = 512;

/// States of the automaton of a pattern; `\w` alone has some hundreds.
pub const PATTERN_STATES_MAX: usize = 2048;

/// Heap of that automaton while it is compiled, so that `(a{999}){999}` is refused at once.
pub(crate) const PATTERN_BYTES_MAX: usize = 64 << 10;

/// Variables of one set.
pub const VARIABLES_MAX: usize = 64;
