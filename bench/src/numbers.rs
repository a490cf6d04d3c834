//! Numbers as they stand in the tables.

/// The middle one; of an even number the lower of the two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

pub(crate) fn short(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { thousands(ms) }
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
        assert_eq!((thousands(12.0), thousands(1_234_567.4)), ("12".to_owned(), "1,234,567".to_owned()));
        assert_eq!((thousands(-123_456.0), thousands(-0.2)), ("-123,456".to_owned(), "0".to_owned()));
    }
}
