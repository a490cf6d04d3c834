//! What the policies of a channel can speak of.
//!
//! The variables of filters come first, under the numbers that an image has them under, so that what is left of a policy
//! is judged and indexed as a filter is. `claims` and `now` follow: no image has them.

use tidegate_cel::{Kind, Kinds, Variables};
use tidegate_core::Template;

/// The variables of one channel.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    pub(super) variables: Variables,
}

impl Vocabulary {
    /// Of a channel with addresses of this template, with a key or without.
    pub fn of(template: &Template, keyed: bool) -> Vocabulary {
        let variables = filters(template, keyed).with("claims", Kind::Map).with("now", Kind::Timestamp);
        Vocabulary { variables: variables.with_lookups() }
    }
}

/// The numbers of `claims` and `now`.
pub(super) const fn slots(keyed: bool) -> (usize, usize) {
    if keyed { (5, 6) } else { (3, 4) }
}

/// The variables of filters.
pub(crate) fn filters(template: &Template, keyed: bool) -> Variables {
    let params = template.parameters().map(|name| (name, Kinds::of(Kind::String)));
    let variables = Variables::new().with("data", Kinds::ANY).with_fields("params", params);
    match keyed {
        false => variables.with("time", Kind::Timestamp),
        true => variables.with("key", Kind::String).with("time", Kind::Timestamp).with("op", Kind::String),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_now_are_where_they_are_looked_up() {
        for keyed in [true, false] {
            let Vocabulary { variables } = Vocabulary::of(&Template::parse("a/{b}").expect("a template"), keyed);
            let found = (variables.slot("claims"), variables.slot("now"));
            assert_eq!(found, (Some(slots(keyed).0), Some(slots(keyed).1)));
        }
    }
}
