//! What all sessions of a database keep by a hash: split into parts, so that they do not wait for one another, and bounded by
//! number and by bytes, whatever strangers send.
//!
//! Each part has two generations: when the young one is full it becomes the old one, and what is asked for again comes back.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

/// Parts, a power of two.
const PARTS: usize = 16;

/// What is kept, by a hash with a random key of its own. Whoever looks something up compares it whole: a hash alone never
/// says that two things are the same.
#[derive(Debug)]
pub(super) struct Kept<T> {
    hashes: ahash::RandomState,
    parts: [RwLock<Generations<T>>; PARTS],
    limits: Bounds,
}

/// Bounds of one generation of one part.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    number: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Generations<T> {
    young: Map<T>,
    old: Map<T>,
    /// Bytes of the young one.
    bytes: usize,
}

type Map<T> = HashMap<u64, Entry<T>, BuildHasherDefault<AsItIs>>;

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
}

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<T> Kept<T> {
    /// At most `number` things, and `bytes` of them, in both generations together.
    pub(super) fn new(number: usize, bytes: usize) -> Self {
        let empty = || RwLock::new(Generations { young: Map::default(), old: Map::default(), bytes: 0 });
        let share = 2 * PARTS;
        let limits = Bounds { number: number / share, bytes: bytes / share };
        Self { hashes: ahash::RandomState::new(), parts: std::array::from_fn(|_| empty()), limits }
    }

    pub(super) fn hash(&self, write: impl FnOnce(&mut ahash::AHasher)) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        write(&mut hasher);
        hasher.finish()
    }

    fn part(&self, hash: u64) -> Option<&RwLock<Generations<T>>> {
        // The maps themselves go by the lowest and the highest bits.
        self.parts.get((hash >> 32) as usize % PARTS)
    }

    /// What `take` makes of the thing that is kept by this hash, where that is the one that is asked for.
    pub(super) fn find<R>(&self, hash: u64, take: impl Fn(&Arc<T>) -> Option<R>) -> Option<R> {
        let part = self.part(hash)?;
        {
            let generations = part.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = generations.young.get(&hash) {
                return take(&entry.value);
            }
            generations.old.get(&hash)?;
        }
        let mut generations = part.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have brought it back meanwhile.
        if let Some(entry) = generations.young.get(&hash) {
            return take(&entry.value);
        }
        let found = take(&generations.old.get(&hash)?.value)?;
        if let Some(entry) = generations.old.remove(&hash) {
            generations.insert(hash, entry, self.limits);
        }
        Some(found)
    }

    /// Keeps a thing of so many bytes, unless it is more than any one may take up.
    pub(super) fn keep(&self, hash: u64, value: Arc<T>, bytes: usize) {
        let Some(part) = self.part(hash).filter(|_| bytes <= self.limits.bytes) else { return };
        let mut generations = part.write().unwrap_or_else(PoisonError::into_inner);
        generations.old.remove(&hash);
        generations.insert(hash, Entry { value, bytes }, self.limits);
    }

    /// How many things are kept, and bytes of them.
    pub(super) fn size(&self) -> (usize, usize) {
        let of = |map: &Map<T>| (map.len(), map.values().map(|entry| entry.bytes).sum::<usize>());
        let sizes = self.parts.iter().flat_map(|part| {
            let generations = part.read().unwrap_or_else(PoisonError::into_inner);
            [of(&generations.young), of(&generations.old)]
        });
        sizes.fold((0, 0), |(number, bytes), (more, heavier)| (number + more, bytes + heavier))
    }
}

impl<T> Generations<T> {
    fn insert(&mut self, hash: u64, entry: Entry<T>, limits: Bounds) {
        if self.young.len() >= limits.number || self.bytes + entry.bytes > limits.bytes {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += entry.bytes;
        if let Some(before) = self.young.insert(hash, entry) {
            self.bytes = self.bytes.saturating_sub(before.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_stays_and_the_rest_goes() {
        let kept = Kept::new(64, 1 << 20);
        for number in 0..100_000_u64 {
            let hash = kept.hash(|hasher| hasher.write_u64(number));
            kept.keep(hash, Arc::new(number), 100);
            let first = kept.hash(|hasher| hasher.write_u64(0));
            assert_eq!(kept.find(first, |known| Some(**known)), Some(0), "after {number}");
        }
        let (number, bytes) = kept.size();
        assert!(number <= 64 && bytes <= 6_400, "{number} of {bytes} bytes");
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let kept = Kept::new(1 << 20, 1 << 20);
        for number in 0..10_000_u64 {
            let hash = kept.hash(|hasher| hasher.write_u64(number));
            kept.keep(hash, Arc::new(number), 10_000);
        }
        assert!(kept.size().1 <= 1 << 20, "{:?}", kept.size());
        kept.keep(7, Arc::new(7), 1 << 20);
        assert_eq!(kept.find(7, |known| Some(**known)), None, "too large to be kept at all");
    }

    #[test]
    fn a_hash_alone_says_nothing() {
        let kept = Kept::new(64, 1 << 20);
        kept.keep(7, Arc::new("one"), 10);
        assert_eq!(kept.find(7, |known| (**known == "other").then_some(())), None);
        kept.keep(7, Arc::new("other"), 10);
        assert_eq!(kept.find(7, |known| Some(**known)), Some("other"));
        assert_eq!(kept.size(), (1, 10));
    }
}
