//! Why the desk did not do what was asked.

use super::NotAnalysed;
use crate::access::{ApprovalRefused, EditRefused, RequestId, RequestRefused, ReviewRefused, WithdrawalRefused};
use crate::audit::JournalError;
use crate::store::StoreError;

/// Nothing was done, and the journal says so where it had been told otherwise.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("there is no scope \"{}\"", .0.escape_debug())]
    NoScope(String),
    #[error("you have {0} requests pending")]
    TooMany(usize),
    #[error("`{field}` {wrong}")]
    Text { field: &'static str, wrong: String },
    #[error(transparent)]
    Refused(#[from] RequestRefused),
    #[error(transparent)]
    NotApproved(#[from] ApprovalRefused),
    #[error(transparent)]
    NotEdited(#[from] EditRefused),
    #[error(transparent)]
    NotWithdrawn(#[from] WithdrawalRefused),
    #[error(transparent)]
    NotReviewed(#[from] ReviewRefused),
    #[error("scope \"{scope}\" is no longer offered to \"{principal}\"")]
    NotOffered { scope: String, principal: String, request: RequestId },
    #[error("only a grant of your own that is not over can be prolonged")]
    NotYours,
    #[error(transparent)]
    NotAnalysed(#[from] NotAnalysed),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", .0.0)]
    Journal(JournalError),
}

impl From<JournalError> for DeskError {
    fn from(error: JournalError) -> Self {
        DeskError::Journal(error)
    }
}

/// Refuses text that is too long or holds what nobody types.
///
/// # Errors
/// [`DeskError::Text`]
pub fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), DeskError> {
    let wrong = if text.len() > max {
        format!("is longer than {max} bytes")
    } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        "holds control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(DeskError::Text { field, wrong })
}
