//! Numbers as people read them.

/// Rounded, with its thousands apart: `-1,234,567`.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0.0, 12.0, 999.6, 1_234_567.4].map(grouped), ["0", "12", "1,000", "1,234,567"]);
        assert_eq!([-123_456.0, -0.2].map(grouped), ["-123,456", "0"]);
    }
}
