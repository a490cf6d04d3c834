//! What was found upstream, as text for people: a line each, and below it what to run, so that it
//! can be copied.

use std::fmt::Write;

use tidegate_sources::{Finding, LeftOut, Level};

/// How much of each there is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) missing: usize,
    pub(crate) warnings: usize,
}

impl Tally {
    pub(crate) fn of(findings: &[Finding]) -> Tally {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Tally { missing: count(Level::Missing), warnings: count(Level::Warning) }
    }

    /// `good`, or what is not.
    pub(crate) fn verdict(self) -> String {
        let warnings = if self.warnings == 1 { "1 warning".to_owned() } else { format!("{} warnings", self.warnings) };
        match self {
            Tally { missing: 0, warnings: 0 } => "good".to_owned(),
            Tally { missing: 0, .. } => format!("good, with {warnings}"),
            Tally { missing, warnings: 0 } => format!("{missing} missing"),
            Tally { missing, .. } => format!("{missing} missing, {warnings}"),
        }
    }
}

/// The findings, a line each.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.level {
            Level::Good => "good   ",
            Level::Warning => "warning",
            Level::Missing => "missing",
        };
        item(&mut text, &format!("{word}  {}", finding.what), finding.remedy.as_deref());
    }
    text
}

/// The tables that cannot be served, a line each.
pub(crate) fn left_out(tables: &[LeftOut]) -> String {
    let mut text = String::new();
    for table in tables {
        item(&mut text, &format!("{}: {}", table.table, table.why), table.remedy.as_deref());
    }
    text
}

/// One line, and what is to be copied in a block of its own.
pub(crate) fn item(text: &mut String, line: &str, block: Option<&str>) {
    // Writing to memory.
    let _ = writeln!(text, "  {line}");
    let Some(block) = block else { return };
    text.push('\n');
    for line in block.lines() {
        let _ = writeln!(text, "{}", format!("      {line}").trim_end());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_in_a_block_of_its_own() {
        let all = [
            Finding::good("the server answers"),
            Finding::missing("the user may not replicate").remedy("ALTER ROLE app\n  REPLICATION;\n"),
            Finding::warning("the slot may hold the disk full"),
        ];
        assert_eq!(
            findings(&all),
            "  good     the server answers\n  missing  the user may not replicate\n\n      ALTER ROLE app\n        \
             REPLICATION;\n\n  warning  the slot may hold the disk full\n"
        );
        assert_eq!(Tally::of(&all).verdict(), "1 missing, 1 warning");
        assert_eq!(Tally::of(&all[..1]).verdict(), "good");
    }
}
