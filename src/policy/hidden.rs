//! Rows past their time that nobody may read any more, purged or not: where PostgreSQL hides them itself nothing is refused,
//! else whatever reads the relation is, as long as there are any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::context::DatabasePolicy;
use super::denial::Refusal;
use crate::access::{Grant, Operation, Scope};
use crate::catalog::{Footprint, TouchedRelation};

/// The relations of one upstream whose overdue rows are hidden; shared with whoever looks whether there are any.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    pub relations: Arc<[HiddenRelation]>,
    /// Whether PostgreSQL was ever found to hide any: from then on sessions' roles have to be those that it hides them from.
    filters: Arc<AtomicBool>,
}

/// One of them.
#[derive(Debug)]
pub struct HiddenRelation {
    pub schema: String,
    pub name: String,
    /// The policy that says so.
    pub policy: String,
    /// For how long rows are kept, in words.
    pub keep: String,
    /// The scopes whose grants read them all the same.
    pub except: Vec<String>,
    state: AtomicU8,
    /// When that was found: seconds since 1970.
    found_at: AtomicI64,
    /// Its partitions, by schema and name.
    parts: ArcSwap<Vec<(String, String)>>,
}

/// Seconds for which what was found holds: whoever looks does so more often.
const GOOD_FOR: i64 = 180;

/// What is known of the overdue rows of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Overdue {
    /// Nobody has looked, or looking failed.
    Unknown = 0,
    /// There are none.
    None = 1,
    Some = 2,
    /// PostgreSQL hides them from the roles of sessions.
    Filtered = 3,
}

impl Hidden {
    #[must_use]
    pub fn new(relations: Vec<HiddenRelation>) -> Self {
        Self { relations: relations.into(), filters: Arc::default() }
    }

    /// What was known before a configuration was read again, where it says the same of these relations: sessions from before and
    /// after then go by what is found from now on.
    pub fn adopt(&mut self, earlier: &Self) {
        let same = |(one, other): (&HiddenRelation, &HiddenRelation)| {
            (&one.schema, &one.name, &one.policy, &one.keep, &one.except)
                == (&other.schema, &other.name, &other.policy, &other.keep, &other.except)
        };
        if self.relations.len() == earlier.relations.len()
            && self.relations.iter().zip(earlier.relations.iter()).all(same)
        {
            *self = earlier.clone();
        }
    }

    /// The same relations, of which nothing is known yet: those of another upstream.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let of = |one: &HiddenRelation| {
            HiddenRelation::new(&one.schema, &one.name, &one.policy, one.keep.clone(), one.except.clone())
        };
        Self::new(self.relations.iter().map(of).collect())
    }

    /// Whether sessions under a grant of this scope have to log in as whom PostgreSQL hides overdue rows from.
    #[must_use]
    pub fn filters(&self, scope: &Scope) -> bool {
        self.filters.load(Ordering::Acquire)
            && self.relations.iter().any(|relation| !relation.except.contains(&scope.name))
    }

    /// Takes that looking at one of the relations failed.
    pub fn unknown(&self, relation: &HiddenRelation) {
        relation.forget();
    }

    /// Takes what was found of one of the relations.
    pub fn found(&self, relation: &HiddenRelation, overdue: Overdue, parts: Vec<(String, String)>, at: Timestamp) {
        if overdue == Overdue::Filtered {
            // Before anything is let through because of it.
            self.filters.store(true, Ordering::Release);
        }
        relation.parts.store(Arc::new(parts));
        // The time last: what was found before is not to look fresh.
        relation.state.store(overdue as u8, Ordering::Release);
        relation.found_at.store(at.as_second(), Ordering::Release);
    }
}

impl HiddenRelation {
    fn forget(&self) {
        self.state.store(Overdue::Unknown as u8, Ordering::Release);
    }

    #[must_use]
    pub fn new(schema: &str, name: &str, policy: &str, keep: String, except: Vec<String>) -> Self {
        Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            policy: policy.to_owned(),
            keep,
            except,
            state: AtomicU8::new(Overdue::Unknown as u8),
            found_at: AtomicI64::new(i64::MIN),
            parts: ArcSwap::default(),
        }
    }

    /// What is known at an instant: what was found long before it is not.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Overdue {
        let age = now.as_second().saturating_sub(self.found_at.load(Ordering::Acquire));
        if age > GOOD_FOR {
            return Overdue::Unknown;
        }
        match self.state.load(Ordering::Acquire) {
            1 => Overdue::None,
            2 => Overdue::Some,
            3 => Overdue::Filtered,
            _unknown => Overdue::Unknown,
        }
    }

    /// Whether a statement touches it; and whether it does so in a way that PostgreSQL can hide rows from.
    fn is(&self, touched: &TouchedRelation) -> Option<bool> {
        let of = |schema: &str, name: &str| touched.schema == schema && touched.name == name;
        if of(&self.schema, &self.name) {
            // A view reads as its owner does, from whom nothing is hidden.
            return Some(touched.through.is_none());
        }
        // A partition that is named itself has no row security of the whole's.
        let is_part = self.parts.load().iter().any(|(schema, name)| of(schema, name));
        is_part.then_some(touched.through.is_none() && touched.child_of.is_some())
    }
}

/// Whether nothing that a statement reads holds rows that nobody may read any more.
pub(super) fn check(
    footprint: &Footprint,
    grant: &Grant,
    database: &DatabasePolicy,
    now: Timestamp,
) -> Result<(), Refusal> {
    let hidden = database.hidden.relations.iter().filter(|hidden| !hidden.except.contains(&grant.scope.name));
    for hidden in hidden {
        for touched in footprint.relations.iter().filter(|touched| reads(touched)).chain(&footprint.sources) {
            let Some(by_session) = hidden.is(touched) else { continue };
            let is_open = match hidden.overdue(now) {
                Overdue::None => true,
                Overdue::Filtered => by_session,
                Overdue::Some | Overdue::Unknown => false,
            };
            if !is_open {
                let known = hidden.overdue(now) != Overdue::Unknown;
                let (policy, keep) = (hidden.policy.clone(), hidden.keep.clone());
                return Err(Refusal::Overdue { relation: Box::new(touched.clone()), policy, keep, known });
            }
        }
    }
    Ok(())
}

/// Whether rows that are there come into sight, or could be told by what happens to them.
fn reads(touched: &TouchedRelation) -> bool {
    match touched.operation {
        Operation::Select | Operation::Update | Operation::Delete => true,
        Operation::Insert | Operation::Truncate | Operation::Ddl => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn hidden(keep: &str) -> Hidden {
        Hidden::new(vec![HiddenRelation::new("public", "notes", "notes", keep.to_owned(), Vec::new())])
    }

    #[test]
    fn what_nobody_has_looked_at_lately_is_unknown() {
        let (hidden, at) = (hidden("30 days"), Timestamp::from_second(10_000).unwrap());
        let relation = &hidden.relations[0];
        assert_eq!(relation.overdue(at), Overdue::Unknown);
        hidden.found(relation, Overdue::None, Vec::new(), at);
        assert_eq!(relation.overdue(Timestamp::from_second(10_180).unwrap()), Overdue::None);
        assert_eq!(relation.overdue(Timestamp::from_second(10_181).unwrap()), Overdue::Unknown);
        hidden.unknown(relation);
        assert_eq!(relation.overdue(at), Overdue::Unknown);
    }

    #[test]
    fn a_reload_that_says_the_same_keeps_what_is_known() {
        let (earlier, at) = (hidden("30 days"), Timestamp::from_second(10_000).unwrap());
        let (mut same, mut other) = (hidden("30 days"), hidden("60 days"));
        same.adopt(&earlier);
        other.adopt(&earlier);
        earlier.found(&earlier.relations[0], Overdue::Some, Vec::new(), at);
        assert_eq!((same.relations[0].overdue(at), other.relations[0].overdue(at)), (Overdue::Some, Overdue::Unknown));
    }
}
