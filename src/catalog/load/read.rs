//! From the rows of the catalog queries to the snapshot's maps.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::Client;

use super::row::{Row, get};
use super::{LoadError, sql};
use crate::catalog::footprint::{Oid, RelationKind};
use crate::catalog::snapshot::{
    Cascade, Cast, CastContext, Code, Column, FIRST_USER_OID, Function, Operator, Relation, Snapshot, Trigger,
    TypeEntry, ViewRead,
};

/// What is done with each row of a question's answer.
type Take = fn(&mut Reader, &Row<'_>) -> Result<(), LoadError>;

/// One question, which has one parameter: the least object identifier that is asked about.
pub(super) struct Question {
    pub sql: &'static str,
    pub take: Take,
}

const fn question(sql: &'static str, take: Take) -> Question {
    Question { sql, take }
}

/// What sessions may change. The order counts: schemas, then what lies in them, then what hangs on that.
pub(super) const CHANGING: &[Question] = &[
    question(sql::RELATIONS, Reader::relation),
    question(sql::COLUMNS, Reader::column),
    question(sql::TYPES, Reader::type_entry),
    question(sql::INHERITANCE, Reader::inheritance),
    question(sql::PARTITION_KEYS, Reader::partition_key),
    question(sql::VIEW_RELATIONS, Reader::view_relation),
    question(sql::VIEW_ROWS, |reader, row| reader.of(row, |relation| relation.reads_rows = true)),
    question(sql::VIEW_FUNCTIONS, Reader::view_function),
    question(sql::TRIGGERS, Reader::trigger),
    question(sql::RULES, Reader::rule),
    question(sql::CASCADES, Reader::cascade),
    question(sql::DEFAULTS, Reader::default_function),
    question(sql::DEFAULT_SEQUENCES, Reader::default_sequence),
    question(sql::WRITE_FUNCTIONS, Reader::write_function),
    question(sql::DOMAIN_CHECKS, Reader::domain_check),
];

/// What they never change.
pub(super) const LASTING: &[Question] = &[
    question(sql::FUNCTIONS, Reader::function),
    question(sql::OPERATORS, Reader::operator),
    question(sql::CASTS, Reader::cast),
    question(sql::COLLATIONS, Reader::collation),
];

/// Runs every query. The caller has opened the transaction.
pub(super) async fn snapshot(client: &Client) -> Result<Snapshot, LoadError> {
    let mut reader = Reader::new(Snapshot::default());
    reader.snapshot.version = Snapshot::mark(client).await?;
    let settings = client.query_one(sql::SETTINGS, &[]).await?;
    client.batch_execute(sql::PIN).await?;
    let all: Oid = 0;
    for row in client.query(sql::SCHEMAS, &[&all]).await? {
        reader.schema(&Row::Client(&row))?;
    }
    reader.settings(&Row::Client(&settings))?;
    for Question { sql, take } in CHANGING.iter().chain(LASTING) {
        for row in client.query(*sql, &[&all]).await? {
            take(&mut reader, &Row::Client(&row))?;
        }
    }
    let Reader { mut snapshot, code, names: _ } = reader;
    snapshot.code = Arc::new(code);
    Ok(snapshot)
}

pub(super) struct Reader {
    pub snapshot: Snapshot,
    code: Code,
    /// Names recur thousands of times (`id`, `oid`, `equal`): one allocation each.
    names: HashSet<Arc<str>>,
}

/// What hangs on relations and types: children, views' definitions, triggers, rules, cascades, checks.
impl Reader {
    /// Applies `change` to the relation in the row's first column; relations that the snapshot left out are passed over.
    fn of(&mut self, row: &Row<'_>, change: impl FnOnce(&mut Relation)) -> Result<(), LoadError> {
        let oid: Oid = get(row, 0)?;
        if let Some(relation) = self.snapshot.relations.get_mut(&oid) {
            change(relation);
        }
        Ok(())
    }

    /// The function in the row's second column, where it did not come with the server.
    fn users_function(&mut self, row: &Row<'_>, note: impl FnOnce(&mut Relation, Oid)) -> Result<(), LoadError> {
        let function: Oid = get(row, 1)?;
        if function < FIRST_USER_OID {
            return Ok(());
        }
        self.of(row, |relation| note(relation, function))
    }

    fn inheritance(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let (parent, child): (Oid, Oid) = (get(row, 0)?, get(row, 1)?);
        if let Some(relation) = self.snapshot.relations.get_mut(&parent) {
            relation.children.push(child);
        }
        if let Some(relation) = self.snapshot.relations.get_mut(&child) {
            relation.parents.push(parent);
        }
        Ok(())
    }

    fn partition_key(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let key = get(row, 1)?;
        self.of(row, |relation| relation.partition_key = key)
    }

    fn view_relation(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let column: i32 = get(row, 2)?;
        let read = ViewRead { relation: get(row, 1)?, column: i16::try_from(column).unwrap_or(0) };
        self.of(row, |relation| relation.reads.push(read))
    }

    fn view_function(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let function = get(row, 1)?;
        self.of(row, |relation| relation.calls.push(function))
    }

    fn trigger(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let trigger = Trigger { events: get(row, 1)?, function: get(row, 2)? };
        self.of(row, |relation| relation.triggers.push(trigger))
    }

    fn rule(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let event = letter(row, 1)?;
        self.of(row, |relation| relation.rules.push(event))
    }

    fn cascade(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let cascade = Cascade {
            relation: get(row, 1)?,
            on_delete: letter(row, 2)?,
            on_update: letter(row, 3)?,
            referenced: get(row, 4)?,
            referencing: get(row, 5)?,
        };
        self.of(row, |relation| relation.cascades.push(cascade))
    }

    fn default_function(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        self.users_function(row, |relation, function| relation.defaults.push(function))
    }

    fn default_sequence(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let sequence = get(row, 1)?;
        self.of(row, |relation| relation.sequences.push(sequence))
    }

    fn write_function(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        self.users_function(row, |relation, function| relation.run_on_write.push(function))
    }

    fn domain_check(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let (domain, function): (Oid, Oid) = (get(row, 0)?, get(row, 1)?);
        if let Some(entry) = self.snapshot.types.get_mut(&domain).filter(|_| function >= FIRST_USER_OID) {
            entry.checks.push(function);
        }
        Ok(())
    }
}

impl Reader {
    /// Goes on with what is known already.
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, code: Code::default(), names: HashSet::new() }
    }

    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn name(&mut self, row: &Row<'_>, index: usize) -> Result<Arc<str>, LoadError> {
        let text: &str = get(row, index)?;
        Ok(self.intern(text))
    }

    pub(super) fn schema(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let (oid, name) = (get(row, 0)?, self.name(row, 1)?);
        self.snapshot.schemas.insert(Arc::clone(&name), oid);
        self.snapshot.schema_names.insert(oid, name);
        Ok(())
    }

    fn settings(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        self.snapshot.database = get(row, 0)?;
        self.snapshot.session_user = get(row, 1)?;
        self.snapshot.search_path = get(row, 2)?;
        self.path(&get::<Vec<String>>(row, 3)?);
        self.snapshot.server_version_num = get(row, 4)?;
        self.snapshot.effective_path = get(row, 5)?;
        Ok(())
    }

    /// The schemas that unqualified names are looked up in; temporary ones are not known.
    pub(super) fn path(&mut self, path: &[String]) {
        self.snapshot.path = path.iter().filter_map(|name| self.snapshot.schemas.get(name.as_str()).copied()).collect();
    }

    fn relation(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
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

    fn column(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let name = self.name(row, 2)?;
        let column = Column { number: get(row, 1)?, name, of: get(row, 3)? };
        self.of(row, |relation| relation.columns.push(column))
    }

    fn function(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
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
        self.code.functions.insert(oid, function);
        self.code.function_names.entry(name).or_default().push(oid);
        Ok(())
    }

    fn operator(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let name = self.name(row, 0)?;
        let operator = Operator {
            schema: get(row, 1)?,
            left: get(row, 2)?,
            right: get(row, 3)?,
            result: get(row, 4)?,
            function: get(row, 5)?,
        };
        self.code.operators.entry(name).or_default().push(operator);
        Ok(())
    }

    fn cast(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let context = match letter(row, 3)? {
            'i' => CastContext::Implicit,
            'a' => CastContext::Assignment,
            'e' => CastContext::Explicit,
            other => return Err(LoadError::Content(format!("castcontext {other:?}"))),
        };
        let (source, target, cast) = (get(row, 0)?, get(row, 1)?, Cast { function: get(row, 2)?, context });
        self.code.casts.insert((source, target), cast);
        if cast.function >= FIRST_USER_OID {
            self.code.user_casts.push((source, target, cast));
        }
        Ok(())
    }

    fn collation(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
        let name = self.name(row, 0)?;
        self.code.collations.entry(name).or_default().push(get(row, 1)?);
        Ok(())
    }

    fn type_entry(&mut self, row: &Row<'_>) -> Result<(), LoadError> {
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

fn letter(row: &Row<'_>, index: usize) -> Result<char, LoadError> {
    let text: &str = get(row, index)?;
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
