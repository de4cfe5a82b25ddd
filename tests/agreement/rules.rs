//! Why pgward refuses what PostgreSQL would let the same grant do: each difference by name, each by a predicate of its own.
//! A rule names what it is about: a list of functions, of statement kinds, of syntax. None of them is "everything else".

use pgward::access::Operation;
use pgward::catalog::{Effect, TouchedRelation};
use pgward::policy::{Denial, Rule as Denied};
use pgward::sql::tree::Action;

use crate::grants::Spec;
use crate::judge::{Judgement, Read};
use crate::oracle::Case;
use crate::syntax;

/// One statement that PostgreSQL allows and pgward does not.
pub struct Difference<'d> {
    pub spec: &'d Spec,
    pub case: &'d Case,
    pub judgement: &'d Judgement,
    /// The plan, as `EXPLAIN (VERBOSE)` shows it, where there is one.
    pub plan: Option<&'d str>,
    /// What PostgreSQL records as used when the statement is made the body of a function.
    pub uses: &'d [String],
    /// pgward allows the statement without the tables of WITH that nothing refers to.
    pub allowed_without_unreferenced: bool,
}

pub struct Rule {
    pub name: &'static str,
    explains: fn(&Difference<'_>) -> bool,
}

/// The first rule that explains a difference.
pub fn explain(difference: &Difference<'_>) -> Option<&'static str> {
    RULES.iter().find(|rule| (rule.explains)(difference)).map(|rule| rule.name)
}

const RULES: &[Rule] = &[
    // Residency is pgward's alone: PostgreSQL's privileges know no regions.
    Rule { name: "region: rows of another region", explains: another_region },
    Rule { name: "export: rows of one region written into another", explains: carried_over },
    // Built-in functions that any role may call and that no grant gives unless it names them.
    Rule { name: "function: changes the session or the server", explains: |d| calls(d, CHANGES) },
    Rule { name: "function: runs the SQL it is given", explains: |d| calls(d, RUNS_SQL) },
    Rule { name: "function: tells of settings, sessions or statistics", explains: |d| calls(d, TELLS) },
    Rule { name: "function: large objects", explains: |d| calls(d, LARGE_OBJECTS) },
    Rule { name: "function: reads rows or values by name or text", explains: |d| calls(d, BY_NAME) },
    Rule { name: "function: the source of code", explains: |d| calls(d, SOURCES) },
    // PostgreSQL asks for EXECUTE when the function is called; what a column's type makes of a name is not followed.
    Rule { name: "function: one that a schema change names or could mean", explains: could_mean },
    Rule { name: "statement: schema changes in forms that no scope gives", explains: schema_change_of_another_form },
    Rule { name: "catalog: data, secrets, statistics, sources", explains: |d| denied(d, Denied::Catalog) },
    Rule { name: "setting: pinned or not shown", explains: |d| denied(d, Denied::Setting) },
    Rule { name: "statement: a kind that no scope gives", explains: kind_that_no_scope_gives },
    Rule { name: "effect: CASCADE", explains: |d| denied(d, Denied::Effect) && has_effect(d, is_cascade) },
    Rule {
        name: "effect: a rule rewrites the statement",
        explains: |d| denied(d, Denied::Effect) && has_effect(d, is_rewrite),
    },
    // PostgreSQL warns, and leaves out what one does not own.
    Rule { name: "statement: ANALYZE and VACUUM are schema changes", explains: upkeep },
    // LOCK counts as an update; PostgreSQL wants less for the weaker modes.
    Rule { name: "lock: LOCK TABLE counts as update", explains: lock_table },
    // PostgreSQL wants the sequences' owner, where there are any.
    Rule { name: "truncate: RESTART IDENTITY is a schema change", explains: restart_identity },
    // What such a table is made of is not followed: everything in FROM counts as locked.
    Rule { name: "row locks: FOR UPDATE OF a derived table", explains: locks_of_derived },
    // `(row).*` among the values gives several columns and looks like one.
    Rule { name: "insert: without a list of columns, all of them count", explains: insert_without_list },
    // Which columns a constraint is of, the snapshot does not know.
    Rule { name: "insert: ON CONFLICT ON CONSTRAINT counts the whole row", explains: on_constraint },
    // PostgreSQL checks a view's query when it is used.
    Rule { name: "schema change: a view is made of what its maker may read", explains: creates_view },
    // IF EXISTS of something that does not exist: a notice there, an object outside the scope here.
    Rule { name: "scope: what does not exist is out of scope", explains: nothing_of_that_name },
    // PostgreSQL checks what it plans: not a table of WITH that nothing refers to, not a column of a subquery that nobody
    // reads, not a branch that constants rule out.
    Rule { name: "planned away: PostgreSQL never plans it", explains: planned_away },
    Rule { name: "planned away: PostgreSQL records the use and checks none", explains: recorded_but_unchecked },
    Rule { name: "planned away: a table of WITH that nothing refers to", explains: |d| d.allowed_without_unreferenced },
    Rule { name: "unresolved: a table of WITH RECURSIVE before its definition", explains: forward_reference },
    Rule {
        name: "unreadable: joins nested without parentheses",
        explains: |d| unreadable(d) && syntax::joins_nest(&d.case.text),
    },
    Rule { name: "unresolved: a field of what several subscripts give", explains: field_of_subscripts },
    Rule { name: "unresolved: functional notation, of a renamed column or a join's row", explains: by_function },
    Rule {
        name: "unreadable: XMLTABLE in some forms",
        explains: |d| matches!(d.judgement, Judgement::Unreadable(unreadable) if unreadable.message.starts_with("XMLTABLE")),
    },
    Rule { name: "unreadable: a window frame bound by a subquery", explains: frame_of_subquery },
    Rule {
        name: "unreadable: SET … FROM CURRENT",
        explains: |d| unreadable(d) && d.case.text.to_ascii_uppercase().contains("FROM CURRENT"),
    },
    Rule {
        name: "unreadable: OPERATOR() before its only operand",
        explains: |d| matches!(d.judgement, Judgement::Unreadable(unreadable) if unreadable.message.starts_with("OPERATOR() is supported between")),
    },
    Rule { name: "unreadable: OFFSET after TABLESAMPLE", explains: sample_and_offset },
    Rule {
        name: "unreadable: an operand whose first query is in parentheses",
        explains: |d| unreadable(d) && syntax::has_parenthesised_first_arm(&d.case.text),
    },
    Rule { name: "unreadable: FROM t *", explains: |d| unreadable(d) && syntax::has_star_after_table(&d.case.text) },
    Rule {
        name: "unreadable: a reserved word as a label",
        explains: |d| unreadable(d) && syntax::has_reserved_label(&d.case.text),
    },
];

fn another_region(difference: &Difference<'_>) -> bool {
    !difference.spec.regions.contains(&"eu-west")
        && denial(difference)
            .is_some_and(|denial| denial.rule == Denied::Region && denial.message.contains("region eu-west"))
}

fn carried_over(difference: &Difference<'_>) -> bool {
    denial(difference).is_some_and(|denial| {
        denial.rule == Denied::Export
            && denial.message.ends_with("data of region eu-west would be written to region us-east")
    })
}

fn kind_that_no_scope_gives(difference: &Difference<'_>) -> bool {
    let kind = denial(difference)
        .filter(|denial| denial.rule == Denied::Statement)
        .and_then(|denial| denial.message.strip_prefix("permission denied for "));
    kind.is_some_and(|kind| KINDS.contains(&kind))
}

fn could_mean(difference: &Difference<'_>) -> bool {
    let ddl = read(difference).is_some_and(|read| matches!(read.statement.action, Action::Ddl(_)));
    let named =
        ["upper", "dom_check", "order_count"].map(|name| format!("permission denied for function public.{name}"));
    ddl && denial(difference).is_some_and(|denial| denial.rule == Denied::Function && named.contains(&denial.message))
}

fn schema_change_of_another_form(difference: &Difference<'_>) -> bool {
    let upper = difference.case.text.to_ascii_uppercase();
    let refused = denial(difference).filter(|denial| denial.rule == Denied::Statement);
    let kinds = ["ALTER TABLE", "CREATE TABLE", "ALTER INDEX"].map(|kind| format!("permission denied for {kind}"));
    refused.is_some_and(|denial| kinds.contains(&denial.message)) && FORMS.iter().any(|form| upper.contains(form))
}

fn lock_table(difference: &Difference<'_>) -> bool {
    let locks = read(difference).is_some_and(|read| matches!(read.statement.action, Action::Lock { .. }));
    let row = "permission denied for the whole row of";
    locks
        && denial(difference).is_some_and(|denial| match denial.rule {
            Denied::Scope => denial.detail.contains("update on"),
            // PostgreSQL also takes the privilege to delete for it.
            Denied::Column => denial.message.starts_with(row),
            _ => false,
        })
}

fn nothing_of_that_name(difference: &Difference<'_>) -> bool {
    let made = |touched: &TouchedRelation| touched.oid == 0 && touched.operation == Operation::Ddl;
    let upper = difference.case.text.to_ascii_uppercase();
    denied(difference, Denied::Scope)
        && upper.split_whitespace().collect::<Vec<_>>().join(" ").contains("IF EXISTS")
        && read(difference)
            .and_then(|read| read.resolved.as_ref().ok())
            .is_some_and(|footprint| footprint.relations.iter().any(made))
}

/// What was refused occurs nowhere in PostgreSQL's plan.
fn planned_away(difference: &Difference<'_>) -> bool {
    let (Some(denial), Some(plan)) = (denial(difference), difference.plan) else { return false };
    let object = match denial.rule {
        Denied::Scope | Denied::Column | Denied::Region | Denied::Function => denial.message.rsplit(' ').next(),
        _ => None,
    };
    object.and_then(|object| object.rsplit('.').next()).is_some_and(|name| !plan.contains(name))
}

/// The statement does use what was refused, PostgreSQL says so itself; had it checked, it would have refused, as the role
/// lacks the privilege. It drops the use before it gets to that.
fn recorded_but_unchecked(difference: &Difference<'_>) -> bool {
    let Some(denial) = denial(difference) else { return false };
    let words: Vec<&str> = denial.message.split(' ').collect();
    let object = match (denial.rule, words.as_slice()) {
        (Denied::Scope, ["permission", "denied", "for", .., object])
            if ["select on", "update on"].iter().any(|words| denial.detail.contains(words)) =>
        {
            // Behind a view that runs with its invoker's rights PostgreSQL records the view.
            let invoked = *object == "app.people"
                && difference.uses.iter().any(|used| INVOKED.iter().any(|view| used.starts_with(view)));
            return invoked
                || difference.uses.iter().any(|used| used == object || used.starts_with(&format!("{object}.")));
        }
        (Denied::Column, ["permission", "denied", "for", "column", column, "of", .., object]) => {
            format!("{object}.{column}")
        }
        _ => return false,
    };
    difference.uses.contains(&object)
}

/// The views of the world with `security_invoker`, and those over them.
const INVOKED: &[&str] = &["app.v_invoker", "app.v_nested"];

fn forward_reference(difference: &Difference<'_>) -> bool {
    let upper = difference.case.text.to_ascii_uppercase();
    let words =
        denial(difference).is_some_and(|denial| denial.message.ends_with("before its definition cannot be resolved"));
    denied(difference, Denied::Unresolved) && words && upper.contains("RECURSIVE")
}

fn upkeep(difference: &Difference<'_>) -> bool {
    read(difference).is_some_and(|read| matches!(read.statement.kind, "ANALYZE" | "VACUUM"))
        && denial(difference).is_some_and(|denial| denial.rule == Denied::Scope && denial.detail.contains("ddl on"))
}

fn restart_identity(difference: &Difference<'_>) -> bool {
    let restarts = |read: &Read| matches!(read.statement.action, Action::Truncate { restart_identity: true, .. });
    read(difference).is_some_and(restarts)
        && denial(difference).is_some_and(|denial| denial.rule == Denied::Scope && denial.detail.contains("ddl on"))
}

fn locks_of_derived(difference: &Difference<'_>) -> bool {
    let upper = difference.case.text.to_ascii_uppercase();
    let of = ["UPDATE OF ", "SHARE OF "].iter().any(|words| upper.contains(words));
    of && denial(difference)
        .is_some_and(|denial| denial.rule == Denied::Scope && denial.detail.contains("allow update on"))
}

fn on_constraint(difference: &Difference<'_>) -> bool {
    let row =
        denial(difference).is_some_and(|denial| denial.message.starts_with("permission denied for the whole row of"));
    denied(difference, Denied::Column) && row && difference.case.text.to_ascii_uppercase().contains(" ON CONSTRAINT ")
}

fn creates_view(difference: &Difference<'_>) -> bool {
    let creates = read(difference).is_some_and(|read| read.statement.kind == "CREATE VIEW");
    creates
        && denial(difference)
            .is_some_and(|denial| matches!(denial.rule, Denied::Scope | Denied::Column | Denied::Region))
}

fn sample_and_offset(difference: &Difference<'_>) -> bool {
    let upper = difference.case.text.to_ascii_uppercase();
    unreadable(difference) && upper.split_once("TABLESAMPLE").is_some_and(|(_, rest)| rest.contains("OFFSET"))
}

fn frame_of_subquery(difference: &Difference<'_>) -> bool {
    unreadable(difference) && syntax::has_frame_of_parentheses(&difference.case.text)
}

fn field_of_subscripts(difference: &Difference<'_>) -> bool {
    denied(difference, Denied::Unresolved) && difference.case.text.contains("])[")
}

/// `c1(t)` where `c1` is what an alias list calls a column, and `name(j1)` of a join: the grammar names them so.
fn by_function(difference: &Difference<'_>) -> bool {
    let name = denial(difference)
        .and_then(|denial| denial.message.strip_prefix("function ")?.strip_suffix("(…) does not exist"));
    let Some(name) = name.filter(|_| denied(difference, Denied::Unresolved)) else { return false };
    let renamed = name.strip_prefix('c').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    renamed || difference.case.text.contains(&format!("{name}(j"))
}

fn insert_without_list(difference: &Difference<'_>) -> bool {
    let bare = |read: &Read| matches!(&read.statement.action, Action::Insert(insert) if insert.columns.is_empty());
    let inside = syntax::has_bare_insert(&difference.case.text);
    denied(difference, Denied::Column) && (inside || read(difference).is_some_and(bare))
}

fn denial<'d>(difference: &Difference<'d>) -> Option<&'d Denial> {
    match difference.judgement {
        Judgement::Denies { denial, .. } => Some(denial),
        Judgement::Allows | Judgement::Unreadable(_) => None,
    }
}

fn read<'d>(difference: &Difference<'d>) -> Option<&'d Read> {
    match difference.judgement {
        Judgement::Denies { read, .. } => Some(read),
        Judgement::Allows | Judgement::Unreadable(_) => None,
    }
}

fn denied(difference: &Difference<'_>, rule: Denied) -> bool {
    denial(difference).is_some_and(|denial| denial.rule == rule)
}

fn unreadable(difference: &Difference<'_>) -> bool {
    matches!(difference.judgement, Judgement::Unreadable(_))
}

fn has_effect(difference: &Difference<'_>, wanted: fn(&Effect) -> bool) -> bool {
    let footprint = read(difference).and_then(|read| read.resolved.as_ref().ok());
    footprint.is_some_and(|footprint| footprint.effects.iter().any(wanted))
}

fn is_cascade(effect: &Effect) -> bool {
    matches!(effect, Effect::Cascades { .. })
}

fn is_rewrite(effect: &Effect) -> bool {
    matches!(effect, Effect::Rewrites { .. })
}

/// Whether a function of `names`, which came with the server, is what was refused.
fn calls(difference: &Difference<'_>, names: &[&str]) -> bool {
    let refused = denial(difference).filter(|denial| denial.rule == Denied::Function);
    let name = refused.and_then(|denial| denial.message.strip_prefix("permission denied for function pg_catalog."));
    name.is_some_and(|name| {
        names.iter().any(|known| known.strip_suffix('*').map_or(*known == name, |stem| name.starts_with(stem)))
    })
}

/// Forms of schema changes that pgward does not read wholly, and so refuses.
const FORMS: &[&str] = &[
    "DISABLE TRIGGER",
    "ROW LEVEL SECURITY",
    " INHERITS ",
    " INHERIT ",
    "ALTER INDEX",
    "PARTITION OF",
    "ATTACH PARTITION",
    "SET SCHEMA",
    "OWNER TO",
];

/// Kinds of statements that PostgreSQL lets a role say without any privilege, or with that of an owner.
const KINDS: &[&str] = &[
    "ANALYZE",
    "NOTIFY",
    "LISTEN",
    "GRANT",
    "REVOKE",
    "COMMENT",
    "RESET",
    "SET",
    "ALTER DEFAULT PRIVILEGES",
    "CREATE STATISTICS",
    "REINDEX",
    "CLUSTER",
    "CREATE TRIGGER",
    "CREATE RULE",
    "VACUUM",
];

const CHANGES: &[&str] = &[
    "set_config",
    "nextval",
    "setval",
    "currval",
    "lastval",
    "pg_notify",
    "setseed",
    "pg_current_xact_id",
    "txid_current",
    "pg_export_snapshot",
    "pg_advisory*",
    "pg_try_advisory*",
    "pg_create_logical_replication_slot",
    "pg_drop_replication_slot",
    "pg_nextoid",
    "pg_logical*",
    "gin_clean_pending_list",
    "pg_import_system_collations",
];
const RUNS_SQL: &[&str] = &["query_to_xml*", "cursor_to_xml*", "ts_stat", "ts_rewrite"];
const TELLS: &[&str] = &[
    "current_setting",
    "pg_show_all_settings",
    "pg_stat_*",
    "pg_lock_status",
    "pg_prepared_xact",
    "pg_last_committed_xact",
    "pg_get_multixact_members",
];
const LARGE_OBJECTS: &[&str] = &["lo_*", "loread", "lowrite", "loopen"];
const BY_NAME: &[&str] = &[
    "table_to_xml*",
    "schema_to_xml*",
    "database_to_xml*",
    "currtid2",
    "array_in",
    "record_in",
    "pg_sequence_last_value",
];
const SOURCES: &[&str] = &["pg_get_functiondef", "pg_get_function_sqlbody", "fmgr_sql_validator"];

/// What pgward allows although PostgreSQL refuses it with 42501. One thing alone: the literal of a `reg…` type may name a
/// schema that the role has no USAGE on. The name is looked up, nothing behind it is read; `pg_class` tells as much.
pub fn is_lookup_of_a_name(text: &str, why: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let casts = ["::regclass", "::regtype", "::regproc", "regclass '", "to_regclass(", "to_regtype(", "as regclass)"];
    why.starts_with("permission denied for schema") && casts.iter().any(|cast| lower.contains(cast))
}
