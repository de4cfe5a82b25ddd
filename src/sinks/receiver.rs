//! What every receiver does: take records in order and say when it has them.

use std::time::Duration;

use crate::audit::Entry;

/// Where records go.
#[async_trait::async_trait]
pub(super) trait Receiver: Send {
    /// Delivers the records, in order. Returning is the acknowledgement: they will not be sent again. After an error all
    /// of them will be, whatever arrived.
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError>;
}

/// What an acknowledgement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    All,
    /// All but so many, which the receiver will never take.
    AllBut(u64, String),
}

/// Why records were not acknowledged. For the log and the journal: no secret, and no record's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DeliveryError {
    /// To be tried again.
    #[error("{0}")]
    Failed(String),
    /// To be tried again, and not before so long.
    #[error("{1}")]
    Later(Duration, String),
    /// To be tried again with fewer records.
    #[error("{0}")]
    TooLarge(String),
    /// It would be refused again. A notification is given up; everything else is tried again all the same.
    #[error("{0}")]
    Refused(String),
    /// The receiver wants no more, for ever.
    #[error("{0}")]
    Gone(String),
}
