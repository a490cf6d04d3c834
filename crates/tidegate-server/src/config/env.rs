//! `${NAME}` in values of the config.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;

use tidegate_core::suggest::nearest;

use super::report::Problem;

/// Environment variables, by name.
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process; one that is not UTF-8 counts as absent.
    pub fn of_process() -> Environment {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Environment(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    pub fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// Puts variables into `text`. `raw` is the text as it stands in the file from byte `start` on;
/// quotes and escapes make them differ, so a mistake is looked for in `raw`.
///
/// A value is never read as YAML again: what a variable holds stays one text.
pub(super) fn substitute(text: &str, raw: &str, start: usize, environment: &Environment) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            let span = place(raw, "${", start);
            return Err(Problem::new(span, "`${` has no end", "the closing `}` is missing")
                .help("write `$${` for a literal `${`"));
        };
        let name = &rest[at + 2..at + end];
        let span = place(raw, &rest[at..=at + end], start);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Problem::new(span, format!("`{name}` is no name of a variable"), "here")
                .help("a name has letters, digits and `_`; write `$${` for a literal `${`"));
        }
        match environment.0.get(name) {
            Some(value) => out.push_str(value),
            None => return Err(missing(name, span, environment)),
        }
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn missing(name: &str, span: Range<usize>, environment: &Environment) -> Problem {
    let label = match nearest(name, environment.0.keys().map(String::as_str)) {
        Some(near) => format!("not set; did you mean `{near}`?"),
        None => "not set".to_owned(),
    };
    Problem::new(span, format!("the environment variable `{name}` is not set"), label)
        .help(format!("start with `{name}=… tidegate …`, or write the value here"))
}

fn place(raw: &str, wanted: &str, start: usize) -> Range<usize> {
    match raw.find(wanted) {
        Some(at) => start + at..start + at + wanted.len(),
        None => start..start + raw.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_once_and_never_read_again() {
        let environment = Environment::of(&[("A", "${B}"), ("B", "x: [y"), ("C", "")]);
        let put = |text: &str| substitute(text, text, 0, &environment);
        assert_eq!(put("1${A}2${B}3"), Ok("1${B}2x: [y3".to_owned()));
        assert_eq!(put("$${A} $A ${C}"), Ok("${A} $A ".to_owned()));
        assert!(put("${D}").is_err());
        assert!(put("${A").is_err());
        assert!(put("${A-b}").is_err());
    }
}
