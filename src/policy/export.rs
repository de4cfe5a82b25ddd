//! What of a statement's rows counts as leaving a region, and what has left already.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Amount, ExportLimit, GrantId, Region};

/// One bound that a statement's rows count against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportClaim {
    /// Names the counter: the same for every statement that the same rule of the configuration speaks of.
    pub rule: Arc<str>,
    /// The region that the rows leave.
    pub region: Region,
    pub limit: ExportLimit,
}

/// What has left already, by grant and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported(HashMap<GrantId, HashMap<Arc<str>, Amount>>);

impl Exported {
    pub fn insert(&mut self, grant: GrantId, rule: Arc<str>, amount: Amount) {
        self.0.entry(grant).or_default().insert(rule, amount);
    }

    /// What has left under one grant by one rule.
    #[must_use]
    pub fn of(&self, grant: &GrantId, rule: &str) -> Amount {
        self.0.get(grant).and_then(|rules| rules.get(rule)).copied().unwrap_or_default()
    }
}
