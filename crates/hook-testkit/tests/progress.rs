//! A cursor's progress against its model: a set of offsets.

use std::collections::BTreeSet;

use hook_core::progress::Progress;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Change {
    Finish(u64, u64),
    Raise(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (0..64_u64, 0..6_u64).prop_map(|(start, length)| Change::Finish(start, start + length)),
        1 => (0..64_u64).prop_map(Change::Raise),
    ]
}

proptest! {
    #[test]
    fn progress_is_a_set_of_offsets(begin in 0..8_u64, changes in prop::collection::vec(change(), 0..60)) {
        let mut progress = Progress::at(begin);
        let mut model: BTreeSet<u64> = (0..begin).collect();
        for change in changes {
            match change {
                Change::Finish(start, end) => {
                    progress.finish(start..end);
                    model.extend(start..end);
                }
                Change::Raise(to) => {
                    progress.raise(to);
                    model.extend(0..to);
                }
            }
            let open = |from: u64| (from..).find(|offset| !model.contains(offset)).unwrap();
            let watermark = open(0);
            prop_assert_eq!(progress.watermark(), watermark);
            prop_assert_eq!(progress.above().count(), model.range(watermark..).count() as u64);
            for offset in 0..80 {
                prop_assert_eq!(progress.is_done(offset), model.contains(&offset), "offset {}", offset);
                prop_assert_eq!(progress.first_open(offset), open(offset), "from {}", offset);
            }
            let above: Vec<u64> = progress.above().iter().flatten().collect();
            prop_assert_eq!(above, model.range(watermark..).copied().collect::<Vec<_>>());
            let ranges: Vec<_> = progress.above().iter().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "ranges touch: {:?}", ranges);
        }
    }
}
