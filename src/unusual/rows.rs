//! How many rows a principal reads, per statement and per hour, as counts by powers of two.

use jiff::Timestamp;

/// Fewer samples say nothing about what is usual.
const ENOUGH: u64 = 30;
/// Counts are halved as often, so that what was long ago weighs less.
const HALF_LIFE_SECONDS: i64 = 30 * 86_400;

/// Counts of samples, by the power of two that each is below.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    below: [u64; 65],
    halved_at: Option<Timestamp>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { below: [0; 65], halved_at: None }
    }
}

impl Counts {
    pub(super) fn add(&mut self, sample: u64, at: Timestamp) {
        let since = *self.halved_at.get_or_insert(at);
        if at.as_second() - since.as_second() >= HALF_LIFE_SECONDS {
            self.below.iter_mut().for_each(|count| *count /= 2);
            self.halved_at = Some(at);
        }
        let place = (u64::BITS - sample.leading_zeros()) as usize;
        if let Some(count) = self.below.get_mut(place) {
            *count += 1;
        }
    }

    /// What 99 of 100 samples are below, rounded up to a power of two; `None` while there are too few.
    pub(super) fn usual(&self) -> Option<u64> {
        let all: u64 = self.below.iter().sum();
        if all < ENOUGH {
            return None;
        }
        let mut seen = 0;
        let place = self.below.iter().position(|count| {
            seen += count;
            seen * 100 >= all * 99
        })?;
        Some(1_u64.checked_shl(u32::try_from(place).ok()?).unwrap_or(u64::MAX))
    }
}

/// Rows of the hour that runs, and of the hours before it in which there were any.
#[derive(Clone, Debug, Default)]
pub(super) struct Hours {
    hour: i64,
    rows: u64,
    before: Counts,
}

impl Hours {
    /// Adds rows; answers how many the hour has by now, and what is usual for one.
    pub(super) fn add(&mut self, rows: u64, at: Timestamp) -> (u64, Option<u64>) {
        let hour = at.as_second().div_euclid(3_600);
        if hour != self.hour {
            if self.rows > 0 {
                self.before.add(self.rows, at);
            }
            (self.hour, self.rows) = (hour, 0);
        }
        self.rows = self.rows.saturating_add(rows);
        (self.rows, self.before.usual())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_what_ninety_nine_of_a_hundred_are_below() {
        let mut counts = Counts::default();
        for _ in 0..29 {
            counts.add(100, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(counts.usual(), None, "too few");
        for _ in 0..171 {
            counts.add(100, Timestamp::UNIX_EPOCH);
        }
        counts.add(1_000_000, Timestamp::UNIX_EPOCH);
        assert_eq!(counts.usual(), Some(128), "one of two hundred is not usual");
        for _ in 0..5 {
            counts.add(1_000_000, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(counts.usual(), Some(1 << 20));
        counts.add(u64::MAX, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn hours_are_summed_by_themselves() {
        let mut hours = Hours::default();
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        for hour in 1..=31 {
            hours.add(40, at(hour * 3_600));
            assert_eq!(hours.add(50, at(hour * 3_600 + 3_599)).0, 90);
        }
        assert_eq!(hours.add(1, at(32 * 3_600)), (1, Some(128)));
    }
}
