//! Which records go to a sink.

use crate::access::Region;
use crate::audit::{Entry, Event};

/// Which records go to a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub regions: Regions,
    /// Only these; all if nothing is named.
    pub events: Option<Vec<Event>>,
}

/// By the region of a record: the one whose data its statement touches, or else the one that its upstream lies in. A record
/// without a region goes to every sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Every region's but of these, which keep their own.
    AllBut(Vec<Region>),
    /// Of these alone.
    Only(Vec<Region>),
}

impl Selection {
    /// Whether the record goes there.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let record = &entry.record;
        if self.events.as_ref().is_some_and(|events| !events.contains(&record.event)) {
            return false;
        }
        // As the journal decides which region's directory keeps it.
        let Some(region) = record.data_region.as_ref().or(record.upstream_region.as_ref()) else { return true };
        match &self.regions {
            Regions::AllBut(kept) => !kept.contains(region),
            Regions::Only(named) => named.contains(region),
        }
    }
}
