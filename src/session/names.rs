//! What the names of a session may mean: prepared statements (Parse and PREPARE share their names) and portals (Bind and
//! DECLARE share theirs).
//!
//! Messages are judged before the upstream has answered the ones in front of them, so a name has a set of *possible*
//! meanings: one more with each message that would give it one, only one left once the upstream says that it did. What a
//! name is used for is judged by all of them. To keep a meaning too long can only deny too much, so removal waits for
//! the upstream's word.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::analysis::Meaning;

/// Names that one session may hold of each kind.
const MAX_NAMES: usize = 5_000;
/// Meanings of one name that await the upstream's word.
const MAX_PENDING: usize = 64;
/// PostgreSQL keeps this many bytes of a name (`NAMEDATALEN` - 1), whoever gives it.
const NAME_LENGTH: usize = 63;

/// A name as PostgreSQL's tables hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.as_bytes().iter().take(NAME_LENGTH).copied().collect())
    }
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
    pub parameters: Option<Arc<Vec<Option<String>>>>,
    /// Rows that it has given so far.
    pub rows: Arc<AtomicU64>,
    /// WITH HOLD: outlives its transaction.
    pub hold: bool,
}

#[derive(Debug)]
struct Table<T> {
    names: HashMap<Key, Vec<(Change, T)>>,
}

/// The name cannot be given a meaning now: too many are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl<T> Table<T> {
    fn new() -> Self {
        Self { names: HashMap::new() }
    }

    fn add(&mut self, key: Key, change: Change, meaning: T) -> Result<(), TooMany> {
        let full = self.names.len() >= MAX_NAMES;
        match self.names.get_mut(&key) {
            Some(meanings) if meanings.len() < MAX_PENDING => meanings.push((change, meaning)),
            None if !full => {
                self.names.insert(key, vec![(change, meaning)]);
            }
            Some(_) | None => return Err(TooMany),
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> impl Iterator<Item = &T> {
        self.names.get(key).into_iter().flatten().map(|(_, meaning)| meaning)
    }

    /// The upstream made the change: what the name meant before is gone.
    fn confirm(&mut self, key: &Key, change: Change) {
        if let Some(meanings) = self.names.get_mut(key) {
            meanings.retain(|(made, _)| *made >= change);
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
            meanings.retain(|(made, _)| keep(*made));
            if meanings.is_empty() {
                self.names.remove(key);
            }
        }
    }

    fn close_where(&mut self, gone: impl Fn(Change, &T) -> bool) {
        self.names.retain(|_, meanings| {
            meanings.retain(|(made, meaning)| !gone(*made, meaning));
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

impl Default for Names {
    fn default() -> Self {
        Self { statements: Table::new(), portals: Table::new(), last: 0 }
    }
}

impl Names {
    pub fn next_change(&mut self) -> Change {
        self.last += 1;
        self.last
    }

    pub fn statements(&self, key: &Key) -> impl Iterator<Item = &Prepared> {
        self.statements.get(key)
    }

    pub fn portals(&self, key: &Key) -> impl Iterator<Item = &Portal> {
        self.portals.get(key)
    }

    /// # Errors
    /// [`TooMany`]
    pub fn add_statement(&mut self, key: Key, meaning: Prepared) -> Result<NameChange, TooMany> {
        let change = self.next_change();
        self.statements.add(key.clone(), change, meaning)?;
        Ok(NameChange::AddStatement(key, change))
    }

    /// # Errors
    /// [`TooMany`]
    pub fn add_portal(&mut self, key: Key, portal: Portal) -> Result<NameChange, TooMany> {
        let change = self.next_change();
        self.portals.add(key.clone(), change, portal)?;
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

    fn table() -> (Table<&'static str>, Key) {
        (Table::new(), Key::new("s"))
    }

    fn meanings<'a>(table: &Table<&'a str>, key: &Key) -> Vec<&'a str> {
        table.get(key).copied().collect()
    }

    #[test]
    fn a_name_means_all_that_it_may_until_the_upstream_has_spoken() {
        let (mut table, key) = table();
        table.add(key.clone(), 1, "old").unwrap();
        table.confirm(&key, 1);
        table.add(key.clone(), 2, "new").unwrap();
        assert_eq!(meanings(&table, &key), ["old", "new"]);
        table.withdraw(&key, 2);
        assert_eq!(meanings(&table, &key), ["old"]);
        table.add(key.clone(), 3, "newer").unwrap();
        table.add(key.clone(), 4, "newest").unwrap();
        table.confirm(&key, 3);
        assert_eq!(meanings(&table, &key), ["newer", "newest"]);
        table.close(&key, 3);
        assert_eq!(meanings(&table, &key), ["newest"]);
        table.close_where(|made, _| made < 9);
        assert!(table.names.is_empty());
    }

    #[test]
    fn names_are_bounded_and_cut_as_postgres_cuts_them() {
        let long = "x".repeat(80);
        assert_eq!(Key::new(&long), Key::new(&long[..63]));
        assert_ne!(Key::new(&long), Key::new(&long[..62]));
        let mut table = Table::new();
        for index in 0..MAX_NAMES as u64 {
            table.add(Key::new(&index.to_string()), index, "x").unwrap();
        }
        assert_eq!(table.add(Key::new("one more"), 1, "x"), Err(TooMany));
        for change in 1..MAX_PENDING as u64 {
            table.add(Key::new("0"), change, "x").unwrap();
        }
        assert_eq!(table.add(Key::new("0"), 99, "x"), Err(TooMany));
    }
}
