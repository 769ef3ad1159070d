//! The corpora of the repository are judged as well as they were: a change that makes it worse fails here.

mod corpus;

use corpus::{Figures, Sample};

/// The least share of injections that is found, and the largest share of benign texts that is flagged.
fn check(samples: &[Sample], splits: &[(&str, f64)], precision: f64) {
    let figures = Figures::of(samples);
    for (split, recall) in splits {
        let (injections, benign) = (figures.count(split, "injection", "all"), figures.count(split, "benign", "all"));
        assert!(benign.all >= injections.all * 3 / 2, "{split}");
        assert!(benign.share() <= 0.02, "{split}: {benign:?}");
        assert!(injections.share() >= *recall, "{split}: {injections:?}");
        assert!(figures.precision(split) >= precision, "{split}");
    }
}

#[test]
fn few_benign_texts_are_flagged_and_most_injections_are() {
    check(&corpus::own(), &[("all", 0.91), ("tune", 0.93), ("held_out", 0.88)], 0.96);
}

#[test]
fn texts_that_were_written_without_a_look_at_the_rules_are_judged_too() {
    check(&corpus::independent(), &[("all", 0.80), ("tune", 0.94), ("held_out", 0.66)], 0.95);
}
