//! The kinds of values, and sets of them: what is known of a value before there is one.

use std::fmt;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool,
    /// 64 bits with a sign; integers of JSON.
    Int,
    /// 64 bits without a sign; integers of JSON that are too large for an int.
    Uint,
    /// IEEE 754; other numbers of JSON.
    Double,
    /// Unicode text.
    String,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A length of time.
    Duration,
    /// Values in order.
    List,
    /// Values by key; objects of JSON.
    Map,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind::Null,
        Kind::Bool,
        Kind::Int,
        Kind::Uint,
        Kind::Double,
        Kind::String,
        Kind::Bytes,
        Kind::Timestamp,
        Kind::Duration,
        Kind::List,
        Kind::Map,
    ];

    /// CEL's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Double => "double",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::Timestamp => "timestamp",
            Kind::Duration => "duration",
            Kind::List => "list",
            Kind::Map => "map",
        }
    }
}

/// What a value can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// Nothing: an operation that cannot succeed.
    pub const NONE: Kinds = Kinds(0);
    /// Anything: what is only known at run time, such as the data of an event.
    pub const ANY: Kinds = Kinds((1 << Kind::ALL.len()) - 1);
    pub(crate) const NUMBERS: Kinds = Kinds::of(Kind::Int).or(Kinds::of(Kind::Uint)).or(Kinds::of(Kind::Double));

    /// One kind.
    pub const fn of(kind: Kind) -> Kinds {
        Kinds(1 << kind as u16)
    }

    /// Either.
    #[must_use]
    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    /// Whether it can be of this kind.
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & Kinds::of(kind).0 != 0
    }

    /// Whether it cannot be anything.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

impl From<Kind> for Kinds {
    fn from(kind: Kind) -> Kinds {
        Kinds::of(kind)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Kinds::ANY {
            return f.write_str("dyn");
        }
        for (at, kind) in self.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { " or " }, kind.name())?;
        }
        Ok(())
    }
}
