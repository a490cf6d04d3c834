//! Counts tests by reading what their runners print.

/// How many tests ended how.
#[derive(Default, Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// Takes in one line of output; lines that report nothing change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        self.read_cargo(line);
        self.read_node(line);
    }

    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    fn read_cargo(&mut self, line: &str) {
        let Some(report) = line.strip_prefix("test result: ") else { return };
        let (_, counts) = report.split_once(". ").unwrap_or_default();
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, word)| (number.parse::<u64>(), word)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.skipped += number,
                _ => {}
            }
        }
    }

    /// `# pass 12` in TAP, `ℹ pass 12` in the form for people.
    fn read_node(&mut self, line: &str) {
        let Some(report) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else { return };
        match report.split_once(' ').map(|(word, number)| (word, number.parse::<u64>())) {
            Some(("pass", Ok(number))) => self.passed += number,
            Some(("fail" | "cancelled", Ok(number))) => self.failed += number,
            Some(("skipped" | "todo", Ok(number))) => self.skipped += number,
            _ => {}
        }
    }

    /// The line that closes a run.
    pub(crate) fn summary(self) -> String {
        let Tally { passed, failed, skipped } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_read() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "# pass 5",
            "# fail 1",
            "ℹ tests 9",
            "ℹ pass 7",
            "ℹ cancelled 1",
            "ℹ duration_ms 12.5",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 27, failed: 4, skipped: 1 });
        assert_eq!(tally.summary(), "27 passed, 4 failed, 1 skipped");
    }
}
