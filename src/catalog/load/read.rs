//! From the rows of the catalog queries to the snapshot's maps.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::{LoadError, sql};
use crate::catalog::footprint::{Oid, RelationKind};
use crate::catalog::snapshot::{
    Cascade, Cast, CastContext, Column, FIRST_USER_OID, Function, Operator, Relation, Snapshot, Trigger, TypeEntry,
    ViewRead,
};

/// Runs every query. The caller has opened the transaction.
pub(super) async fn snapshot(client: &Client) -> Result<Snapshot, LoadError> {
    let mut reader = Reader { snapshot: Snapshot::default(), names: HashSet::new() };
    reader.snapshot.version = Snapshot::mark(client).await?;
    let settings = client.query_one(sql::SETTINGS, &[]).await?;
    client.batch_execute(sql::PIN).await?;
    for row in client.query(sql::SCHEMAS, &[]).await? {
        reader.schema(&row)?;
    }
    reader.settings(&settings)?;
    for row in client.query(sql::RELATIONS, &[]).await? {
        reader.relation(&row)?;
    }
    for row in client.query(sql::COLUMNS, &[]).await? {
        reader.column(&row)?;
    }
    for row in client.query(sql::FUNCTIONS, &[]).await? {
        reader.function(&row)?;
    }
    for row in client.query(sql::OPERATORS, &[]).await? {
        reader.operator(&row)?;
    }
    for row in client.query(sql::CASTS, &[]).await? {
        reader.cast(&row)?;
    }
    for row in client.query(sql::TYPES, &[]).await? {
        reader.type_entry(&row)?;
    }
    for row in client.query(sql::COLLATIONS, &[]).await? {
        let name = reader.name(&row, 0)?;
        reader.snapshot.collations.entry(name).or_default().push(get(&row, 1)?);
    }
    dependents(client, &mut reader.snapshot).await?;
    Ok(reader.snapshot)
}

/// What hangs on relations and types: children, views' definitions, triggers, rules, cascades, checks.
async fn dependents(client: &Client, snapshot: &mut Snapshot) -> Result<(), LoadError> {
    for row in client.query(sql::INHERITANCE, &[]).await? {
        let (parent, child): (Oid, Oid) = (get(&row, 0)?, get(&row, 1)?);
        if let Some(relation) = snapshot.relations.get_mut(&parent) {
            relation.children.push(child);
        }
        if let Some(relation) = snapshot.relations.get_mut(&child) {
            relation.parents.push(parent);
        }
    }
    for row in client.query(sql::PARTITION_KEYS, &[]).await? {
        let key = get(&row, 1)?;
        of(snapshot, &row, |relation| relation.partition_key = key)?;
    }
    for row in client.query(sql::VIEW_RELATIONS, &[]).await? {
        let column: i32 = get(&row, 2)?;
        let read = ViewRead { relation: get(&row, 1)?, column: i16::try_from(column).unwrap_or(0) };
        of(snapshot, &row, |relation| relation.reads.push(read))?;
    }
    for row in client.query(sql::VIEW_ROWS, &[]).await? {
        of(snapshot, &row, |relation| relation.reads_rows = true)?;
    }
    for row in client.query(sql::VIEW_FUNCTIONS, &[]).await? {
        let function = get(&row, 1)?;
        of(snapshot, &row, |relation| relation.calls.push(function))?;
    }
    for row in client.query(sql::TRIGGERS, &[]).await? {
        let trigger = Trigger { events: get(&row, 1)?, function: get(&row, 2)? };
        of(snapshot, &row, |relation| relation.triggers.push(trigger))?;
    }
    for row in client.query(sql::RULES, &[]).await? {
        let event = letter(&row, 1)?;
        of(snapshot, &row, |relation| relation.rules.push(event))?;
    }
    for row in client.query(sql::CASCADES, &[]).await? {
        let cascade = Cascade {
            relation: get(&row, 1)?,
            on_delete: letter(&row, 2)?,
            on_update: letter(&row, 3)?,
            referenced: get(&row, 4)?,
            referencing: get(&row, 5)?,
        };
        of(snapshot, &row, |relation| relation.cascades.push(cascade))?;
    }
    for row in client.query(sql::DEFAULTS, &[]).await? {
        let function: Oid = get(&row, 1)?;
        if function >= FIRST_USER_OID {
            of(snapshot, &row, |relation| relation.defaults.push(function))?;
        }
    }
    for row in client.query(sql::DEFAULT_SEQUENCES, &[]).await? {
        let sequence = get(&row, 1)?;
        of(snapshot, &row, |relation| relation.sequences.push(sequence))?;
    }
    for row in client.query(sql::WRITE_FUNCTIONS, &[]).await? {
        let function: Oid = get(&row, 1)?;
        if function >= FIRST_USER_OID {
            of(snapshot, &row, |relation| relation.run_on_write.push(function))?;
        }
    }
    for row in client.query(sql::DOMAIN_CHECKS, &[]).await? {
        let (domain, function): (Oid, Oid) = (get(&row, 0)?, get(&row, 1)?);
        if let Some(entry) = snapshot.types.get_mut(&domain).filter(|_| function >= FIRST_USER_OID) {
            entry.checks.push(function);
        }
    }
    Ok(())
}

/// Applies `change` to the relation in the row's first column; relations that the snapshot left out are passed over.
fn of(snapshot: &mut Snapshot, row: &Row, change: impl FnOnce(&mut Relation)) -> Result<(), LoadError> {
    let oid: Oid = get(row, 0)?;
    if let Some(relation) = snapshot.relations.get_mut(&oid) {
        change(relation);
    }
    Ok(())
}

struct Reader {
    snapshot: Snapshot,
    /// Names recur thousands of times (`id`, `oid`, `equal`): one allocation each.
    names: HashSet<Arc<str>>,
}

impl Reader {
    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn name(&mut self, row: &Row, index: usize) -> Result<Arc<str>, LoadError> {
        let text: &str = row.try_get(index)?;
        Ok(self.intern(text))
    }

    fn schema(&mut self, row: &Row) -> Result<(), LoadError> {
        let (oid, name) = (get(row, 0)?, self.name(row, 1)?);
        self.snapshot.schemas.insert(Arc::clone(&name), oid);
        self.snapshot.schema_names.insert(oid, name);
        Ok(())
    }

    fn settings(&mut self, row: &Row) -> Result<(), LoadError> {
        self.snapshot.database = get(row, 0)?;
        self.snapshot.session_user = get(row, 1)?;
        self.snapshot.search_path = get(row, 2)?;
        let path: Vec<String> = get(row, 3)?;
        self.snapshot.path = path.iter().filter_map(|name| self.snapshot.schemas.get(name.as_str()).copied()).collect();
        self.snapshot.server_version_num = get(row, 4)?;
        self.snapshot.effective_path = get(row, 5)?;
        Ok(())
    }

    fn relation(&mut self, row: &Row) -> Result<(), LoadError> {
        let (oid, schema): (Oid, Oid) = (get(row, 0)?, get(row, 1)?);
        if !self.snapshot.schema_names.contains_key(&schema) {
            return Ok(());
        }
        let name = self.name(row, 2)?;
        let relation = Relation {
            oid,
            schema,
            name: Arc::clone(&name),
            kind: relation_kind(letter(row, 3)?)?,
            row_type: get(row, 4)?,
            indexed: get(row, 5)?,
            columns: Vec::new(),
            children: Vec::new(),
            partition_key: Vec::new(),
            parents: Vec::new(),
            reads: Vec::new(),
            reads_rows: false,
            invoker: get(row, 6)?,
            calls: Vec::new(),
            triggers: Vec::new(),
            rules: Vec::new(),
            cascades: Vec::new(),
            defaults: Vec::new(),
            run_on_write: Vec::new(),
            sequences: Vec::new(),
        };
        self.snapshot.relations.insert(oid, relation);
        self.snapshot.relation_names.entry(name).or_default().push((schema, oid));
        Ok(())
    }

    fn column(&mut self, row: &Row) -> Result<(), LoadError> {
        let name = self.name(row, 2)?;
        let column = Column { number: get(row, 1)?, name, of: get(row, 3)? };
        of(&mut self.snapshot, row, |relation| relation.columns.push(column))
    }

    fn function(&mut self, row: &Row) -> Result<(), LoadError> {
        let defaults: i16 = get(row, 5)?;
        let all: Option<Vec<Oid>> = get(row, 9)?;
        let modes: Option<Vec<String>> = get(row, 10)?;
        let named: Option<Vec<String>> = get(row, 11)?;
        let named: Vec<Arc<str>> = named.unwrap_or_default().iter().map(|name| self.intern(name)).collect();
        let (mut names, mut outputs) = (Vec::new(), Vec::new());
        if let (Some(all), Some(modes)) = (all, modes) {
            for (index, (of, mode)) in all.into_iter().zip(modes).enumerate() {
                let name = named.get(index).cloned().unwrap_or_else(|| "".into());
                if matches!(mode.as_str(), "o" | "b" | "t") {
                    outputs.push((Arc::clone(&name), of));
                }
                if matches!(mode.as_str(), "i" | "b" | "v") {
                    names.push(name);
                }
            }
        } else {
            names = named;
        }
        let (oid, name) = (get(row, 0)?, self.name(row, 2)?);
        let function = Function {
            oid,
            schema: get(row, 1)?,
            name: Arc::clone(&name),
            arguments: get(row, 3)?,
            variadic: get(row, 4)?,
            defaults: usize::try_from(defaults).unwrap_or(0),
            kind: letter(row, 6)?,
            returns: get(row, 7)?,
            security_definer: get(row, 8)?,
            names,
            outputs,
        };
        self.snapshot.functions.insert(oid, function);
        self.snapshot.function_names.entry(name).or_default().push(oid);
        Ok(())
    }

    fn operator(&mut self, row: &Row) -> Result<(), LoadError> {
        let name = self.name(row, 0)?;
        let operator = Operator {
            schema: get(row, 1)?,
            left: get(row, 2)?,
            right: get(row, 3)?,
            result: get(row, 4)?,
            function: get(row, 5)?,
        };
        self.snapshot.operators.entry(name).or_default().push(operator);
        Ok(())
    }

    fn cast(&mut self, row: &Row) -> Result<(), LoadError> {
        let context = match letter(row, 3)? {
            'i' => CastContext::Implicit,
            'a' => CastContext::Assignment,
            'e' => CastContext::Explicit,
            other => return Err(LoadError::Content(format!("castcontext {other:?}"))),
        };
        let (source, target, cast) = (get(row, 0)?, get(row, 1)?, Cast { function: get(row, 2)?, context });
        self.snapshot.casts.insert((source, target), cast);
        if cast.function >= FIRST_USER_OID {
            self.snapshot.user_casts.push((source, target, cast));
        }
        Ok(())
    }

    fn type_entry(&mut self, row: &Row) -> Result<(), LoadError> {
        let (oid, schema, name): (Oid, Oid, _) = (get(row, 0)?, get(row, 1)?, self.name(row, 2)?);
        let (input, canonical): (Oid, Oid) = (get(row, 10)?, get(row, 11)?);
        let entry = TypeEntry {
            kind: letter(row, 3)?,
            element: get(row, 4)?,
            array: get(row, 5)?,
            base: get(row, 6)?,
            relation: get(row, 7)?,
            category: letter(row, 8)?,
            preferred: get(row, 9)?,
            input: [input, canonical].into_iter().filter(|oid| *oid >= FIRST_USER_OID).collect(),
            checks: Vec::new(),
        };
        self.snapshot.types.insert(oid, entry);
        if self.snapshot.schema_names.contains_key(&schema) {
            self.snapshot.type_names.entry(name).or_default().push((schema, oid));
        }
        Ok(())
    }
}

fn get<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, LoadError> {
    Ok(row.try_get(index)?)
}

fn letter(row: &Row, index: usize) -> Result<char, LoadError> {
    let text: &str = row.try_get(index)?;
    text.chars().next().ok_or_else(|| LoadError::Content("an empty kind".to_owned()))
}

fn relation_kind(letter: char) -> Result<RelationKind, LoadError> {
    Ok(match letter {
        'r' => RelationKind::Table,
        'p' => RelationKind::Partitioned,
        'v' => RelationKind::View,
        'm' => RelationKind::MaterializedView,
        'S' => RelationKind::Sequence,
        'f' => RelationKind::ForeignTable,
        'c' => RelationKind::Composite,
        'i' | 'I' => RelationKind::Index,
        't' => RelationKind::Toast,
        other => return Err(LoadError::Content(format!("relkind {other:?}"))),
    })
}
