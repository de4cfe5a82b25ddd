//! Proof that a permitted statement is in the journal.

use crate::access::{GrantId, Guards, Region};
use crate::policy::{ExportClaim, Permit};

/// Proof that one statement was permitted and recorded. Only [`super::Journal::settle`] gives one away, for a
/// [`Permit`]; forwarding a frame with SQL consumes it.
#[derive(Debug)]
#[must_use = "a receipt that is dropped lets nothing through"]
pub struct Receipt {
    seq: u64,
    permit: Permit,
}

impl Receipt {
    pub(in crate::audit) fn new(permit: Permit, seq: u64) -> Self {
        Self { seq, permit }
    }

    /// The record's position in the journal.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The grant that allows the statement.
    #[must_use]
    pub fn grant(&self) -> &GrantId {
        self.permit.grant()
    }

    /// The region that keeps the record, where it is not the upstream's: the record of the statement's end belongs there, too.
    #[must_use]
    pub fn data_region(&self) -> Option<&Region> {
        self.permit.data_region()
    }

    /// What bounds the statement.
    #[must_use]
    pub fn guards(&self) -> Guards {
        self.permit.guards()
    }

    /// The bounds that the statement's rows count against.
    #[must_use]
    pub fn exports(&self) -> &[ExportClaim] {
        self.permit.exports()
    }
}
