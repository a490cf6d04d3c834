//! The `audit:` of the config: where decisions are told, and which.

use std::path::{Path, PathBuf};

use super::fields::{Field, Reader};
use super::shape::{self, defaults};
use super::values::{Complaint, ranged};

/// What is told of who was let in and who was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditConfig {
    /// Lines of JSON are appended to this file; without one, decisions are lines of the log.
    pub file: Option<PathBuf>,
    /// Which share of allowed decisions is told, 0 to 1; of those that are not, all are.
    pub allows: f64,
}

pub(super) fn read(reader: Reader, field: Option<Field>, folder: &Path) -> Option<AuditConfig> {
    let Some(field) = field else { return Some(AuditConfig::default()) };
    let fields = reader.open::<shape::Audit>(field.node(), field.name_span(), "`audit`")?;
    let file = fields.optional("file", |field| field.parse(|text| Ok(folder.join(text))));
    let allows = fields.value("allows", defaults::allows(), share);
    fields.finish();
    Some(AuditConfig { file: file?, allows: allows? })
}

/// `1%`, `0.1%`.
fn share(text: &str) -> Result<f64, Complaint> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let percent =
        percent.ok_or_else(|| Complaint::new("no share").help("write a percentage, such as `1%` or `0.1%`"))?;
    ranged(percent, 0.0..=100.0, "0%", "100%").map(|percent| percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(share("0%"), Ok(0.0));
        assert_eq!(share("12.5 %"), Ok(0.125));
        for bad in ["1", "%", "101%", "-1%", "NaN%", "a%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
