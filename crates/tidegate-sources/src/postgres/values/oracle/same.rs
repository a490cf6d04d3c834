//! When two JSON texts say the same.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

/// Compares two JSON texts: numbers by all their digits, and bytes by what they stand for.
pub(super) fn same(ours: &str, theirs: &str) {
    match ours.as_bytes()[0] {
        b'{' => {
            let members = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).expect("an object");
            let (ours, theirs) = (members(ours), members(theirs));
            assert!(ours.keys().eq(theirs.keys()), "{ours:?}\n{theirs:?}");
            ours.iter().for_each(|(name, own)| same(own.get(), theirs[name].get()));
        }
        b'[' => {
            let elements =
                |text| serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_else(|_| panic!("{ours} is not {text}"));
            let (ours, theirs) = (elements(ours), elements(theirs));
            assert_eq!(ours.len(), theirs.len(), "{ours:?}\n{theirs:?}");
            ours.iter().zip(theirs).for_each(|(own, their)| same(own.get(), their.get()));
        }
        b'"' => {
            let string = |text| serde_json::from_str::<String>(text).unwrap_or_else(|_| panic!("{ours} is not {text}"));
            let (own, their) = (string(ours), string(theirs));
            if own != their {
                let digits = their.strip_prefix("\\x").unwrap_or_else(|| panic!("{ours} is not {theirs}"));
                let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
                let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                assert_eq!(own, BASE64_STANDARD.encode(bytes));
            }
        }
        // `to_jsonb` writes exponents out, and a zero without its sign; all other digits are kept, zeros too.
        b'-' | b'0'..=b'9' if ours.contains(['e', 'E']) || ours.starts_with("-0") => {
            assert_eq!(decimal(ours), decimal(theirs), "{ours} is not {theirs}");
        }
        _ => assert_eq!(ours, theirs),
    }
}

/// Sign, significant digits, and the power of ten behind them.
fn decimal(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let unsigned = mantissa.strip_prefix('-');
    let (integer, fraction) =
        unsigned.unwrap_or(mantissa).split_once('.').unwrap_or((unsigned.unwrap_or(mantissa), ""));
    let digits = format!("{integer}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0').to_owned();
    let shift = digits.len() - digits.trim_end_matches('0').len();
    let exponent = exponent.parse::<i64>().expect("an exponent") - fraction.len() as i64 + shift as i64;
    match significant.is_empty() {
        true => (false, significant, 0),
        false => (unsigned.is_some(), significant, exponent),
    }
}
