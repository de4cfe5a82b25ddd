//! The records that a key stands for, while they are gathered: nearly all come in order, one after the other.

use roaring::RoaringBitmap;

/// A set of records that is added to.
#[derive(Debug, Default)]
pub(super) struct List {
    gathered: RoaringBitmap,
    /// The newest ones, perhaps out of order.
    newest: Vec<u32>,
}

impl List {
    pub(super) fn push(&mut self, number: u32) {
        if self.newest.last() == Some(&number) {
            return;
        }
        if self.newest.len() == NEWEST {
            self.gather();
        }
        self.newest.push(number);
    }

    /// Adds all of `numbers`.
    pub(super) fn join(&mut self, numbers: &RoaringBitmap) {
        self.gathered |= numbers;
    }

    /// All of them.
    pub(super) fn finish(mut self) -> RoaringBitmap {
        self.gather();
        self.gathered
    }

    fn gather(&mut self) {
        // A statement is found by its end, too, and comes before it.
        if !self.newest.is_sorted() {
            self.newest.sort_unstable();
        }
        self.newest.dedup();
        let is_behind = self.gathered.max().is_none_or(|last| self.newest.first().is_some_and(|first| *first > last));
        let appended = is_behind && self.gathered.append(self.newest.iter().copied()).is_ok();
        if !appended {
            self.gathered.extend(self.newest.iter().copied());
        }
        self.newest.clear();
    }
}

/// Records that are kept one by one.
const NEWEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_order_all_are_there_once() {
        let mut list = List::default();
        let mut expected = RoaringBitmap::new();
        for number in (0..5000u32).map(|number| if number % 7 == 3 { number.saturating_sub(300) } else { number * 2 }) {
            list.push(number);
            list.push(number);
            expected.insert(number);
        }
        let more = RoaringBitmap::from_iter([1, 70_000]);
        list.join(&more);
        assert_eq!(list.finish(), expected | more);
    }
}
