//! What changed of a table, for those who watch it.

use serde_json::{Value, json};

use super::checkpoint::{KnownColumn, KnownTable};

/// The data of a `notice schema`; `None` if nothing that rows show has changed.
pub(super) fn notice(before: &KnownTable, now: &KnownTable) -> Option<Value> {
    let mut changes = Vec::new();
    if before.title != now.title {
        let text = format!("{} is now {}", before.title, now.title);
        changes.push((text, json!({"change": "table-renamed", "from": before.title, "to": now.title})));
    }
    // Numbers of columns mean something within one table only; another one may have taken its name.
    let same = |a: &KnownColumn, b: &KnownColumn| match before.oid == now.oid {
        true => a.number == b.number,
        false => a.name == b.name,
    };
    for column in &before.columns {
        match now.columns.iter().find(|other| same(column, other)) {
            None => changes.push(dropped(column)),
            Some(after) => changes.extend(altered(column, after)),
        }
    }
    let new = |column: &&KnownColumn| before.columns.iter().all(|other| !same(column, other));
    changes.extend(now.columns.iter().filter(new).map(added));
    if changes.is_empty() {
        return None;
    }
    let (texts, changes): (Vec<String>, Vec<Value>) = changes.into_iter().unzip();
    let message = format!("{}: {}", now.title, texts.join(", "));
    Some(json!({"code": "schema", "message": message, "table": now.title, "changes": changes}))
}

fn added(column: &KnownColumn) -> (String, Value) {
    let KnownColumn { name, type_name, .. } = column;
    (format!("column `{name}` ({type_name}) was added"), json!({"change": "added", "column": name, "type": type_name}))
}

fn dropped(column: &KnownColumn) -> (String, Value) {
    (format!("column `{}` was dropped", column.name), json!({"change": "dropped", "column": column.name}))
}

fn altered(before: &KnownColumn, now: &KnownColumn) -> Vec<(String, Value)> {
    let mut changes = Vec::new();
    if before.name != now.name {
        let text = format!("column `{}` is now `{}`", before.name, now.name);
        changes.push((text, json!({"change": "renamed", "from": before.name, "to": now.name})));
    }
    if before.type_name != now.type_name {
        let text = format!("column `{}` is now {} instead of {}", now.name, now.type_name, before.type_name);
        let (from, to) = (&before.type_name, &now.type_name);
        changes.push((text, json!({"change": "retyped", "column": now.name, "from": from, "to": to})));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(title: &str, columns: &[(i16, &str, &str)]) -> KnownTable {
        let column = |(number, name, type_name): &(i16, &str, &str)| KnownColumn {
            number: *number,
            name: (*name).to_owned(),
            type_name: (*type_name).to_owned(),
        };
        let columns = columns.iter().map(column).collect();
        KnownTable { title: title.to_owned(), columns, ..KnownTable::default() }
    }

    #[test]
    fn a_rename_is_no_drop() {
        let before = table("public.orders", &[(1, "id", "bigint"), (2, "state", "text"), (3, "old", "text")]);
        let now =
            table("public.orders", &[(1, "id", "bigint"), (2, "status", "character varying(9)"), (4, "new", "date")]);
        let notice = notice(&before, &now).expect("changes");
        assert_eq!(
            notice["message"],
            "public.orders: column `state` is now `status`, column `status` is now character varying(9) instead of text, \
             column `old` was dropped, column `new` (date) was added"
        );
        assert_eq!(notice["changes"][0], json!({"change": "renamed", "from": "state", "to": "status"}));
    }

    #[test]
    fn what_rows_do_not_show_is_no_news() {
        let before = table("public.orders", &[(1, "id", "bigint")]);
        assert_eq!(notice(&before, &KnownTable { oid: 2, stale: true, ..before.clone() }), None);
        assert!(notice(&before, &table("public.orders2", &[(1, "id", "bigint")])).is_some());
    }
}
