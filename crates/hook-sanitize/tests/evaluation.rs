//! The corpus of the repository is judged as well as it was: a change that makes it worse fails here.

mod corpus;

use corpus::Figures;

#[test]
fn few_benign_texts_are_flagged_and_most_injections_are() {
    let samples = corpus::own();
    let figures = Figures::of(&samples);
    for split in ["all", "tune", "held_out"] {
        let (injections, benign) = (figures.count(split, "injection", "all"), figures.count(split, "benign", "all"));
        assert!(benign.all >= injections.all * 3 / 2, "{split}");
        assert!(benign.share() <= 0.02, "{split}: {benign:?}");
        assert!(injections.share() >= 0.80, "{split}: {injections:?}");
        assert!(figures.precision(split) >= 0.95, "{split}");
    }
}
