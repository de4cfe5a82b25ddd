//! From what a statement names to all that it reaches: children, what lies behind views, triggers, rules, cascades.

use std::collections::{BTreeSet, HashMap};

use super::trace::{Trace, full};
use super::{ColumnSet, Resolver};
use crate::access::Operation;
use crate::catalog::footprint::{CalledBy, Columns, Effect, Footprint, Oid, RelationKind, TouchedRelation, Unresolved};
use crate::catalog::snapshot::{Relation, Snapshot};

/// `pg_rewrite.ev_type` and the bits of `pg_trigger.tgtype`.
const RULE_UPDATE: char = '2';
const RULE_INSERT: char = '3';
const RULE_DELETE: char = '4';
const TRIGGER_INSERT: i16 = 1 << 2;
const TRIGGER_DELETE: i16 = 1 << 3;
const TRIGGER_UPDATE: i16 = 1 << 4;
const TRIGGER_TRUNCATE: i16 = 1 << 5;

/// Where a relation stands with respect to the one that the statement names.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    through: Option<Oid>,
    child_of: Option<Oid>,
}

/// What was reached so far, each use once.
#[derive(Default)]
pub(super) struct Reached {
    entries: Vec<TouchedRelation>,
    /// Positions by relation: a partition tree has thousands.
    known: HashMap<Oid, Vec<usize>>,
}

impl Reached {
    pub(super) fn into_entries(self) -> Vec<TouchedRelation> {
        self.entries
    }

    /// Answers whether the entry is new.
    fn add(&mut self, entry: TouchedRelation) -> bool {
        let known = self.known.entry(entry.oid).or_default();
        if known.iter().any(|at| self.entries.get(*at) == Some(&entry)) {
            return false;
        }
        known.push(self.entries.len());
        self.entries.push(entry);
        true
    }
}

impl Resolver<'_> {
    /// The footprint of everything that was resolved, and what was told.
    pub(super) fn told(mut self, result: Result<(), Unresolved>) -> (Result<Footprint, Unresolved>, Vec<String>) {
        let footprint = result.map(|()| self.finish());
        (footprint, self.trace.take().map(Trace::lines).unwrap_or_default())
    }

    fn finish(&mut self) -> Footprint {
        let snapshot = self.snapshot;
        let mut found = Reached::default();
        std::mem::take(&mut self.created).into_iter().for_each(|created| {
            found.add(created);
        });
        let uses = std::mem::take(&mut self.uses);
        let sources = self.sources(&uses, found.entries.len());
        for used in uses {
            let Some(relation) = snapshot.relations.get(&used.relation) else { continue };
            for (operation, columns) in used.touched {
                let columns = shown(columns);
                self.reach(relation, used.only, operation, &columns, Place::default(), &mut found);
            }
        }
        self.effects.dedup();
        let (functions, effects) = (std::mem::take(&mut self.functions), std::mem::take(&mut self.effects));
        let unseen = std::mem::take(&mut self.unseen);
        Footprint { relations: found.entries, sources, functions, effects, unseen }
    }

    pub(super) fn reach(
        &mut self,
        relation: &Relation,
        only: bool,
        operation: Operation,
        columns: &Columns,
        place: Place,
        found: &mut Reached,
    ) {
        let entry = touched(self.snapshot, relation, operation, columns.clone(), place);
        if !found.add(entry) {
            return;
        }
        if operation != Operation::Select && operation != Operation::Ddl {
            self.write_effects(relation, operation, columns, found);
        }
        if !only {
            self.children(relation, operation, columns, place, found);
        }
        match (relation.kind, operation) {
            (RelationKind::View, Operation::Ddl) => {}
            (RelationKind::View, _) => self.behind(relation, operation, place, found),
            // Its rows were copied from what it reads, and a REFRESH copies them anew.
            (RelationKind::MaterializedView, Operation::Select | Operation::Ddl) => {
                self.behind(relation, Operation::Select, place, found);
            }
            _ => {}
        }
    }

    fn children(
        &mut self,
        relation: &Relation,
        operation: Operation,
        columns: &Columns,
        place: Place,
        found: &mut Reached,
    ) {
        // Rows inserted into a partitioned table go to its partitions; into an inheritance parent, to itself.
        if operation == Operation::Insert && relation.kind != RelationKind::Partitioned {
            return;
        }
        let snapshot = self.snapshot;
        for child in &relation.children {
            let Some(child) = snapshot.relations.get(child) else { continue };
            self.tell(|snapshot| {
                let (parent, child) = (full(snapshot, relation), full(snapshot, child));
                format!("{child} is a partition or child of {parent}: touched with it")
            });
            // An index partition's tree hangs on indexes, which hold no rows of their own.
            if child.kind == RelationKind::Index {
                continue;
            }
            let place = Place { through: place.through, child_of: Some(place.child_of.unwrap_or(relation.oid)) };
            self.reach(child, false, operation, columns, place, found);
        }
    }

    /// What a view's definition touches: read for a SELECT, written to for the rest.
    pub(super) fn behind(&mut self, view: &Relation, operation: Operation, place: Place, found: &mut Reached) {
        let snapshot = self.snapshot;
        // What lies behind the server's own views is judged by the view.
        if snapshot.schema_name(view.schema) == "pg_catalog"
            || snapshot.schema_name(view.schema) == "information_schema"
        {
            return;
        }
        // A materialized view has called its functions already.
        for function in view.calls.iter().filter(|_| view.kind == RelationKind::View) {
            self.call_function(*function, CalledBy::View, Vec::new());
        }
        // Behind a view that runs with the rights of its invoker everything is as if the statement named it, whatever
        // views lie before.
        let through = if view.invoker { None } else { Some(place.through.unwrap_or(view.oid)) };
        let place = Place { through, child_of: place.child_of };
        let relations: BTreeSet<Oid> = view.reads.iter().map(|read| read.relation).collect();
        for oid in relations {
            let Some(relation) = snapshot.relations.get(&oid) else { continue };
            let reads = view.reads.iter().filter(|read| read.relation == oid);
            let numbers: Vec<i16> = reads.map(|read| read.column).collect();
            let columns = shown(ColumnSet { names: relation.names_of(&numbers), whole: view.reads_rows });
            self.tell(|snapshot| {
                let (view, behind) = (full(snapshot, view), full(snapshot, relation));
                format!("behind view {view} lies {behind}: the view's for privilege, its own for region")
            });
            self.reach(relation, false, Operation::Select, &columns, place, found);
            if operation != Operation::Select {
                self.reach(relation, false, operation, &columns, place, found);
            }
        }
    }

    /// Rules, triggers, defaults and cascades that a write sets off.
    fn write_effects(&mut self, relation: &Relation, operation: Operation, columns: &Columns, found: &mut Reached) {
        let snapshot = self.snapshot;
        let name = format!("{}.{}", snapshot.schema_name(relation.schema), relation.name);
        let (rule, trigger) = match operation {
            Operation::Insert => (RULE_INSERT, TRIGGER_INSERT),
            Operation::Update => (RULE_UPDATE, TRIGGER_UPDATE),
            Operation::Delete => (RULE_DELETE, TRIGGER_DELETE),
            Operation::Truncate => ('\0', TRIGGER_TRUNCATE),
            Operation::Select | Operation::Ddl => return,
        };
        if !fired_by(relation, trigger).is_empty() {
            self.tell(|_| format!("{operation} on {name} fires its triggers"));
        }
        if relation.rules.contains(&rule) {
            self.effects.push(Effect::Rewrites { relation: name.clone() });
        }
        let fired = fired_by(relation, trigger);
        if !fired.is_empty() {
            self.effects.push(Effect::Triggers { relation: name.clone() });
        }
        let defaults = if operation == Operation::Insert || operation == Operation::Update {
            relation.defaults.as_slice()
        } else {
            &[]
        };
        for function in fired.iter().chain(defaults) {
            self.call_function(*function, CalledBy::Write, Vec::new());
        }
        self.cascades(relation, operation, columns, found);
    }

    /// What foreign keys of other tables do when rows here go, or their keys change.
    fn cascades(&mut self, relation: &Relation, operation: Operation, columns: &Columns, found: &mut Reached) {
        let snapshot = self.snapshot;
        for cascade in &relation.cascades {
            let Some(target) = snapshot.relations.get(&cascade.relation) else { continue };
            let keys = relation.names_of(&cascade.referenced);
            let key_changes = match columns {
                Columns::None => false,
                Columns::Named(names) => names.iter().any(|name| keys.contains(name.as_str())),
                Columns::WholeRow => true,
            };
            let action = match operation {
                Operation::Delete => cascade.on_delete,
                Operation::Update if key_changes => cascade.on_update,
                Operation::Update | Operation::Insert | Operation::Truncate | Operation::Select | Operation::Ddl => {
                    continue;
                }
            };
            let (follows, columns) = match (action, operation) {
                ('c', Operation::Delete) => (Operation::Delete, Columns::None),
                ('c' | 'n' | 'd', _) => {
                    let names = target.names_of(&cascade.referencing);
                    (Operation::Update, shown(ColumnSet { names, whole: false }))
                }
                _no_action => continue,
            };
            let target_name = full(snapshot, target);
            self.tell(|snapshot| {
                format!("a foreign key of {target_name} follows {operation} on {}", full(snapshot, relation))
            });
            self.effects.push(Effect::Cascades { relation: target_name });
            self.reach(target, false, follows, &columns, Place::default(), found);
        }
    }
}

/// The functions of the triggers that such an event fires.
fn fired_by(relation: &Relation, event: i16) -> Vec<Oid> {
    relation.triggers.iter().filter(|known| known.events & event != 0).map(|known| known.function).collect()
}

pub(super) fn shown(columns: ColumnSet) -> Columns {
    if columns.whole {
        Columns::WholeRow
    } else if columns.names.is_empty() {
        Columns::None
    } else {
        Columns::Named(columns.names.iter().map(ToString::to_string).collect())
    }
}

fn touched(
    snapshot: &Snapshot,
    relation: &Relation,
    operation: Operation,
    columns: Columns,
    place: Place,
) -> TouchedRelation {
    TouchedRelation {
        oid: relation.oid,
        schema: snapshot.schema_name(relation.schema).to_owned(),
        name: relation.name.to_string(),
        kind: relation.kind,
        operation,
        columns,
        through: place.through,
        child_of: place.child_of,
    }
}
