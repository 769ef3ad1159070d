//! Is there a text that two patterns both match?

/// Whether some text matches both patterns, where `*` is any text and `?` any one character.
pub(crate) fn can_match_one_text(left: &str, right: &str) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    // `row[j]`: the patterns from `left[i..]` and `right[j..]` have a text in common. Filled from the end.
    let mut below = vec![false; right.len() + 1];
    for i in (0..=left.len()).rev() {
        let mut row = vec![false; right.len() + 1];
        for j in (0..=right.len()).rev() {
            row[j] = match (left.get(i), right.get(j)) {
                (None, None) => true,
                // A star stands for nothing, or for what the other pattern takes next.
                (Some('*'), _) if below[j] => true,
                (_, Some('*')) if row[j + 1] => true,
                (Some('*'), Some(_)) => row[j + 1],
                (Some(_), Some('*')) => below[j],
                (Some('?'), Some(_)) | (Some(_), Some('?')) => below[j + 1],
                (Some(one), Some(other)) => one == other && below[j + 1],
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_where_a_text_matches_both() {
        let overlap = [
            ("*", "*"),
            ("", "*"),
            ("a*", "*b"),
            ("issues.*", "*.opened"),
            ("a?c", "ab?"),
            ("push", "push"),
            ("*a*", "b*b"),
            ("?*", "x"),
        ];
        for (left, right) in overlap {
            assert!(can_match_one_text(left, right), "{left} {right}");
            assert!(can_match_one_text(right, left), "{right} {left}");
        }
        for (left, right) in [("a*", "b*"), ("push", "pull"), ("?", ""), ("a?", "a"), ("*.opened", "*.closed")] {
            assert!(!can_match_one_text(left, right), "{left} {right}");
            assert!(!can_match_one_text(right, left), "{right} {left}");
        }
    }
}
