//! What names mean inside one query: FROM items, common table expressions, and the rules by which PostgreSQL searches
//! them (`parse_relation.c`: innermost level first, an ambiguity at one level is an error).

use std::sync::Arc;

use super::Resolver;
use super::trace::full;
use crate::access::Operation;
use crate::catalog::footprint::{Oid, Unresolved};
use crate::catalog::types::{CID, OID, TID, Type, XID};

/// One column that a FROM item offers.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub name: Arc<str>,
    pub of: Type,
    /// The columns of relations that are read when this one is: one for a table's, two for a merged join column, none
    /// for what a subquery has computed already.
    pub sources: Vec<(usize, Arc<str>)>,
}

/// One FROM item as it is seen.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What `name.column` and whole-row references call it; `None` for a join without an alias.
    pub name: Option<Arc<str>>,
    /// The schema of a table without an alias: `schema.table.column` is allowed.
    pub schema: Option<Arc<str>>,
    pub columns: Arc<[Offered]>,
    /// The use that a whole-row reference or a system column reads.
    pub relation: Option<usize>,
    pub system_columns: bool,
    pub row_type: Type,
    /// Whether bare column names are looked up here.
    pub columns_visible: bool,
    /// Seen only from LATERAL items.
    pub lateral_only: bool,
}

/// One query level.
#[derive(Default)]
pub(super) struct Level {
    pub items: Vec<Item>,
    pub lateral: bool,
    /// How many relations were in use when FROM had been read.
    pub from_end: Option<usize>,
    /// Any bare column resolves: expressions of DDL, where the whole table is touched already.
    pub open: bool,
}

/// A common table expression.
pub(super) struct CommonTable {
    pub name: Arc<str>,
    pub state: CommonTableState,
}

pub(super) enum CommonTableState {
    Known(Vec<(Arc<str>, Type)>),
    /// Of a WITH RECURSIVE, not resolved yet: a reference to it cannot be followed.
    Ahead,
}

impl Resolver<'_> {
    pub(super) fn here(&mut self) -> Result<&mut Level, Unresolved> {
        self.levels.last_mut().ok_or_else(|| Unresolved::Unsupported("a name outside any query".to_owned()))
    }

    /// The common table expression that a bare name means.
    pub(super) fn common_table(&self, name: &str) -> Option<&CommonTable> {
        self.tables.iter().rev().find(|table| &*table.name == name)
    }

    /// Reads what lies behind an offered column.
    pub(super) fn read(&mut self, column: &Offered) -> Type {
        for (use_index, name) in &column.sources {
            if self.trace.is_some() {
                self.tell_column(*use_index, &column.name, name);
            }
            self.touch_column(*use_index, Operation::Select, name);
        }
        column.of.clone()
    }

    fn tell_column(&mut self, use_index: usize, written: &str, name: &str) {
        let relation = self.uses.get(use_index).map(|used| used.relation);
        self.tell(|snapshot| {
            let relation = relation.and_then(|oid| snapshot.relations.get(&oid));
            let relation = relation.map_or_else(String::new, |relation| full(snapshot, relation));
            format!("column {written} is {relation}.{name}")
        });
    }

    /// Reads the column that a bare name means: of the innermost level that has one, or of this level alone.
    pub(super) fn bare(&mut self, name: &str, outer_levels: bool) -> Result<Option<Type>, Unresolved> {
        let depth = self.levels.len();
        let lowest = if outer_levels { 0 } else { depth.saturating_sub(1) };
        for level in (lowest..depth).rev() {
            if let Some(column) = self.column_at(level, name)? {
                let of = self.read(&column);
                return Ok(Some(of));
            }
            if self.levels.get(level).is_some_and(|level| level.open) {
                return Ok(Some(Type::Any));
            }
        }
        Ok(None)
    }

    /// Whether a bare name means a column, of whatever level. Reads nothing.
    pub(super) fn has_column(&mut self, name: &str) -> Result<bool, Unresolved> {
        for level in (0..self.levels.len()).rev() {
            if self.column_at(level, name)?.is_some() || self.levels.get(level).is_some_and(|level| level.open) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The one column of that name at one level.
    fn column_at(&mut self, level: usize, name: &str) -> Result<Option<Offered>, Unresolved> {
        let mut found: Option<Offered> = None;
        let mut looked = 0;
        let Some(level) = self.levels.get(level) else { return Ok(None) };
        for item in level.items.iter().filter(|item| item.columns_visible && (level.lateral || !item.lateral_only)) {
            looked += item.columns.len() + 1;
            for column in item.columns.iter().filter(|column| &*column.name == name) {
                if found.is_some() {
                    return Err(Unresolved::Ambiguous(name.to_owned()));
                }
                found = Some(column.clone());
            }
            if let Some(system) = system_column(item, name) {
                if found.is_some() {
                    return Err(Unresolved::Ambiguous(name.to_owned()));
                }
                found = Some(system);
            }
        }
        self.spend(looked)?;
        Ok(found)
    }

    /// The FROM item called `name`, at the innermost level that has one.
    pub(super) fn item(&mut self, schema: Option<&str>, name: &str) -> Result<Option<Item>, Unresolved> {
        let mut found: Option<Item> = None;
        let mut looked = 0;
        for level in self.levels.iter().rev() {
            looked += level.items.len();
            for item in level.items.iter().filter(|item| level.lateral || !item.lateral_only) {
                let named = item.name.as_deref() == Some(name);
                if named && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema)) {
                    if found.is_some() {
                        return Err(Unresolved::Ambiguous(name.to_owned()));
                    }
                    found = Some(item.clone());
                }
            }
            if found.is_some() {
                break;
            }
        }
        self.spend(looked)?;
        Ok(found)
    }

    /// The column `name` of `item`, system columns included. Marks nothing as read.
    pub(super) fn item_column(item: &Item, name: &str) -> Result<Option<Offered>, Unresolved> {
        let mut matching = item.columns.iter().filter(|column| &*column.name == name);
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Err(Unresolved::Ambiguous(name.to_owned())),
            (Some(column), None) => Ok(Some(column.clone())),
            (None, _) => Ok(system_column(item, name)),
        }
    }

    /// Reads a whole row as one value.
    pub(super) fn whole_row(&mut self, item: &Item) -> Result<Type, Unresolved> {
        self.spend(item.columns.len())?;
        if let (Some(name), Some(_)) = (&item.name, item.relation) {
            self.tell(|_| format!("{name} as a value is the whole row: every column"));
        }
        match item.relation {
            Some(use_index) => self.touch_row(use_index, Operation::Select),
            None => item.columns.iter().for_each(|column| {
                self.read(column);
            }),
        }
        Ok(item.row_type.clone())
    }
}

/// `tableoid`, `ctid` and their kin, by the names that PostgreSQL reserves.
fn system_column(item: &Item, name: &str) -> Option<Offered> {
    let of: Oid = match name {
        "tableoid" => OID,
        "ctid" => TID,
        "xmin" | "xmax" => XID,
        "cmin" | "cmax" => CID,
        _not_one => return None,
    };
    if !item.system_columns || item.columns.iter().any(|column| &*column.name == name) {
        return None;
    }
    let name: Arc<str> = name.into();
    let sources = item.relation.map(|use_index| (use_index, Arc::clone(&name))).into_iter().collect();
    Some(Offered { name, of: Type::Known(of), sources })
}
