//! What is wrong with a config, shown where it stands in the file.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// More problems than this in one file are noise.
const SHOWN_MAX: usize = 20;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    span: Range<usize>,
    title: Box<str>,
    label: Box<str>,
    /// Another place that has to do with it.
    also: Option<Box<(Range<usize>, String)>>,
    help: Option<Box<str>>,
}

/// Collects problems, so that one run shows as many as can be known.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

/// All that is wrong with one config; `Display` is the plain rendering.
#[derive(Clone, Debug)]
pub struct Report {
    file: String,
    source: String,
    problems: Vec<Problem>,
}

impl Problem {
    /// `title` says what is wrong; `label` stands under the text at `span`, a range of bytes.
    pub(super) fn new(span: Range<usize>, title: impl Into<String>, label: impl Into<String>) -> Problem {
        Problem { span, title: title.into().into(), label: label.into().into(), also: None, help: None }
    }

    pub(super) fn also(self, span: Range<usize>, label: impl Into<String>) -> Problem {
        Problem { also: Some(Box::new((span, label.into()))), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into().into()), ..self }
    }

    fn groups<'a>(&'a self, file: &'a str, source: &'a str) -> Group<'a> {
        let mut snippet = Snippet::source(source)
            .path(file)
            .annotation(AnnotationKind::Primary.span(self.span.clone()).label(&*self.label));
        if let Some((span, label)) = self.also.as_deref() {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()));
        }
        let group = Level::ERROR.primary_title(&*self.title).element(snippet);
        match &self.help {
            Some(help) => group.element(Level::HELP.message(&**help)),
            None => group,
        }
    }
}

impl Problems {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// `None` if there are none.
    pub(super) fn into_report(self, file: &str, source: &str) -> Option<Report> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| problem.span.start);
        problems.dedup();
        (!problems.is_empty()).then(|| Report { file: file.to_owned(), source: masked(source), problems })
    }
}

impl Report {
    /// The report as text; `color` writes it for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in self.problems.iter().take(SHOWN_MAX) {
            text.push_str(&renderer.render(&[problem.groups(&self.file, &self.source)]));
            text.push_str("\n\n");
        }
        let count = self.problems.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        let more = if count > SHOWN_MAX { format!(", the first {SHOWN_MAX} are shown") } else { String::new() };
        text.push_str(&format!("{}: {count} {noun}{more}\n", self.file));
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Report {}

/// The text with a `*` for each byte of the passwords of its URLs, so that places in it stay.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(url.len());
        let password = url[..end].rfind('@').and_then(|at| url[..at].find(':').map(|colon| colon + 1..at));
        if let Some(password) = &password {
            out.push_str(&url[..password.start]);
            out.extend(std::iter::repeat_n('*', password.len()));
        }
        rest = &url[password.map_or(0, |password| password.end)..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod masking {
    use super::masked;

    #[test]
    fn passwords_of_urls_are_not_shown() {
        let text = "url: postgres://me:p@ss:wörd@db:99999/shop # http://plain/a:b\nurl: \"http://u:x@h\" t://u@h:1/";
        let shown = masked(text);
        assert_eq!(
            shown,
            "url: postgres://me:**********@db:99999/shop # http://plain/a:b\nurl: \"http://u:*@h\" t://u@h:1/"
        );
        assert_eq!(shown.len(), text.len());
    }
}
