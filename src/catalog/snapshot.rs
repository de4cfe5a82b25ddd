//! A snapshot of one database's catalogs: what names mean there. Never holds a row of data.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::footprint::{Oid, RelationKind};

/// The first identifier that `initdb` does not give out: objects below it came with the server.
pub(in crate::catalog) const FIRST_USER_OID: Oid = 16_384;

/// The catalogs of one database at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// [`Snapshot::mark`] in the transaction that loaded the rest.
    pub version: u64,
    pub database: String,
    pub session_user: String,
    pub server_version_num: i32,
    /// The `search_path` setting as `SHOW` prints it; sessions are pinned to it.
    pub search_path: String,
    /// The schemas that it comes to.
    pub effective_path: String,
    /// The schemas that unqualified names are looked up in, in order: `pg_catalog` in its place, no temporary ones.
    pub(in crate::catalog) path: Vec<Oid>,
    pub(in crate::catalog) schemas: HashMap<Arc<str>, Oid>,
    pub(in crate::catalog) schema_names: HashMap<Oid, Arc<str>>,
    pub(in crate::catalog) relations: HashMap<Oid, Relation>,
    pub(in crate::catalog) relation_names: HashMap<Arc<str>, Vec<(Oid, Oid)>>,
    pub(in crate::catalog) types: HashMap<Oid, TypeEntry>,
    pub(in crate::catalog) type_names: HashMap<Arc<str>, Vec<(Oid, Oid)>>,
    pub(in crate::catalog) code: Arc<Code>,
}

/// What no statement that is ever let through makes or changes.
#[derive(Debug, Default)]
pub(in crate::catalog) struct Code {
    pub functions: HashMap<Oid, Function>,
    pub function_names: HashMap<Arc<str>, Vec<Oid>>,
    pub operators: HashMap<Arc<str>, Vec<Operator>>,
    pub casts: HashMap<(Oid, Oid), Cast>,
    /// The casts whose function did not come with the server: few, and each matters.
    pub user_casts: Vec<(Oid, Oid, Cast)>,
    pub collations: HashMap<Arc<str>, Vec<Oid>>,
}

/// One relation.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct Relation {
    pub oid: Oid,
    pub schema: Oid,
    pub name: Arc<str>,
    pub kind: RelationKind,
    pub row_type: Oid,
    /// The table that an index belongs to.
    pub indexed: Option<Oid>,
    /// Without the dropped ones, in order.
    pub columns: Vec<Column>,
    /// Direct children and partitions.
    pub children: Vec<Oid>,
    /// The columns that say in which partition a row lies; 0 is an expression.
    pub partition_key: Vec<i16>,
    /// Direct parents.
    pub parents: Vec<Oid>,
    /// What a view's definition reads.
    pub reads: Vec<ViewRead>,
    /// A view whose definition holds whole rows: `reads` does not tell of which relation.
    pub reads_rows: bool,
    /// A view with `security_invoker`: what lies behind it needs the privileges of who queries it.
    pub invoker: bool,
    /// The functions that a view's definition calls, as far as they did not come with the server.
    pub calls: Vec<Oid>,
    pub triggers: Vec<Trigger>,
    /// The events (`2` UPDATE, `3` INSERT, `4` DELETE) for which a rule rewrites statements.
    pub rules: Vec<char>,
    /// Foreign keys of other tables that act on them when rows here change.
    pub cascades: Vec<Cascade>,
    /// Functions in defaults and generated columns, as far as they did not come with the server.
    pub defaults: Vec<Oid>,
    /// Functions in CHECK constraints and index expressions, as far as they did not come with the server.
    pub run_on_write: Vec<Oid>,
    /// The sequences that defaults draw from.
    pub sequences: Vec<Oid>,
}

#[derive(Clone, Debug)]
pub(in crate::catalog) struct Column {
    pub number: i16,
    pub name: Arc<str>,
    pub of: Oid,
}

/// One relation that a view reads; `column` 0 is the relation without any column.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct ViewRead {
    pub relation: Oid,
    pub column: i16,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Trigger {
    /// `pg_trigger.tgtype`.
    pub events: i16,
    pub function: Oid,
}

#[derive(Clone, Debug)]
pub(in crate::catalog) struct Cascade {
    /// The table that refers here.
    pub relation: Oid,
    /// `pg_constraint.confdeltype`, `confupdtype`: c, n or d where it acts.
    pub on_delete: char,
    pub on_update: char,
    /// The key columns here, and the columns there that follow them.
    pub referenced: Vec<i16>,
    pub referencing: Vec<i16>,
}

#[derive(Debug)]
pub(in crate::catalog) struct Function {
    pub oid: Oid,
    pub schema: Oid,
    pub name: Arc<str>,
    /// Input arguments, a variadic one as its array.
    pub arguments: Vec<Oid>,
    /// The element type of a variadic last argument; 0 where there is none.
    pub variadic: Oid,
    pub defaults: usize,
    /// `pg_proc.prokind`: f, p, a or w.
    pub kind: char,
    pub returns: Oid,
    pub security_definer: bool,
    /// The names of the input arguments, as far as they have any.
    pub names: Vec<Arc<str>>,
    /// OUT, INOUT and TABLE columns.
    pub outputs: Vec<(Arc<str>, Oid)>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Operator {
    pub schema: Oid,
    /// 0 for a prefix operator.
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    pub function: Oid,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Cast {
    /// 0 where it needs no function.
    pub function: Oid,
    pub context: CastContext,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) enum CastContext {
    Explicit,
    Assignment,
    Implicit,
}

#[derive(Clone, Debug)]
pub(in crate::catalog) struct TypeEntry {
    /// `pg_type.typtype`: b, c, d, e, p, r or m.
    pub kind: char,
    pub element: Oid,
    pub array: Oid,
    pub base: Oid,
    pub relation: Oid,
    pub category: char,
    pub preferred: bool,
    /// The input function, where it did not come with the server; a range's canonical function likewise.
    pub input: Vec<Oid>,
    /// The functions of a domain's checks, as far as they did not come with the server.
    pub checks: Vec<Oid>,
}

impl Function {
    pub fn is_builtin(&self) -> bool {
        self.oid < FIRST_USER_OID
    }
}

impl Relation {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// The names of columns by their numbers.
    pub fn names_of(&self, numbers: &[i16]) -> BTreeSet<Arc<str>> {
        let numbered = self.columns.iter().filter(|column| numbers.contains(&column.number));
        numbered.map(|column| Arc::clone(&column.name)).collect()
    }

    /// Tables and the like have `ctid`, `xmin` and their kin; views and composite types have not.
    pub fn has_system_columns(&self) -> bool {
        match self.kind {
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::MaterializedView
            | RelationKind::Sequence
            | RelationKind::ForeignTable
            | RelationKind::Toast => true,
            RelationKind::View | RelationKind::Composite | RelationKind::Index => false,
        }
    }
}

impl Snapshot {
    /// The spellings of `search_path` that mean what sessions are pinned to: the setting itself, and the schemas that it
    /// comes to (`"$user"` is none of them where no schema has that name).
    #[must_use]
    pub fn search_paths(&self) -> Arc<[String]> {
        [self.search_path.clone(), self.effective_path.clone()].into()
    }

    /// What came with the server, and what no session changes: what a session's own transaction sees begins with this.
    pub(in crate::catalog) fn without_users(&self) -> Self {
        let is_servers = |oid: &Oid| *oid < FIRST_USER_OID;
        let named = |names: &HashMap<Arc<str>, Vec<(Oid, Oid)>>| {
            let kept = names.iter().map(|(name, found)| {
                let found: Vec<_> = found.iter().filter(|(_, oid)| is_servers(oid)).copied().collect();
                (Arc::clone(name), found)
            });
            kept.filter(|(_, found)| !found.is_empty()).collect()
        };
        let relations = self.relations.iter().filter(|(oid, _)| is_servers(oid));
        let types = self.types.iter().filter(|(oid, _)| is_servers(oid));
        Self {
            version: 0,
            database: self.database.clone(),
            session_user: self.session_user.clone(),
            server_version_num: self.server_version_num,
            search_path: self.search_path.clone(),
            effective_path: self.effective_path.clone(),
            path: Vec::new(),
            schemas: HashMap::new(),
            schema_names: HashMap::new(),
            relations: relations.map(|(oid, relation)| (*oid, relation.clone())).collect(),
            relation_names: named(&self.relation_names),
            types: types.map(|(oid, entry)| (*oid, entry.clone())).collect(),
            type_names: named(&self.type_names),
            code: Arc::clone(&self.code),
        }
    }

    /// The relation that `parts` names, by the pinned search path.
    pub(in crate::catalog) fn relation(&self, parts: &[&str]) -> Option<&Relation> {
        let (schema, name) = self.split(parts)?;
        let found = self.relation_names.get(name)?;
        self.pick(schema, found).and_then(|oid| self.relations.get(&oid))
    }

    /// The type that `parts` names.
    pub(in crate::catalog) fn named_type(&self, parts: &[&str]) -> Option<Oid> {
        let (schema, name) = self.split(parts)?;
        self.pick(schema, self.type_names.get(name)?)
    }

    pub(in crate::catalog) fn has_collation(&self, parts: &[&str]) -> bool {
        let Some((schema, name)) = self.split(parts) else { return false };
        let Some(schemas) = self.code.collations.get(name) else { return false };
        match schema {
            Some(schema) => self.schemas.get(schema).is_some_and(|oid| schemas.contains(oid)),
            None => self.path.iter().any(|oid| schemas.contains(oid)),
        }
    }

    pub(in crate::catalog) fn schema_name(&self, oid: Oid) -> &str {
        self.schema_names.get(&oid).map_or("?", |name| name)
    }

    /// Where an unqualified CREATE puts its object: the first schema of the path that is not `pg_catalog`.
    pub(in crate::catalog) fn creation_schema(&self) -> Option<&str> {
        self.path.iter().map(|oid| self.schema_name(*oid)).find(|name| *name != "pg_catalog")
    }

    /// Splits a name into schema and object; a database in front must be this one.
    pub(in crate::catalog) fn split<'p>(&self, parts: &[&'p str]) -> Option<(Option<&'p str>, &'p str)> {
        match parts {
            [name] => Some((None, name)),
            [schema, name] => Some((Some(schema), name)),
            [database, schema, name] if *database == self.database => Some((Some(schema), name)),
            _ => None,
        }
    }

    /// Of the `(schema, object)` pairs that bear a name, the one that it means.
    fn pick(&self, schema: Option<&str>, found: &[(Oid, Oid)]) -> Option<Oid> {
        let within = |schema: Oid| found.iter().find(|(s, _)| *s == schema).map(|(_, oid)| *oid);
        match schema {
            Some(schema) => within(*self.schemas.get(schema)?),
            None => self.path.iter().find_map(|schema| within(*schema)),
        }
    }
}
