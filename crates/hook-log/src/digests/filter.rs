//! A Bloom filter over digests: whether a run may have one, without reading it.

use fastbloom::BloomFilter;

/// With seven hashes, about one in 120 digests that are not there passes.
const BITS_PER_KEY: usize = 10;
const HASHES: u32 = 7;

/// The filter of a run.
pub(super) struct Filter(BloomFilter);

impl Filter {
    /// An empty one for so many keys.
    pub(super) fn for_keys(count: usize) -> Self {
        Self(BloomFilter::with_num_bits((count * BITS_PER_KEY).max(64)).hashes(HASHES))
    }

    pub(super) fn insert(&mut self, digest: &[u8; 16]) {
        self.0.insert_hash(hash(digest));
    }

    pub(super) fn may_have(&self, digest: &[u8; 16]) -> bool {
        self.0.contains_hash(hash(digest))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.as_slice().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// What [`Filter::to_bytes`] has made; `None` where that cannot be.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let is_one = !words.is_empty() && rest.is_empty();
        let words = || words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        is_one.then(|| Self(BloomFilter::from_vec(words()).hashes(HASHES)))
    }
}

/// The half of a digest by which runs are not sorted.
fn hash(digest: &[u8; 16]) -> u64 {
    u64::from_le_bytes(*digest.last_chunk().expect("sixteen bytes have eight last ones"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters are in files: a filter that set other bits would say of keys that they were never seen.
    #[test]
    fn the_bits_are_those_of_the_specification() {
        let mut filter = Filter::for_keys(100);
        let mut expected = [0_u64; 16];
        for number in 1..=100_u64 {
            let mut h = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut digest = [0; 16];
            digest[8..].copy_from_slice(&h.to_le_bytes());
            filter.insert(&digest);
            let g = h.wrapping_mul(0x517c_c1b7_2722_0a95);
            for _ in 0..HASHES {
                let bit = (u128::from(h) * (16 * 64)) >> 64;
                expected[(bit / 64) as usize] |= 1 << (bit % 64);
                h = h.rotate_left(5).wrapping_add(g);
            }
        }
        let expected: Vec<u8> = expected.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(filter.to_bytes(), expected);
    }

    #[test]
    fn what_was_put_in_passes_and_little_else_does_also_from_a_file() {
        let digest = |number: u64| {
            let mut digest = [0; 16];
            digest[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            digest
        };
        let mut filter = Filter::for_keys(10_000);
        (0..10_000).for_each(|number| filter.insert(&digest(number)));
        let bytes = filter.to_bytes();
        assert!(bytes.len() <= 10_000 * BITS_PER_KEY / 8 + 8, "{}", bytes.len());
        let filter = Filter::from_bytes(&bytes).unwrap();
        assert!((0..10_000).all(|number| filter.may_have(&digest(number))));
        let wrong = (10_000..110_000).filter(|&number| filter.may_have(&digest(number))).count();
        assert!(wrong < 2_000, "{wrong} of 100000");
        assert!(Filter::from_bytes(&bytes[1..]).is_none());
    }
}
