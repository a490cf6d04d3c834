//! What an expression looks up: the tables that it names, and what of their keys is known.

use crate::tree::{Lookup, Node};
use crate::value::Value;

/// One `exists("table", key)`.
#[derive(Debug, Clone)]
pub struct LookedUp {
    /// The table.
    pub table: Box<str>,
    /// The parts of the key; `None` where it depends on the variables.
    pub key: Vec<Option<Value<'static>>>,
    /// The key is written as a list.
    pub composite: bool,
    /// The byte of the source where the table is named.
    pub at: usize,
}

/// All lookups of a tree, in order.
pub(crate) fn lookups(root: &Node) -> Vec<LookedUp> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<LookedUp>) {
    if let Node::Lookup(lookup) = node {
        let Lookup { table, key, composite, at } = &**lookup;
        let known = |part: &Node| if let Node::Constant(value) = part { Some(value.clone()) } else { None };
        let key = key.iter().map(known).collect();
        found.push(LookedUp { table: table.clone(), key, composite: *composite, at: *at });
    }
    node.children(&mut |child| collect(child, found));
}

#[cfg(test)]
mod tests {
    use crate::{Activation, Expression, Failure, Json, Kind, Kinds, Value, Variables};

    /// The variables `data` and `claims`, and a table of two keys.
    struct Known<'k>(Option<Json<'k>>, Option<Json<'k>>);

    impl Activation for Known<'_> {
        fn variable(&self, slot: usize) -> Option<Value<'_>> {
            self.json(slot).map(Value::from)
        }

        fn json(&self, slot: usize) -> Option<&Json<'_>> {
            if slot == 0 { self.0.as_ref() } else { self.1.as_ref() }
        }

        fn lookup(&self, table: &str, key: &[Value<'_>]) -> Option<bool> {
            let texts: Vec<&str> = key
                .iter()
                .filter_map(|part| if let Value::String(text) = part { Some(&**text) } else { None })
                .collect();
            (table == "members" && texts.len() == key.len())
                .then(|| matches!(texts[..], ["lobby", "ann"] | ["attic", "bob"]))
        }
    }

    fn read(source: &str) -> Expression {
        let variables = Variables::new().with("data", Kinds::ANY).with("claims", Kind::Map).with_lookups();
        Expression::parse(source, &variables).unwrap_or_else(|error| panic!("{source}: {error}"))
    }

    fn json(text: &str) -> Option<Json<'_>> {
        Json::decode(text.as_bytes())
    }

    #[test]
    fn what_is_looked_up_is_answered_by_the_activation() {
        let rule = read(r#"exists( "members", [data.room, claims.sub] )"#);
        assert_eq!(rule.canonical(), r#"exists("members",[data.room,claims.sub])"#);
        assert_eq!(read(rule.canonical()), rule);
        let asked = |data, claims| rule.matches(&Known(json(data), json(claims)));
        assert_eq!(asked(r#"{"room":"lobby"}"#, r#"{"sub":"ann"}"#), Ok(true));
        assert_eq!(asked(r#"{"room":"lobby"}"#, r#"{"sub":"bob"}"#), Ok(false));
        assert_eq!(asked(r#"{"room":7}"#, r#"{"sub":"bob"}"#), Err(Failure::NotKnown));
        assert_eq!(asked(r#"{}"#, r#"{"sub":"bob"}"#), Err(Failure::NoSuchField));
    }

    #[test]
    fn what_is_known_of_the_key_is_put_in() {
        let rule = read(r#"data.open || exists("members", [data.room, claims.sub])"#);
        let rest = rule.fold(&Known(None, json(r#"{"sub":"ann"}"#)));
        assert_eq!(rest.canonical(), r#"data.open||exists("members",[data.room,"ann"])"#);
        let [lookup] = rest.lookups() else { panic!("{rest}") };
        assert!(matches!(&lookup.key[..], [None, Some(Value::String(_))]), "{lookup:?}");
        let whole = rest.fold(&Known(json(r#"{"open":false,"room":"lobby"}"#), None));
        assert_eq!(whole.canonical(), "true");
        assert!(rest.is_never_true(&["data"]) && !rest.is_never_true(&["claims"]));
    }

    #[test]
    fn a_lookup_names_its_table_and_its_key() {
        let variables = Variables::new().with("data", Kinds::ANY).with_lookups();
        for source in [
            "exists()",
            r#"exists("members")"#,
            "exists(data.table, data.key)",
            r#"exists("members", [])"#,
            r#"exists("members", true)"#,
        ] {
            assert!(Expression::parse(source, &variables).is_err(), "{source}");
        }
        // The macro of lists is another thing.
        assert!(Expression::parse("data.list.exists(x, x == 1)", &variables).is_ok());
        let filters = Variables::new().with("data", Kinds::ANY);
        assert!(Expression::parse(r#"exists("members", data.room)"#, &filters).is_err(), "filters look nothing up");
    }
}
