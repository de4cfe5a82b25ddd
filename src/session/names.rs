//! What the names of a session may mean: prepared statements (Parse and PREPARE share their names) and portals (Bind and
//! DECLARE share theirs).
//!
//! Messages are judged before the upstream has answered the ones in front of them, so a name has a set of *possible*
//! meanings: one more with each message that would give it one, only one left once the upstream says that it did. What a
//! name is used for is judged by all of them. To keep a meaning too long can only deny too much, so removal waits for
//! the upstream's word.
//!
//! A *segment* is what fails as a whole: the messages up to a Sync or through a Query. Within it a name can only mean what it
//! was given last there: had that failed, nothing after it in the segment would run.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use super::analysis::Meaning;
use super::binds::Parameters;
use super::given::Given as Returned;

/// Meanings of one name that await the upstream's word.
const MAX_PENDING: usize = 4_096;
/// PostgreSQL keeps this many bytes of a name (`NAMEDATALEN` - 1), whoever gives it.
const NAME_LENGTH: usize = 63;

/// A name as PostgreSQL's tables hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(kept(name).into())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As much of a name as a key holds.
fn kept(name: &str) -> &[u8] {
    let name = name.as_bytes();
    name.get(..NAME_LENGTH).unwrap_or(name)
}

/// Orders all changes of all names of a session.
pub type Change = u64;

/// One prepared statement that a name may mean.
pub type Prepared = Arc<Meaning>;

/// One portal or cursor that a name may mean.
#[derive(Clone, Debug)]
pub struct Portal {
    /// What its statement may be; empty where the statement's name was unknown.
    pub meanings: Vec<Arc<Meaning>>,
    pub parameters: Option<Arc<Parameters>>,
    /// What it has given its client so far.
    pub rows: Arc<Returned>,
    /// WITH HOLD: outlives its transaction.
    pub hold: bool,
}

#[derive(Debug)]
struct Table<T> {
    names: HashMap<Key, Vec<Given<T>>, ahash::RandomState>,
    /// Names that there may be, besides the empty one.
    most: usize,
}

/// One possible meaning: what, by which change, in which segment.
#[derive(Debug)]
struct Given<T> {
    meaning: T,
    change: Change,
    segment: u64,
    /// The upstream has said that it is so.
    confirmed: bool,
}

/// The name cannot be given a meaning now: too many are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// So many prepared statements.
    Statements(usize),
    /// So many portals and cursors.
    Portals(usize),
    /// The name was given so many meanings that the upstream has not spoken of.
    Pending(usize),
}

/// As many names as a table may hold are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Names(usize),
    Pending,
}

impl Refused {
    fn of(self, named: impl FnOnce(usize) -> TooMany) -> TooMany {
        match self {
            Refused::Names(most) => named(most),
            Refused::Pending => TooMany::Pending(MAX_PENDING),
        }
    }
}

impl<T> Table<T> {
    fn new(most: usize) -> Self {
        Self { names: HashMap::default(), most }
    }

    /// The empty name is always free: who holds too many can still go on without names.
    fn add(&mut self, key: Key, given: Given<T>) -> Result<(), Refused> {
        let is_full = !key.0.is_empty()
            && self.names.len() >= self.most
            && self.names.len() - usize::from(self.names.contains_key(&[][..])) >= self.most;
        match self.names.get_mut(&key) {
            Some(meanings) if meanings.len() < MAX_PENDING => meanings.push(given),
            Some(_) => return Err(Refused::Pending),
            None if is_full => return Err(Refused::Names(self.most)),
            None => {
                self.names.insert(key, vec![given]);
            }
        }
        Ok(())
    }

    fn get(&self, key: &[u8], segment: u64) -> impl Iterator<Item = &T> {
        let all = self.names.get(key).map(Vec::as_slice).unwrap_or_default();
        let last_alone = all.last().is_some_and(|last| last.segment == segment);
        all.iter().skip(if last_alone { all.len() - 1 } else { 0 }).map(|given| &given.meaning)
    }

    /// The upstream made the change: what the name meant before is gone.
    fn confirm(&mut self, key: &Key, change: Change) {
        if let Some(meanings) = self.names.get_mut(key) {
            meanings.retain(|given| given.change >= change);
            meanings.iter_mut().for_each(|given| given.confirmed |= given.change == change);
        }
    }

    /// The upstream refused the change.
    fn withdraw(&mut self, key: &Key, change: Change) {
        self.retain_meanings(key, |made| made != change);
    }

    /// The name was closed by `change`: only what came later can still be meant.
    fn close(&mut self, key: &Key, change: Change) {
        self.retain_meanings(key, |made| made > change);
    }

    fn retain_meanings(&mut self, key: &Key, keep: impl Fn(Change) -> bool) {
        if let Some(meanings) = self.names.get_mut(key) {
            meanings.retain(|given| keep(given.change));
            if meanings.is_empty() {
                self.names.remove(key);
            }
        }
    }

    fn close_where(&mut self, gone: impl Fn(Change, &T) -> bool) {
        self.names.retain(|_, meanings| {
            meanings.retain(|given| !gone(given.change, &given.meaning));
            !meanings.is_empty()
        });
    }
}

/// The names of one session.
#[derive(Debug)]
pub struct Names {
    statements: Table<Prepared>,
    portals: Table<Portal>,
    last: Change,
    segment: u64,
}

/// What becomes of names when the upstream says that a step succeeded. If it failed, what it added is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameChange {
    AddStatement(Key, Change),
    AddPortal(Key, Change),
    CloseStatement(Key, Change),
    ClosePortal(Key, Change),
    CloseAllStatements(Change),
    CloseAllPortals(Change),
}

impl Names {
    /// With room for so many named statements, and so many named portals.
    #[must_use]
    pub fn new(statements: usize, portals: usize) -> Self {
        Self { statements: Table::new(statements), portals: Table::new(portals), last: 0, segment: 0 }
    }

    pub fn next_change(&mut self) -> Change {
        self.last += 1;
        self.last
    }

    /// What fails from here on does not undo what came before.
    pub fn next_segment(&mut self) {
        self.segment += 1;
    }

    pub fn statements(&self, name: &str) -> impl Iterator<Item = &Prepared> {
        self.statements.get(kept(name), self.segment)
    }

    pub fn portals(&self, name: &str) -> impl Iterator<Item = &Portal> {
        self.portals.get(kept(name), self.segment)
    }

    /// Whether a portal hangs on a Bind of an earlier segment that the upstream has not spoken of. If that fails, what the
    /// upstream has under the name is not known.
    #[must_use]
    pub fn awaits_portal(&self, name: &str) -> bool {
        let newest = self.portals.names.get(kept(name)).and_then(|meanings| meanings.last());
        newest.is_some_and(|given| !given.confirmed && given.segment != self.segment)
    }

    /// # Errors
    /// [`TooMany`]
    pub fn add_statement(&mut self, key: Key, meaning: Prepared) -> Result<NameChange, TooMany> {
        let change = self.next_change();
        let given = Given { meaning, change, segment: self.segment, confirmed: false };
        self.statements.add(key.clone(), given).map_err(|refused| refused.of(TooMany::Statements))?;
        Ok(NameChange::AddStatement(key, change))
    }

    /// # Errors
    /// [`TooMany`]
    pub fn add_portal(&mut self, key: Key, portal: Portal) -> Result<NameChange, TooMany> {
        let change = self.next_change();
        let given = Given { meaning: portal, change, segment: self.segment, confirmed: false };
        self.portals.add(key.clone(), given).map_err(|refused| refused.of(TooMany::Portals))?;
        Ok(NameChange::AddPortal(key, change))
    }

    pub fn succeeded(&mut self, change: &NameChange) {
        match change {
            NameChange::AddStatement(key, change) => self.statements.confirm(key, *change),
            NameChange::AddPortal(key, change) => self.portals.confirm(key, *change),
            NameChange::CloseStatement(key, change) => self.statements.close(key, *change),
            NameChange::ClosePortal(key, change) => self.portals.close(key, *change),
            NameChange::CloseAllStatements(change) => self.statements.close_where(|made, _| made < *change),
            NameChange::CloseAllPortals(change) => self.portals.close_where(|made, _| made < *change),
        }
    }

    pub fn failed(&mut self, change: &NameChange) {
        match change {
            NameChange::AddStatement(key, change) => self.statements.withdraw(key, *change),
            NameChange::AddPortal(key, change) => self.portals.withdraw(key, *change),
            NameChange::CloseStatement(..)
            | NameChange::ClosePortal(..)
            | NameChange::CloseAllStatements(_)
            | NameChange::CloseAllPortals(_) => {}
        }
    }

    /// The upstream is outside of any transaction, and has handled everything before `change`: portals are gone but for
    /// those that are held.
    pub fn transaction_over(&mut self, change: Change) {
        if !self.portals.names.is_empty() {
            self.portals.close_where(|made, portal| made < change && !portal.hold);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn give(table: &mut Table<&'static str>, change: Change, segment: u64, meaning: &'static str) {
        table.add(Key::new("s"), Given { meaning, change, segment, confirmed: false }).unwrap();
    }

    fn meanings(table: &Table<&'static str>, segment: u64) -> Vec<&'static str> {
        table.get(b"s", segment).copied().collect()
    }

    #[test]
    fn a_name_means_all_that_it_may_until_the_upstream_has_spoken() {
        let (mut table, key) = (Table::new(9), Key::new("s"));
        give(&mut table, 1, 1, "old");
        table.confirm(&key, 1);
        give(&mut table, 2, 2, "new");
        assert_eq!(meanings(&table, 3), ["old", "new"]);
        table.withdraw(&key, 2);
        assert_eq!(meanings(&table, 3), ["old"]);
        give(&mut table, 3, 3, "newer");
        give(&mut table, 4, 4, "newest");
        table.confirm(&key, 3);
        assert_eq!(meanings(&table, 5), ["newer", "newest"]);
        table.close(&key, 3);
        assert_eq!(meanings(&table, 5), ["newest"]);
        table.close_where(|made, _| made < 9);
        assert!(table.names.is_empty());
    }

    #[test]
    fn within_a_segment_the_last_meaning_counts() {
        let mut table = Table::new(9);
        give(&mut table, 1, 1, "before");
        give(&mut table, 2, 2, "first");
        give(&mut table, 3, 2, "second");
        assert_eq!(meanings(&table, 2), ["second"]);
        assert_eq!(meanings(&table, 3), ["before", "first", "second"], "the segment may have failed at any place");
    }

    #[test]
    fn names_are_bounded_and_cut_as_postgres_cuts_them() {
        let long = "x".repeat(80);
        assert_eq!(Key::new(&long), Key::new(&long[..63]));
        assert_ne!(Key::new(&long), Key::new(&long[..62]));
        let mut table = Table::new(3);
        let given = |change| Given { meaning: "x", change, segment: 0, confirmed: false };
        for name in ["", "0", "1", "2", "2", ""] {
            table.add(Key::new(name), given(1)).unwrap();
        }
        assert_eq!(table.add(Key::new("one more"), given(1)), Err(Refused::Names(3)));
        table.close(&Key::new(""), 9);
        assert_eq!(table.add(Key::new("one more"), given(1)), Err(Refused::Names(3)));
        table.add(Key::new(""), given(1)).unwrap();
        table.close(&Key::new("2"), 9);
        table.add(Key::new("one more"), given(1)).unwrap();
        for change in 1..MAX_PENDING as u64 {
            table.add(Key::new("0"), given(change)).unwrap();
        }
        assert_eq!(table.add(Key::new("0"), given(99)), Err(Refused::Pending));
    }
}
