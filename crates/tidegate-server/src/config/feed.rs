//! What a channel takes of its source: a table or the dead letters, and what has to fit.

use std::ops::Range;

use tidegate_core::suggest::nearest;
use tidegate_sources::{Kind, Numbers};

use super::channel::{Address, Found};
use super::fields::{Fields, Reader, quoted};
use super::report::Problem;
use super::shape::defaults;
use super::values::Complaint;

/// The fields that only a channel of a source with tables has.
const OF_TABLES: [(&str, &str); 3] =
    [("table", "tables"), ("dead_letters", "dead letters"), ("numbers", "numbers to choose how to write")];

/// What those fields say.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) table: Option<String>,
    pub(super) dead_letters: bool,
    pub(super) numbers: Numbers,
}

/// Reads them; `None` after a mistake.
pub(super) fn read(fields: &Fields) -> Option<Feed> {
    let table = fields.optional("table", |field| field.parse(table));
    let dead_letters = fields.value("dead_letters", defaults::dead_letters(), |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new("neither true nor false").help("write `dead_letters: true`, or leave it out")),
    });
    let numbers = fields.value("numbers", defaults::numbers(), |text| match text {
        "json" => Ok(Numbers::Json),
        "string" => Ok(Numbers::Text),
        _ => Err(Complaint::new("no way to write numbers").help(
            "write `numbers: json` for numbers with all their digits, or `numbers: string` for wide integers and \
             decimals as strings, which JavaScript does not round",
        )),
    });
    Some(Feed { table: table?, dead_letters: dead_letters?, numbers: numbers? })
}

fn table(text: &str) -> Result<String, Complaint> {
    let good = !text.is_empty() && !text.starts_with('.') && !text.ends_with('.') && !text.contains(char::is_control);
    if good {
        return Ok(text.to_owned());
    }
    Err(Complaint::new("no table")
        .help("write schema and name as SQL does, such as `public.orders` or `sales.\"Order Items\"`; without a schema it is `public`"))
}

/// What the channel wants against what its source gives; `kind` is `None` where the channel has no
/// source, or one that cannot be read.
pub(super) fn check(reader: Reader, fields: &Fields, kind: Option<&Kind>, address: Option<&Address>) {
    match kind {
        Some(kind) if kind.tables => of_tables(reader, fields, kind, address),
        Some(kind) => {
            for (field, what) in present(fields) {
                let title = format!("a source of kind `{}` has no {what}", kind.name);
                reader.problems.add(Problem::new(field, title, "take this line out"));
            }
            if !kind.members.is_empty() {
                of_members(reader, fields, kind, address);
            }
        }
        None if fields.get("source").is_none() => {
            for (name, _) in OF_TABLES {
                if let Some(field) = fields.get(name) {
                    let title = format!("`{name}` without a `source`");
                    reader.problems.add(Problem::new(field.name_span(), title, "of which source?"));
                }
            }
        }
        None => {}
    }
}

/// At most one channel takes the dead letters of a source, so that each is in one place.
pub(super) fn once(reader: Reader, first: &Found, later: &Found) {
    let (Some((a, first_span)), Some((b, span))) = (&first.dead_letters, &later.dead_letters) else { return };
    if a == b {
        let title = format!("two channels take the dead letters of `{a}`");
        let problem = Problem::new(span.clone(), title, format!("in `{}`", later.entry.name));
        reader.problems.add(problem.also(first_span.clone(), format!("and in `{}`", first.entry.name)));
    }
}

fn present<'f>(fields: &'f Fields) -> impl Iterator<Item = (Range<usize>, &'static str)> + 'f {
    OF_TABLES.iter().filter_map(|(name, what)| Some((fields.get(name)?.name_span(), *what)))
}

/// Rows of a table, or dead letters, and never both.
fn of_tables(reader: Reader, fields: &Fields, kind: &Kind, address: Option<&Address>) {
    let dead_letters = fields.get("dead_letters").filter(|field| field.text().is_some_and(|text| text.text == "true"));
    let Some(dead_letters) = dead_letters else { return of_rows(reader, fields, kind) };
    let refuse = |span: Range<usize>, title: &str, label: &str| {
        reader.problems.add(Problem::new(span, title, label).also(dead_letters.name_span(), "its dead letters"));
    };
    for name in ["table", "key", "numbers"] {
        if let Some(field) = fields.get(name) {
            refuse(field.name_span(), &format!("a channel of dead letters has no `{name}`"), "take this line out");
        }
    }
    if let Some(address) = address.filter(|address| address.template.parameters().next().is_some()) {
        let title = "a channel of dead letters has one address";
        refuse(address.span.clone(), title, "write it without parameters");
    }
}

fn of_rows(reader: Reader, fields: &Fields, kind: &Kind) {
    let Some(table) = fields.get("table") else {
        let title = format!("a channel of a source of kind `{}` takes a table", kind.name);
        let problem = Problem::new(fields.owner(), title, "`table` is missing");
        reader.problems.add(
            problem.help("add a line such as `table: public.orders`, or `dead_letters: true` for what has no place"),
        );
        return;
    };
    if fields.get("key").is_none() {
        let title = "the rows of a table need a `key`";
        let problem = Problem::new(fields.owner(), title, "`key` is missing").also(table.name_span(), "the table");
        reader.problems.add(problem.help(
            "name the columns that tell its rows apart, usually the primary key: `key: id`, or `key: [tenant, id]`",
        ));
    }
}

/// Members that every row has, whatever is upstream.
fn of_members(reader: Reader, fields: &Fields, kind: &Kind, address: Option<&Address>) {
    let rows = format!("rows of `{}` always have {}", kind.name, quoted(kind.members));
    let complain = |span: Range<usize>, name: &str| {
        let label = match nearest(name, kind.members.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "not in every row".to_owned(),
        };
        let title = format!("the source's rows have no `{name}` to rely on");
        reader.problems.add(Problem::new(span, title, label).help(rows.clone()));
    };
    if let Some(address) = address {
        for name in address.template.parameters().filter(|name| !kind.members.contains(name)) {
            complain(address.span.clone(), name);
        }
    }
    match fields.get("key") {
        Some(field) => {
            for name in field.list(true, |text| Ok(text.to_owned())).unwrap_or_default() {
                if !kind.members.contains(&name.as_str()) {
                    complain(field.span(), &name);
                }
            }
        }
        None => {
            let title = format!("a source of kind `{}` gives rows, which need a `key`", kind.name);
            reader.problems.add(Problem::new(fields.owner(), title, "`key` is missing").help(rows.clone()));
        }
    }
}
