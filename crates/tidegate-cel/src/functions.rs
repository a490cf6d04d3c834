//! The functions of the subset: their names, how they are called, what they take and give.

use crate::kind::{Kind, Kinds};
use crate::moment::Field;

/// A function; `matches` has a node of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Bool,
    Bytes,
    Double,
    Duration,
    Dyn,
    Int,
    String,
    Timestamp,
    Uint,
    Part(Field),
}

/// How a function is called. The first argument is what it is called on, where it is.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) style: Style,
    pub(crate) takes: &'static [Kinds],
    /// How many of the last arguments may be left out.
    pub(crate) optional: usize,
    pub(crate) result: Kinds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `f(x)`.
    Global,
    /// `x.f()`.
    Member,
    /// Both.
    Either,
}

const STRING: Kinds = Kinds::of(Kind::String);
const BOOL: Kinds = Kinds::of(Kind::Bool);
const INT: Kinds = Kinds::of(Kind::Int);
const BYTES: Kinds = Kinds::of(Kind::Bytes);
const TIMESTAMP: Kinds = Kinds::of(Kind::Timestamp);
const DURATION: Kinds = Kinds::of(Kind::Duration);
const READ: Kinds = STRING.or(Kinds::NUMBERS);

// What functions take.
const ONE_STRING: &[Kinds] = &[STRING];
const TWO_STRINGS: &[Kinds] = &[STRING, STRING];
const SIZED: &[Kinds] = &[STRING.or(BYTES).or(Kinds::of(Kind::List)).or(Kinds::of(Kind::Map))];
const ANYTHING: &[Kinds] = &[Kinds::ANY];
const TO_BOOL: &[Kinds] = &[BOOL.or(STRING)];
const TO_BYTES: &[Kinds] = &[BYTES.or(STRING)];
const TO_INT: &[Kinds] = &[READ.or(TIMESTAMP)];
const TO_NUMBER: &[Kinds] = &[READ];
const TO_STRING: &[Kinds] = &[READ.or(BOOL).or(BYTES).or(TIMESTAMP).or(DURATION)];
const TO_TIMESTAMP: &[Kinds] = &[STRING.or(INT).or(TIMESTAMP)];
const TO_DURATION: &[Kinds] = &[STRING.or(DURATION)];
const DATED: &[Kinds] = &[TIMESTAMP, STRING];
const TIMED: &[Kinds] = &[TIMESTAMP.or(DURATION), STRING];

const ALL: [Function; 26] = [
    Function::Size,
    Function::Contains,
    Function::StartsWith,
    Function::EndsWith,
    Function::Matches,
    Function::LowerAscii,
    Function::UpperAscii,
    Function::Bool,
    Function::Bytes,
    Function::Double,
    Function::Duration,
    Function::Dyn,
    Function::Int,
    Function::String,
    Function::Timestamp,
    Function::Uint,
    Function::Part(Field::FullYear),
    Function::Part(Field::Month),
    Function::Part(Field::Date),
    Function::Part(Field::DayOfMonth),
    Function::Part(Field::DayOfWeek),
    Function::Part(Field::DayOfYear),
    Function::Part(Field::Hours),
    Function::Part(Field::Minutes),
    Function::Part(Field::Seconds),
    Function::Part(Field::Milliseconds),
];

/// What CEL or its extensions have and this subset does not: told apart from a slip of the finger.
const ELSEWHERE: [&str; 30] = [
    "base64",
    "cel",
    "charAt",
    "distinct",
    "existsOne",
    "first",
    "flatten",
    "format",
    "indexOf",
    "ip",
    "cidr",
    "join",
    "last",
    "lastIndexOf",
    "math",
    "net",
    "optMap",
    "optional",
    "proto",
    "replace",
    "reverse",
    "sets",
    "slice",
    "sort",
    "split",
    "substring",
    "transformList",
    "transformMap",
    "trim",
    "type",
];

impl Function {
    pub(crate) fn named(name: &str) -> Option<Function> {
        ALL.into_iter().find(|function| function.signature().name == name)
    }

    /// All names.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ALL.into_iter().map(|function| function.signature().name)
    }

    /// Whether other implementations of CEL have something of this name.
    pub(crate) fn is_elsewhere(name: &str) -> bool {
        ELSEWHERE.contains(&name)
    }

    pub(crate) fn signature(self) -> Signature {
        use Style::{Either, Global, Member};
        let (name, style, takes, result) = match self {
            Function::Size => ("size", Either, SIZED, INT),
            Function::Contains => ("contains", Member, TWO_STRINGS, BOOL),
            Function::StartsWith => ("startsWith", Member, TWO_STRINGS, BOOL),
            Function::EndsWith => ("endsWith", Member, TWO_STRINGS, BOOL),
            Function::Matches => ("matches", Either, TWO_STRINGS, BOOL),
            Function::LowerAscii => ("lowerAscii", Member, ONE_STRING, STRING),
            Function::UpperAscii => ("upperAscii", Member, ONE_STRING, STRING),
            Function::Bool => ("bool", Global, TO_BOOL, BOOL),
            Function::Bytes => ("bytes", Global, TO_BYTES, BYTES),
            Function::Double => ("double", Global, TO_NUMBER, Kinds::of(Kind::Double)),
            Function::Duration => ("duration", Global, TO_DURATION, DURATION),
            Function::Dyn => ("dyn", Global, ANYTHING, Kinds::ANY),
            Function::Int => ("int", Global, TO_INT, INT),
            Function::String => ("string", Global, TO_STRING, STRING),
            Function::Timestamp => ("timestamp", Global, TO_TIMESTAMP, TIMESTAMP),
            Function::Uint => ("uint", Global, TO_NUMBER, Kinds::of(Kind::Uint)),
            Function::Part(field) => (part_name(field), Member, part_of(field), INT),
        };
        Signature { name, style, takes, optional: usize::from(matches!(self, Function::Part(_))), result }
    }
}

fn part_name(field: Field) -> &'static str {
    match field {
        Field::FullYear => "getFullYear",
        Field::Month => "getMonth",
        Field::Date => "getDate",
        Field::DayOfMonth => "getDayOfMonth",
        Field::DayOfWeek => "getDayOfWeek",
        Field::DayOfYear => "getDayOfYear",
        Field::Hours => "getHours",
        Field::Minutes => "getMinutes",
        Field::Seconds => "getSeconds",
        Field::Milliseconds => "getMilliseconds",
    }
}

fn part_of(field: Field) -> &'static [Kinds] {
    match field {
        Field::Hours | Field::Minutes | Field::Seconds | Field::Milliseconds => TIMED,
        _ => DATED,
    }
}
