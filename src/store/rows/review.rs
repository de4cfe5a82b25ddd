//! A row of the table `reviews`.

use super::values::{damaged, instant_out};
use crate::access::{GrantId, Review, ReviewClosing};
use crate::store::StoreError;

/// A row as it lies in the table.
pub(in crate::store) struct RawReview {
    pub grant: String,
    pub due: i64,
    pub closed_at: Option<i64>,
    pub closed_by: Option<String>,
    pub note: Option<String>,
}

impl RawReview {
    pub fn parse(self) -> Result<Review, StoreError> {
        let closed = match (self.closed_at, self.closed_by, self.note) {
            (None, None, None) => None,
            (Some(at), Some(by), Some(note)) => Some(ReviewClosing { at: instant_out(at)?, by, note }),
            _half => return Err(damaged(&"half a review")),
        };
        Ok(Review { grant: GrantId::from_text(self.grant), due: instant_out(self.due)?, closed })
    }
}
