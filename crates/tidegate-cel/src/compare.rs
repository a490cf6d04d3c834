//! Equality and order. Numbers compare as numbers, whatever their kinds; values of other kinds are
//! unequal, and have no order.

use std::cmp::Ordering;

use crate::value::Value;

/// 2^63 and 2^64: the first doubles beyond ints and uints.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

/// The order of two values; `Ok(None)` if one is NaN.
///
/// # Errors
/// They have no order.
#[inline]
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, ()> {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => Ok(a.partial_cmp(b)),
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::String(a), Value::String(b)) => Ok(Some((**a).cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some((**a).cmp(b))),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Some(a.cmp(b))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        _ => numbers(a, b).ok_or(()),
    }
}

/// Whether two values that are neither lists nor maps are equal; those are equal to nothing here.
#[inline]
pub(crate) fn scalars_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Null, Value::Null) => true,
        _ => order(a, b) == Ok(Some(Ordering::Equal)),
    }
}

/// `None` if one is no number.
fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(int_uint(*a, *b)),
        (Value::Int(a), Value::Double(b)) => int_double(*a, *b),
        (Value::Uint(a), Value::Int(b)) => Some(int_uint(*b, *a).reverse()),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Double(b)) => uint_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => int_double(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => uint_double(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        _ => return None,
    })
}

fn int_uint(a: i64, b: u64) -> Ordering {
    u64::try_from(a).map_or(Ordering::Less, |a| a.cmp(&b))
}

/// Exact: a double between two ints that it cannot tell apart would make equality no equivalence.
fn int_double(a: i64, b: f64) -> Option<Ordering> {
    match b {
        _ if b.is_nan() => None,
        _ if b >= INT_END => Some(Ordering::Less),
        _ if b < -INT_END => Some(Ordering::Greater),
        _ => a.cmp(&(b as i64)).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal)).into(),
    }
}

fn uint_double(a: u64, b: f64) -> Option<Ordering> {
    match b {
        _ if b.is_nan() => None,
        _ if b >= UINT_END => Some(Ordering::Less),
        _ if b < 0.0 => Some(Ordering::Greater),
        _ => a.cmp(&(b as u64)).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        let large = (1_i64 << 53) + 1;
        assert_eq!(order(&Value::Int(large), &Value::Double(9_007_199_254_740_992.0)), Ok(Some(Ordering::Greater)));
        assert_eq!(order(&Value::Int(i64::MAX), &Value::Double(INT_END)), Ok(Some(Ordering::Less)));
        assert_eq!(order(&Value::Double(-0.5), &Value::Int(0)), Ok(Some(Ordering::Less)));
        assert_eq!(order(&Value::Uint(u64::MAX), &Value::Double(UINT_END)), Ok(Some(Ordering::Less)));
        assert_eq!(order(&Value::Uint(0), &Value::Double(-0.5)), Ok(Some(Ordering::Greater)));
        assert_eq!(order(&Value::Int(-1), &Value::Uint(u64::MAX)), Ok(Some(Ordering::Less)));
        assert_eq!(order(&Value::Double(f64::NAN), &Value::Int(0)), Ok(None));
        assert_eq!(order(&Value::Int(0), &Value::Bool(false)), Err(()));
    }
}
