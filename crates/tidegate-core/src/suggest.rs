//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `name`, if one is near enough to be a slip of the finger: at most a
/// third of its length in edits (insert, delete, replace, swap of neighbours), at least one.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let edits_max = |candidate: &str| (candidate.chars().count().max(length) / 3).max(1);
    candidates
        .into_iter()
        // A name may be as long as a client likes; each character too many is an edit.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= edits_max(candidate))
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= edits_max(candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut two_back: Vec<usize> = Vec::new();
    let mut back: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = back[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(back[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(two_back[j - 2] + 1);
            }
            row.push(best);
        }
        two_back = std::mem::replace(&mut back, row);
    }
    back[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let options = ["after", "from", "key", "limit", "snapshot"];
        assert_eq!(nearest("aftre", options), Some("after"));
        assert_eq!(nearest("Limit", options), Some("limit"));
        assert_eq!(nearest("snapshots", options), Some("snapshot"));
        assert_eq!(nearest("zzz", options), None);
    }

    /// Compared letter by letter, this would take minutes.
    #[test]
    fn a_name_that_is_far_too_long_is_not_compared() {
        let long = "after".repeat(20_000_000);
        assert_eq!(nearest(&long, ["after", "from", "key", "limit", "snapshot"]), None);
    }
}
