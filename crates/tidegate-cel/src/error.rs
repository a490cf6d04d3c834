//! What can be wrong with a source, and what can go wrong in an evaluation.

/// Why a source is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct CelError {
    /// What is wrong, without the place.
    pub message: String,
    /// Where, in characters from 1.
    pub column: usize,
    /// What to do about it; names the nearest variable, field or function where there is one.
    pub hint: Option<String>,
}

/// Why an evaluation has no result. A filter treats all of them as no match; rights treat them as no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// A field, a key or an index that is not there.
    #[error("no such field")]
    NoSuchField,
    /// A variable that this activation does not have.
    #[error("no such variable")]
    NoSuchVariable,
    /// Operands of kinds that the operator or function does not take.
    #[error("no such overload")]
    NoSuchOverload,
    /// A result that its kind cannot hold.
    #[error("out of range")]
    OutOfRange,
    /// `/ 0` or `% 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// A text that a conversion does not read.
    #[error("not convertible")]
    NotConvertible,
    /// A key that stands twice in a map literal.
    #[error("a repeated key")]
    RepeatedKey,
    /// A lookup that this activation does not answer.
    #[error("not known")]
    NotKnown,
    /// The expression is neither true nor false.
    #[error("the result is no bool")]
    NotBool,
    /// More than [`STEPS_MAX`](crate::limits::STEPS_MAX) steps.
    #[error("too many steps")]
    TooManySteps,
    /// More than [`PRODUCED_BYTES_MAX`](crate::limits::PRODUCED_BYTES_MAX) bytes.
    #[error("too many bytes produced")]
    TooManyBytes,
}

impl Failure {
    /// Whether the evaluation must end: `&&` and `||` absorb other failures, but no limit.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Failure::TooManySteps | Failure::TooManyBytes)
    }
}
