//! Which records go to a sink.

use serde::Deserialize;

use crate::access::Region;
use crate::audit::{Entry, Event};

/// Which records go to a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub regions: Regions,
    /// Only these; all if nothing is named.
    pub events: Option<Vec<Event>>,
}

/// Records of statements that touch data of a region may be kept from going elsewhere. A record that no region's data is in
/// goes to every sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Every region's but of these, which keep their own.
    AllBut(Vec<Region>),
    /// Of these alone.
    Only(Vec<Region>),
}

impl Selection {
    /// Whether the record goes there. One whose region cannot be read does not.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        if self.events.as_ref().is_some_and(|events| !events.contains(&entry.record.event)) {
            return false;
        }
        match Placed::of(&entry.canonical) {
            Placed::Nowhere => true,
            Placed::Unreadable => false,
            Placed::In(region) => match &self.regions {
                Regions::AllBut(kept) => !kept.contains(&region),
                Regions::Only(named) => named.contains(&region),
            },
        }
    }
}

/// Whose data a record speaks of.
enum Placed {
    Nowhere,
    In(Region),
    Unreadable,
}

impl Placed {
    /// Read from the canonical bytes; most hold no such key, and are not parsed again.
    fn of(canonical: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            data_region: Option<Region>,
        }
        if !canonical.windows(KEY.len()).any(|window| window == KEY) {
            return Self::Nowhere;
        }
        match serde_json::from_slice::<Part>(canonical) {
            Ok(Part { data_region: Some(region) }) => Self::In(region),
            // The key stood inside of a text.
            Ok(Part { data_region: None }) => Self::Nowhere,
            Err(_) => Self::Unreadable,
        }
    }
}

const KEY: &[u8] = b"\"data_region\"";
