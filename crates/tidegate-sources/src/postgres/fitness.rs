//! Whether a table may be published, and whether its rows find their place in a channel.
//!
//! **Invariant:** a table without a usable identity is never published: Postgres would refuse the application's own
//! updates and deletes of it.

use tidegate_core::Template;

use super::catalog::{Column, Table};
use super::names::plain;

/// Why a table cannot be served, and what makes it fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) why: String,
    pub(super) remedy: Option<String>,
}

impl Table {
    /// Whether it can be published without harm, whatever the channel.
    pub(super) fn publishable(&self) -> Result<(), Unfit> {
        self.identified(&[])
    }

    /// The same; `key` is what the config takes for one.
    fn identified(&self, key: &[&str]) -> Result<(), Unfit> {
        let title = self.title();
        let unfit = |why: String, remedy: Option<String>| Err(Unfit { why, remedy });
        match (self.kind, self.persistence) {
            ('r' | 'p', 'p') => {}
            ('r' | 'p', 'u') => {
                let remedy = format!("ALTER TABLE {title} SET LOGGED;");
                return unfit("it is unlogged, so its changes are in no WAL".to_owned(), Some(remedy));
            }
            ('r' | 'p', _) => return unfit("it is temporary, so its changes are in no WAL".to_owned(), None),
            _ => return unfit("it is a view or a foreign table, which have no changes of their own".to_owned(), None),
        }
        if self.identity.is_empty() {
            let why = match self.identity_kind {
                'n' => "its replica identity is NOTHING",
                'i' => "the index of its replica identity is gone",
                _ => "it has no primary key, so its updates and deletes do not say which row they mean",
            };
            return unfit(why.to_owned(), Some(self.identity_remedy(&title, key)));
        }
        if let Some(partition) = self.foreign_partitions.first() {
            return unfit(
                format!("its partition {partition} is a foreign table, whose changes are in no WAL of ours"),
                None,
            );
        }
        let virtual_one = self.identity().find(|column| column.generated == 'v');
        if let Some(Column { name, .. }) = virtual_one.filter(|_| self.server_version >= 180_000) {
            let why = format!("its identity has the virtual generated column `{name}`, which no publication has");
            let remedy = format!("ALTER TABLE {title} REPLICA IDENTITY DEFAULT;  -- with a primary key");
            return unfit(why, Some(remedy));
        }
        if let Some(partition) = self.odd_partitions.first() {
            let others = self.odd_partitions.len() - 1;
            let more = if others > 0 { format!(" and {others} more") } else { String::new() };
            let remedies: Vec<String> =
                self.odd_partitions.iter().map(|name| format!("ALTER TABLE {name} REPLICA IDENTITY FULL;")).collect();
            let why =
                format!("its partition {partition}{more} does not name rows by the columns that the whole table does");
            return unfit(why, Some(remedies.join("\n")));
        }
        Ok(())
    }

    /// What gives it an identity, and does so as it stands.
    fn identity_remedy(&self, title: &str, key: &[&str]) -> String {
        let has = |name: &&str| self.columns.iter().any(|column| column.name == **name);
        if key.is_empty() || !key.iter().all(has) {
            return format!("ALTER TABLE {title} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;");
        }
        let key: Vec<String> = key.iter().map(|name| plain(name)).collect();
        format!(
            "ALTER TABLE {title} ADD PRIMARY KEY ({key});\n\
             -- or, for any table, at the cost of more WAL: ALTER TABLE {title} REPLICA IDENTITY FULL;",
            key = key.join(", ")
        )
    }

    /// Whether it fits a channel with this key and address.
    pub(super) fn fits<'k>(
        &self,
        user: &str,
        key: impl IntoIterator<Item = &'k str>,
        parameters: impl IntoIterator<Item = &'k str>,
    ) -> Result<(), Unfit> {
        let key: Vec<&str> = key.into_iter().collect();
        self.identified(&key)?;
        let user = plain(user);
        let title = self.title();
        let unfit = |why: String, remedy: Option<String>| Err(Unfit { why, remedy });
        if !self.readable {
            let schema = plain(&self.schema);
            let remedy = format!("GRANT USAGE ON SCHEMA {schema} TO {user};\nGRANT SELECT ON {title} TO {user};");
            return unfit(format!("{user} may not read it"), Some(remedy));
        }
        if self.rows_hidden {
            let why = format!("row-level security hides rows of it from {user}, but not their changes");
            return unfit(why, Some(format!("ALTER ROLE {user} BYPASSRLS;")));
        }
        for name in &key {
            let Some(column) = self.columns.iter().find(|column| column.name == *name) else {
                return unfit(format!("it has no column `{name}` for the key"), None);
            };
            if !self.identity.contains(&column.number) {
                let identity: Vec<&str> = self.identity().map(|column| column.name.as_str()).collect();
                return unfit(
                    format!(
                        "the key `{name}` is no part of its identity ({}), so a delete would not tell it",
                        identity.join(", ")
                    ),
                    Some(format!(
                        "ALTER TABLE {title} REPLICA IDENTITY FULL;  -- or choose the key among {}",
                        identity.join(", ")
                    )),
                );
            }
            // Categories: B boolean, A array, C composite, R range; their texts are no keys.
            if matches!(column.type_category, 'B' | 'A' | 'C') || column.type_name.starts_with("json") {
                return unfit(
                    format!("the key `{name}` is of type {}; keys are texts or numbers", column.type_name),
                    None,
                );
            }
        }
        let parameters: Vec<&str> = parameters.into_iter().collect();
        for name in &parameters {
            if !self.columns.iter().any(|column| column.name == *name) {
                return unfit(format!("it has no column `{name}` for the address"), None);
            }
        }
        let place = || key.iter().chain(&parameters).copied();
        if let Some(name) = place().find(|name| self.unpublished().any(|column| column.name == *name)) {
            return unfit(format!("`{name}` is generated, and its values are not published"), None);
        }
        self.told_apart(&key, &parameters)
    }

    /// Whether no two rows have the same place, and a change of a row tells which place that is.
    fn told_apart(&self, key: &[&str], parameters: &[&str]) -> Result<(), Unfit> {
        let number = |name: &&str| self.columns.iter().find(|column| column.name == **name).map(|column| column.number);
        let key: Vec<i16> = key.iter().filter_map(number).collect();
        let place: Vec<i16> = parameters.iter().filter_map(number).chain(key.iter().copied()).collect();
        // An address that the old row does not tell is looked up by the key, which must be enough then.
        let told = place.iter().all(|number| self.identity.contains(number));
        let by = if told { &place } else { &key };
        let covers = |unique: &Vec<i16>| !unique.is_empty() && unique.iter().all(|number| by.contains(number));
        if self.uniques.iter().any(covers) {
            return Ok(());
        }
        let columns = by.iter().filter_map(|number| self.columns.iter().find(|column| column.number == *number));
        let columns: Vec<String> = columns.map(|column| plain(&column.name)).collect();
        Err(Unfit {
            why: format!("nothing says that ({}) tells its rows apart", columns.join(", ")),
            remedy: Some(format!("CREATE UNIQUE INDEX ON {} ({});", self.title(), columns.join(", "))),
        })
    }

    /// The same, with what a `template` or `key` may stumble over at run time.
    pub(super) fn nullable(&self, template: &Template) -> Vec<String> {
        let parameter = |column: &&Column| template.parameters().any(|name| name == column.name) && !column.not_null;
        self.columns.iter().filter(parameter).map(|column| column.name.clone()).collect()
    }
}
