//! The table against the targets: a row a figure; medians of all runs, the ratio that of each run.

use std::fmt::Write;

use tidegate_bench::grouped;

use crate::findings::{Finding, Goal, Unit};
use crate::numbers::{median, short};

/// All findings of all runs.
#[derive(Default)]
pub(crate) struct Verdicts {
    rows: Vec<(u32, Finding)>,
}

impl Verdicts {
    pub(crate) fn add(&mut self, run: u32, findings: impl IntoIterator<Item = Finding>) {
        self.rows.extend(findings.into_iter().map(|finding| (run, finding)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut titles: Vec<(u32, &str)> = Vec::new();
        for (_, finding) in &self.rows {
            let title = (finding.number, finding.title.as_str());
            if !titles.contains(&title) {
                titles.push(title);
            }
        }
        titles.sort_by_key(|(number, _)| *number);
        let mut text =
            String::from("| # | what | measured | beside it | ratio | target | |\n|---|---|---|---|---|---|---|\n");
        for (number, title) in titles {
            let of =
                self.rows.iter().filter(|(_, finding)| (finding.number, finding.title.as_str()) == (number, title));
            let findings: Vec<&Finding> = of.map(|(_, finding)| finding).collect();
            // Writing to memory.
            let _ = writeln!(text, "| {number} | {title} {}", row(&findings));
        }
        text
    }

    /// One finding a line.
    pub(crate) fn json_lines(&self) -> String {
        let line = |(run, finding): &(u32, Finding)| {
            let mut line = serde_json::json!({"run": run, "number": finding.number, "what": finding.title});
            match &finding.value {
                Ok(value) => line["value"] = (*value).into(),
                Err(why) => line["missing"] = why.as_str().into(),
            }
            line["unit"] = format!("{:?}", finding.unit).into();
            if let Some((name, value)) = finding.beside {
                (line["beside"], line["beside_value"]) = (name.into(), value.into());
            }
            line["note"] = finding.note.as_str().into();
            format!("{line}\n")
        };
        self.rows.iter().map(line).collect()
    }
}

/// What stands behind the title.
fn row(findings: &[&Finding]) -> String {
    let Some(last) = findings.last() else { return String::new() };
    if let Some(why) = findings.iter().find_map(|finding| finding.value.as_ref().err()) {
        return format!("| – | | | {} | {why} |", target(last));
    }
    let value = median(findings.iter().filter_map(|finding| finding.value.clone().ok()).collect()).unwrap_or_default();
    let ratio = median(findings.iter().filter_map(|finding| finding.ratio()).collect());
    let beside = last.beside.map(|(name, _)| {
        let values = findings.iter().filter_map(|finding| finding.beside).map(|(_, value)| value).collect();
        format!("{name} {}", last.unit.show(median(values).unwrap_or_default()))
    });
    let verdict = match last.goal.met(value, ratio) {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    };
    let note = if last.note.is_empty() { String::new() } else { format!(" ({})", last.note) };
    format!(
        "| {}{note} | {} | {} | {} | {verdict} |",
        last.unit.show(value),
        beside.unwrap_or_default(),
        ratio.map_or(String::new(), |ratio| format!("×{ratio:.2}")),
        target(last)
    )
}

fn target(finding: &Finding) -> String {
    match finding.goal {
        Goal::AtMost(most) => format!("≤ {}", finding.unit.show(most)),
        Goal::TimesAtMost(most) => format!("≤ ×{most:.2}"),
        Goal::TimesAtLeast(least) => format!("≥ ×{least:.2}"),
        Goal::Quoted => "quoted".to_owned(),
    }
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Us => format!("{value:.2} µs"),
            Unit::Ms => format!("{} ms", short(value)),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes => format!("{} B", grouped(value)),
            Unit::Cores => format!("{value:.2} cores"),
            Unit::PerSecond => format!("{}/s", grouped(value)),
            Unit::MibPerSecond => format!("{} MiB/s", grouped(value)),
            Unit::Count => grouped(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_runs_and_not_of_the_medians() {
        let mut verdicts = Verdicts::default();
        for (run, (value, beside)) in [(2.0, 1.0), (3.0, 3.0), (9.0, 10.0)].into_iter().enumerate() {
            let finding = Finding::new(1, "alone", Unit::Us, value, Goal::TimesAtMost(0.95)).beside("limit", beside);
            verdicts.add(run as u32, [finding]);
        }
        verdicts.add(1, [Finding::missing(0, "another", "it is not there")]);
        let text = verdicts.markdown();
        assert!(text.contains("| 1 | alone | 3.00 µs | limit 3.00 µs | ×1.00 | ≤ ×0.95 | **missed** |"), "{text}");
        assert!(text.contains("| 0 | another | – | | | quoted | it is not there |"), "{text}");
        assert!(text.find("another") < text.find("alone"), "in the order of their numbers");
        assert_eq!(verdicts.json_lines().lines().count(), 4);
    }
}
