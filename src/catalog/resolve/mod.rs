//! A statement's names resolved against a [`Snapshot`], as PostgreSQL's parse analysis would: which relations, columns
//! and functions it touches. What does not resolve is an error; nothing is guessed.

mod call;
mod candidates;
mod coerce;
mod ddl;
mod expr;
mod finish;
mod from;
mod labels;
mod query;
mod scope;
mod sources;
mod trace;
mod weigh;
mod write;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::footprint::{CalledBy, Effect, Footprint, Oid, TouchedFunction, TouchedRelation, Unresolved};
use super::snapshot::Snapshot;
use super::types::Type;
use crate::access::Operation;
use crate::sql::tree::{Action, OperatorName, QualifiedName, TypeName};
use scope::{CommonTable, Level};
use trace::Trace;

/// Bounds one analysis: columns looked at, in all scopes together. What needs more is refused.
const WORK_LIMIT: usize = 20_000_000;

/// Resolves every name of `action`.
///
/// # Errors
/// [`Unresolved`] names the first name that means nothing, or nothing that pgward can tell.
pub fn resolve(snapshot: &Snapshot, action: &Action) -> Result<Footprint, Unresolved> {
    run(snapshot, action, Parameters::Unheard, false).0
}

/// [`resolve`], and what was found on the way, a line for each name: relations, columns, functions, operators.
pub fn resolve_told(snapshot: &Snapshot, action: &Action) -> (Result<Footprint, Unresolved>, Vec<String>) {
    run(snapshot, action, Parameters::Unheard, true)
}

/// [`resolve`] for a statement whose Parse message was seen: `parameters` are exactly the types that it declared, 0 where
/// it left one open. Those left open are PostgreSQL's to infer, which lets more overloads be told apart.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(snapshot: &Snapshot, action: &Action, parameters: &[Oid]) -> Result<Footprint, Unresolved> {
    run(snapshot, action, Parameters::Declared(parameters.to_vec()), false).0
}

/// What is known of a statement, and whether that may be said of statements with other literals too.
#[derive(Clone, Debug)]
pub struct Weighed {
    pub resolved: Result<Footprint, Unresolved>,
    /// No literal became a name of something, or a value of a type that runs code of its own to read it.
    pub plain: bool,
}

/// [`resolve`], for a statement that is to stand for all that differ from it in their literals.
pub fn resolve_weighed(snapshot: &Snapshot, action: &Action) -> Weighed {
    let mut resolver = Resolver::new(snapshot, Parameters::Unheard, HashSet::new(), SHALLOW);
    let result = resolver.action(action);
    // What takes a larger stack is looked at each time.
    let plain = resolver.plain && !resolver.too_deep && resolver.open_parameters.is_empty();
    Weighed { resolved: resolver.told(result).0, plain }
}

/// A footprint, and what there is to tell of the way to it.
type Told = (Result<Footprint, Unresolved>, Vec<String>);

fn run(snapshot: &Snapshot, action: &Action, parameters: Parameters, tell: bool) -> Told {
    match attempt(snapshot, action, parameters.clone(), SHALLOW, tell) {
        Attempt::Done(told) => *told,
        Attempt::TooDeep => on_large_stack(|| attempt(snapshot, action, parameters, DEEP, tell)),
    }
}

/// What is known of the types of `$1` and its kin.
#[derive(Clone)]
enum Parameters {
    /// The client may have declared anything.
    Unheard,
    /// Declared as told, or 0.
    Declared(Vec<Oid>),
}

/// Nesting that fits any thread's stack, and nesting that fits [`LARGE_STACK`].
const SHALLOW: usize = 48;
const DEEP: usize = 20_000;
/// Bytes; mostly address space, as pages are only taken when touched.
const LARGE_STACK: usize = 256 * 1024 * 1024;

enum Attempt {
    Done(Box<Told>),
    TooDeep,
}

/// Resolves with parameters of any type; then, if that reached functions of the database's own, once more with what
/// PostgreSQL would infer: a parameter that no type was declared for and that occurs once is like a literal without a
/// type. One that occurs again has the type that its first use gave it, which is not followed.
fn attempt(snapshot: &Snapshot, action: &Action, parameters: Parameters, depth_limit: usize, tell: bool) -> Attempt {
    let mut resolver = Resolver::new(snapshot, parameters.clone(), HashSet::new(), depth_limit);
    resolver.trace = tell.then(Trace::default);
    let result = resolver.declared_types().and_then(|()| resolver.action(action));
    if resolver.too_deep {
        return Attempt::TooDeep;
    }
    let inferred: HashSet<u16> =
        resolver.open_parameters.iter().filter(|(_, uses)| **uses == 1).map(|(number, _)| *number).collect();
    let own_functions = resolver.functions.iter().any(|function| !function.builtin);
    let first = resolver.told(result);
    if first.0.is_err() || !own_functions || inferred.is_empty() {
        return Attempt::Done(Box::new(first));
    }
    let mut resolver = Resolver::new(snapshot, parameters, inferred, depth_limit);
    resolver.trace = tell.then(Trace::default);
    let result = resolver.declared_types().and_then(|()| resolver.action(action));
    Attempt::Done(Box::new(resolver.told(result)))
}

/// Few statements nest so deeply that the caller's stack might not do: they are lent a large one.
fn on_large_stack(work: impl FnOnce() -> Attempt) -> Told {
    let failed = || (Err(Unresolved::Unsupported("a statement that nests this deeply".to_owned())), Vec::new());
    let work = std::panic::AssertUnwindSafe(work);
    match stacker::grow(LARGE_STACK, || std::panic::catch_unwind(work)) {
        Ok(Attempt::Done(told)) => *told,
        Ok(Attempt::TooDeep) | Err(_) => failed(),
    }
}

/// One use of one relation while the statement is being resolved.
struct Use {
    relation: Oid,
    only: bool,
    /// What each operation touches.
    touched: Vec<(Operation, ColumnSet)>,
}

#[derive(Clone, Default)]
struct ColumnSet {
    names: BTreeSet<Arc<str>>,
    whole: bool,
}

struct Resolver<'s> {
    snapshot: &'s Snapshot,
    parameters: Parameters,
    /// The undeclared parameters, and how often each occurs.
    open_parameters: HashMap<u16, usize>,
    /// The undeclared parameters that are like literals without a type.
    inferred: HashSet<u16>,
    uses: Vec<Use>,
    functions: Vec<TouchedFunction>,
    /// What `functions` holds already.
    called: HashSet<(Oid, u8, Vec<Option<String>>)>,
    effects: Vec<Effect>,
    /// What does not exist yet.
    created: Vec<TouchedRelation>,
    /// What goes by another name afterwards.
    renamed: Option<Oid>,
    /// Query levels, the innermost last.
    levels: Vec<Level>,
    /// The common table expressions in scope, the innermost last.
    tables: Vec<CommonTable>,
    /// What there is to tell, where somebody asks.
    trace: Option<Trace>,
    /// The next SELECT is that of EXISTS, and does nothing with its targets.
    in_exists: bool,
    /// The catalogs whose columns only the `*` of an EXISTS names.
    unseen: Vec<Oid>,
    /// The setting that the next `current_setting` is as good as asking for, by what it is compared with.
    compared_setting: Option<&'static str>,
    /// The last operator that was resolved, with its operands' types and its result.
    last_operator: Option<(OperatorName, (Option<Type>, Type), Type)>,
    /// So far no literal became anything but a plain value.
    plain: bool,
    work: usize,
    depth: usize,
    depth_limit: usize,
    too_deep: bool,
}

impl<'s> Resolver<'s> {
    fn new(snapshot: &'s Snapshot, parameters: Parameters, inferred: HashSet<u16>, depth_limit: usize) -> Self {
        Self {
            snapshot,
            parameters,
            open_parameters: HashMap::new(),
            inferred,
            uses: Vec::new(),
            functions: Vec::new(),
            called: HashSet::new(),
            effects: Vec::new(),
            created: Vec::new(),
            renamed: None,
            levels: Vec::new(),
            tables: Vec::new(),
            trace: None,
            in_exists: false,
            unseen: Vec::new(),
            compared_setting: None,
            last_operator: None,
            plain: true,
            work: 0,
            depth: 0,
            depth_limit,
            too_deep: false,
        }
    }

    /// A value that is bound is read in by the functions of its declared type, whether the statement uses it or not.
    fn declared_types(&mut self) -> Result<(), Unresolved> {
        let Parameters::Declared(types) = &self.parameters else { return Ok(()) };
        for oid in types.clone().into_iter().filter(|oid| *oid != 0) {
            if !self.snapshot.types.contains_key(&oid) {
                return Err(Unresolved::Type(oid.to_string()));
            }
            for function in self.snapshot.type_functions(oid) {
                self.call_function(function, CalledBy::Type, Vec::new());
            }
        }
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<(), Unresolved> {
        match action {
            Action::Query(query) => self.query(query).map(drop),
            Action::Insert(insert) => self.insert(insert).map(drop),
            Action::Update(update) => self.update(update).map(drop),
            Action::Delete(delete) => self.delete(delete).map(drop),
            Action::Merge(merge) => self.merge(merge).map(drop),
            Action::Copy(copy) => self.copy(copy),
            Action::Explain { inner, .. } => self.deeper(|resolver| resolver.action(inner)),
            Action::Prepare { types, inner, .. } => self.prepare(types, &inner.action),
            Action::Execute { arguments, .. } => {
                self.level(|resolver| arguments.iter().try_for_each(|argument| resolver.expr(argument).map(drop)))
            }
            Action::DeclareCursor { query, .. } => self.query(query).map(drop),
            Action::Lock { relations } => self.lock(relations),
            Action::Truncate { relations, restart_identity, cascade } => {
                self.truncate(relations, *restart_identity, *cascade)
            }
            Action::Ddl(ddl) => self.ddl(ddl),
            // Answered by pgward itself: no server sees it, and it touches nothing there.
            Action::Call(call) if call.is_pgward() => Ok(()),
            Action::Call(call) => self.level(|resolver| resolver.procedure(call)),
            Action::Deallocate(_)
            | Action::Fetch { .. }
            | Action::CloseCursor(_)
            | Action::Transaction(_)
            | Action::Set(_)
            | Action::Reset(_)
            | Action::Show(_)
            | Action::SetIdentity
            | Action::ResetIdentity
            | Action::SetConstraints
            | Action::Discard
            | Action::Channel
            | Action::Do
            | Action::Other => Ok(()),
        }
    }

    fn prepare(&mut self, types: &[TypeName], inner: &Action) -> Result<(), Unresolved> {
        let types = types.iter().map(|name| self.type_name(name)).collect::<Result<_, _>>()?;
        self.parameters = Parameters::Declared(types);
        self.action(inner)
    }

    /// Runs `body` in a query level of its own.
    fn level<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T, Unresolved>) -> Result<T, Unresolved> {
        let tables = self.tables.len();
        self.levels.push(Level::default());
        let result = body(self);
        self.levels.pop();
        self.tables.truncate(tables);
        result
    }

    /// Runs `body` one step deeper in the tree.
    fn deeper<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T, Unresolved>) -> Result<T, Unresolved> {
        if self.depth >= self.depth_limit {
            self.too_deep = true;
            return Err(Unresolved::Unsupported("a statement that nests this deeply".to_owned()));
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    /// Accounts for work, so that no statement keeps the analysis busy for long.
    fn spend(&mut self, amount: usize) -> Result<(), Unresolved> {
        self.work = self.work.saturating_add(amount);
        if self.work > WORK_LIMIT {
            return Err(Unresolved::Unsupported("a statement with this many relations and columns".to_owned()));
        }
        Ok(())
    }

    /// Opens a use of the relation that `name` means.
    fn use_relation(&mut self, name: &QualifiedName, only: bool) -> Result<usize, Unresolved> {
        let parts: Vec<&str> = name.parts.iter().map(|part| part.as_str()).collect();
        let relation = self.snapshot.relation(&parts).ok_or_else(|| Unresolved::Relation(name.to_string()))?;
        self.tell_relation(name, relation);
        self.uses.push(Use { relation: relation.oid, only, touched: Vec::new() });
        Ok(self.uses.len() - 1)
    }

    /// Records the schema that a type, operator or collation is named with.
    fn names_schema(&mut self, schema: &str) {
        let known = self.snapshot.schemas.get(schema).is_none_or(|oid| self.snapshot.path.contains(oid));
        let effect = || Effect::NamesSchema { schema: schema.to_owned() };
        if !known && schema != "information_schema" && !self.effects.contains(&effect()) {
            self.effects.push(effect());
        }
    }

    /// Marks that `operation` touches the relation, by no column yet.
    fn touch(&mut self, use_index: usize, operation: Operation) -> Option<&mut ColumnSet> {
        let touched = &mut self.uses.get_mut(use_index)?.touched;
        let at = touched.iter().position(|(known, _)| *known == operation).unwrap_or_else(|| {
            touched.push((operation, ColumnSet::default()));
            touched.len() - 1
        });
        touched.get_mut(at).map(|(_, columns)| columns)
    }

    fn touch_column(&mut self, use_index: usize, operation: Operation, name: &Arc<str>) {
        if let Some(columns) = self.touch(use_index, operation)
            && !columns.names.contains(name)
        {
            columns.names.insert(Arc::clone(name));
        }
    }

    fn touch_row(&mut self, use_index: usize, operation: Operation) {
        if let Some(columns) = self.touch(use_index, operation) {
            columns.whole = true;
        }
    }

    /// Records that a function runs.
    fn call_function(&mut self, oid: Oid, by: CalledBy, literal_arguments: Vec<Option<String>>) {
        let Some(function) = self.snapshot.code.functions.get(&oid) else {
            // A function that the snapshot lacks is one that no scope names.
            self.functions.push(TouchedFunction {
                oid,
                schema: "?".to_owned(),
                name: oid.to_string(),
                builtin: false,
                security_definer: true,
                literal_arguments,
                by,
            });
            return;
        };
        let touched = TouchedFunction {
            oid,
            schema: self.snapshot.schema_name(function.schema).to_owned(),
            name: function.name.to_string(),
            builtin: function.is_builtin(),
            security_definer: function.security_definer,
            literal_arguments,
            by,
        };
        if self.called.insert((oid, by as u8, touched.literal_arguments.clone())) {
            self.functions.push(touched);
        }
    }
}
