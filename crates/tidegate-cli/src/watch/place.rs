//! A place in a filter, shown under its text.

use crate::terminal::printable;

/// Characters that are shown before and behind the place; a filter may have 4,096 bytes.
const CHARS_BEFORE: usize = 48;
const CHARS_BEHIND: usize = 24;

/// The text around a column (from 1), and a caret under it.
pub(super) fn marked(text: &str, column: usize) -> String {
    let text: Vec<char> = printable(text).chars().collect();
    // Behind the last character: something is missing there.
    let at = column.saturating_sub(1).min(text.len());
    let (from, to) = (at.saturating_sub(CHARS_BEFORE), (at + CHARS_BEHIND).min(text.len()));
    let (before, behind) = (if from > 0 { "… " } else { "" }, if to < text.len() { " …" } else { "" });
    let shown: String = text[from..to].iter().collect();
    let blank = " ".repeat(before.chars().count() + at - from);
    format!("    {before}{shown}{behind}\n    {blank}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_under_the_character() {
        assert_eq!(marked("dat.n > 1", 1), "    dat.n > 1\n    ^");
        assert_eq!(marked("\"é\" == dat.n", 8), "    \"é\" == dat.n\n           ^");
        assert_eq!(marked("data.n > ", 10), "    data.n > \n             ^");
        assert_eq!(marked("", 99), "    \n    ^");
    }

    #[test]
    fn of_a_long_filter_the_part_around_is_shown() {
        let filter = format!("{}!{}", "a".repeat(2_000), "b".repeat(2_000));
        let shown = marked(&filter, 2_001);
        let (line, caret) = shown.split_once('\n').expect("two lines");
        assert_eq!(line.chars().nth(caret.chars().count() - 1), Some('!'));
        assert!(line.len() < 100 && line.starts_with("    … a") && line.ends_with("b …"), "{line}");
    }
}
