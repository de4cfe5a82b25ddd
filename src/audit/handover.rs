//! What was written and is still to be taken up into the log: the frames as they stand in the file, kept so that they need not
//! be read back. Bounded: where the log falls behind, it reads the files instead. Holds no keys, only their ids.

use super::seal::KeyId;

/// Frames of the journal's own directory that follow each other, as they were written.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    first_seq: u64,
    frames: Vec<u8>,
    /// That of each frame's payload.
    key_ids: Vec<KeyId>,
}

impl Fresh {
    /// The first frame's number.
    pub(super) fn first_seq(&self) -> u64 {
        self.first_seq
    }

    pub(super) fn frames(&self) -> &[u8] {
        &self.frames
    }

    pub(super) fn key_ids(&self) -> &[KeyId] {
        &self.key_ids
    }

    fn next_seq(&self) -> u64 {
        self.first_seq + self.key_ids.len() as u64
    }

    /// Empty, to be filled anew.
    pub(super) fn emptied(mut self) -> Self {
        if self.frames.capacity() > KEPT_BYTES {
            return Self::default();
        }
        self.frames.clear();
        self.key_ids.clear();
        self
    }
}

/// Where the writer leaves frames, and the log takes them.
#[derive(Debug)]
pub(super) struct Handover {
    /// Long enough: they are not made longer, which would copy them while writers wait.
    full: Vec<Fresh>,
    open: Fresh,
    bytes: usize,
    limit: usize,
}

impl Handover {
    /// Keeps at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { full: Vec::new(), open: Fresh::default(), bytes: 0, limit }
    }

    /// Leaves the frames of a batch that was written, the first of which is `first_seq`. What comes after frames that found no
    /// room is left out, too, until those before are taken.
    pub(super) fn add(&mut self, first_seq: u64, frames: &[u8], key_ids: &[KeyId]) {
        if self.open.frames.len() + frames.len() > CHUNK_BYTES && !self.open.key_ids.is_empty() {
            let next = Fresh { first_seq: self.open.next_seq(), ..Fresh::default() };
            self.full.push(std::mem::replace(&mut self.open, next));
        }
        if self.bytes == 0 {
            self.open.first_seq = first_seq;
        }
        if self.open.next_seq() == first_seq && self.bytes + frames.len() <= self.limit {
            self.open.frames.extend_from_slice(frames);
            self.open.key_ids.extend_from_slice(key_ids);
            self.bytes += frames.len();
        }
    }

    /// Takes what is there, in order, and leaves `empty` to be filled.
    pub(super) fn take(&mut self, empty: Fresh) -> Vec<Fresh> {
        let mut taken = std::mem::take(&mut self.full);
        taken.push(std::mem::replace(&mut self.open, empty));
        self.bytes = 0;
        taken
    }
}

/// What is kept while the log brings a checkpoint about.
pub(super) const HANDOVER_BYTES: usize = 8 * 1024 * 1024;
const CHUNK_BYTES: usize = 512 * 1024;
/// A longer buffer is given back.
const KEPT_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(handover: &mut Handover) -> Vec<(u64, usize, usize)> {
        let taken = handover.take(Fresh::default()).into_iter();
        taken.map(|fresh| (fresh.first_seq(), fresh.frames().len(), fresh.key_ids().len())).collect()
    }

    #[test]
    fn what_finds_no_room_leaves_a_gap_and_nothing_follows_it() {
        let mut handover = Handover::new(10);
        handover.add(1, b"abcd", &[[1; 32], [2; 32]]);
        handover.add(3, b"efgh", &[[3; 32]]);
        handover.add(4, b"ijkl", &[[4; 32]]);
        handover.add(5, b"m", &[[5; 32]]);
        assert_eq!(taken(&mut handover), [(1, 8, 3)]);
        handover.add(6, b"n", &[[6; 32]]);
        handover.add(7, b"o", &[[7; 32]]);
        assert_eq!(taken(&mut handover), [(6, 2, 2)]);
        assert!(handover.take(Fresh::default()).iter().all(|fresh| fresh.key_ids().is_empty()));
    }

    #[test]
    fn much_is_handed_over_in_pieces_that_follow_each_other() {
        let mut handover = Handover::new(2_000_000);
        let batch = vec![0; 100_000];
        (0..30).for_each(|batch_number| handover.add(10 + batch_number, &batch, &[[0; 32]]));
        let pieces = taken(&mut handover);
        assert_eq!(pieces.iter().map(|piece| piece.1).sum::<usize>(), 2_000_000);
        let mut next = 10;
        for (first_seq, _, records) in pieces {
            assert_eq!(first_seq, next);
            next += records as u64;
        }
        assert_eq!(next, 30);
        handover.add(40, b"n", &[[6; 32]]);
        assert_eq!(taken(&mut handover), [(40, 1, 1)]);
    }
}
