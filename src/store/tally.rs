//! How much of everything is stored, at an instant: for those who watch a running pgward.

/// Counts at an instant. What has run out by then counts as such, whether or not that is written down yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that wait for a decision.
    pub pending: u64,
    /// Requests that came to an end, ever.
    pub approved: u64,
    pub denied: u64,
    pub withdrawn: u64,
    pub expired: u64,
    /// Grants that can be used now.
    pub grants_live: u64,
    /// Those of them that were opened in an emergency.
    pub break_glass_live: u64,
    /// Reviews that nobody has closed.
    pub reviews_open: u64,
    /// Those of them that should have been closed by now.
    pub reviews_overdue: u64,
}
