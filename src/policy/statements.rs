//! Kinds of statements: which of them any grant lets through, which need a privilege, which nothing gives.

use super::context::Context;
use super::denial::Refusal;
use super::guards::Guard;
use super::settings::{self, SettingRefused};
use crate::access::Scope;
use crate::sql::tree::{
    Action, CopyEndpoint, Expr, FromItem, Literal, Query, SetExpr, Setting, Statement, Target, Transaction,
    TransactionModes,
};

/// Whether `scope` lets statements of this kind through, whatever they touch.
pub(super) fn check(statement: &Statement, scope: &Scope, context: &Context) -> Result<(), Refusal> {
    action(&statement.action, statement.kind, scope, context)
}

fn action(action: &Action, kind: &'static str, scope: &Scope, context: &Context) -> Result<(), Refusal> {
    let may_write = !scope.is_read_only();
    match action {
        Action::Query(_)
        | Action::Insert(_)
        | Action::Update(_)
        | Action::Delete(_)
        | Action::Merge(_)
        | Action::Truncate { .. }
        | Action::Lock { .. }
        | Action::Call(_)
        | Action::Execute { .. }
        | Action::Deallocate(_)
        | Action::DeclareCursor { .. }
        | Action::Fetch { .. }
        | Action::CloseCursor(_)
        | Action::SetConstraints => Ok(()),
        Action::Copy(copy) => match copy.endpoint {
            CopyEndpoint::Client => Ok(()),
            CopyEndpoint::File => Err(Refusal::Statement("COPY to or from a file of the server")),
            CopyEndpoint::Program => Err(Refusal::Statement("COPY to or from a program")),
        },
        Action::Explain { inner, .. } => self::action(inner, kind, scope, context),
        Action::Prepare { inner, .. } => check(inner, scope, context),
        Action::Transaction(transaction) => self::transaction(transaction, scope),
        Action::Set(setting) => set(setting, &context.search_paths, may_write),
        // It restores what the session was opened with: its pins travel in the startup packet. A session that was opened
        // to write and may not any more would write again.
        Action::Reset(None) if may_write || context.session.opened_read_only => Ok(()),
        Action::Reset(None) => Err(Refusal::Guard(Guard::Restores("RESET ALL"))),
        Action::Reset(Some(name)) if settings::may_reset(name, may_write) => Ok(()),
        Action::Reset(Some(name)) => Err(Refusal::Setting { name: name.clone(), value: false }),
        Action::Show(Some(name)) if settings::may_show(name) => Ok(()),
        Action::Show(Some(name)) => Err(Refusal::Show(Some(name.clone()))),
        Action::Show(None) => Err(Refusal::Show(None)),
        Action::Ddl(ddl) if ddl.temporary => Err(Refusal::Statement("the creation of temporary objects")),
        Action::Ddl(_) => Ok(()),
        // Nothing can be listened to, so there is nothing that UNLISTEN could do.
        Action::Channel if kind == "UNLISTEN" => Ok(()),
        // Back to the login, which is what the session is anyway: none can have taken on another identity.
        Action::ResetIdentity => Ok(()),
        // What it throws away is the session's own; settings go back to what the session was opened with, as with RESET.
        Action::Discard if kind != "DISCARD ALL" || may_write || context.session.opened_read_only => Ok(()),
        Action::Discard => Err(Refusal::Guard(Guard::Restores("DISCARD ALL"))),
        Action::SetIdentity | Action::Channel | Action::Do | Action::Other => Err(Refusal::Statement(kind)),
    }
}

/// Statements that carry no data: a grant for one statement lets a session say them around it.
pub(super) fn is_plumbing(action: &Action) -> bool {
    match action {
        Action::Transaction(_)
        | Action::Set(_)
        | Action::Reset(_)
        | Action::Show(_)
        | Action::Deallocate(_)
        | Action::CloseCursor(_)
        | Action::Discard
        | Action::ResetIdentity
        | Action::SetConstraints => true,
        Action::Call(call) => call.is_pgward(),
        Action::Query(_)
        | Action::Insert(_)
        | Action::Update(_)
        | Action::Delete(_)
        | Action::Merge(_)
        | Action::Copy(_)
        | Action::Explain { .. }
        | Action::Prepare { .. }
        | Action::Execute { .. }
        | Action::DeclareCursor { .. }
        | Action::Fetch { .. }
        | Action::SetIdentity
        | Action::Channel
        | Action::Lock { .. }
        | Action::Truncate { .. }
        | Action::Ddl(_)
        | Action::Do
        | Action::Other => false,
    }
}

fn transaction(transaction: &Transaction, scope: &Scope) -> Result<(), Refusal> {
    match transaction {
        Transaction::Begin(modes) | Transaction::SetModes(modes) => {
            writing(*modes, "a transaction that is READ WRITE", scope)
        }
        Transaction::SetSessionModes(modes) => {
            writing(*modes, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", scope)
        }
        Transaction::Commit { .. }
        | Transaction::Rollback { .. }
        | Transaction::Savepoint(_)
        | Transaction::Release(_)
        | Transaction::RollbackTo(_) => Ok(()),
        Transaction::SetSnapshot => Err(Refusal::Statement("SET TRANSACTION SNAPSHOT")),
        Transaction::TwoPhase => Err(Refusal::Statement("two-phase commit")),
    }
}

/// READ ONLY is always fine; READ WRITE is for who may write.
fn writing(modes: TransactionModes, what: &'static str, scope: &Scope) -> Result<(), Refusal> {
    match modes.read_only {
        Some(false) if scope.is_read_only() => Err(Refusal::Guard(Guard::ReadWrite(what))),
        Some(_) | None => Ok(()),
    }
}

fn set(setting: &Setting, search_paths: &[String], may_write: bool) -> Result<(), Refusal> {
    settings::may_set(&setting.name, setting.values.as_deref(), search_paths, may_write)
        .map_err(|refused| Refusal::Setting { name: setting.name.clone(), value: refused == SettingRefused::Value })
}

/// `SELECT … FROM pg_settings WHERE name = '…'`, of a setting that may be shown, with `pg_show_all_settings()` for the
/// view: drivers ask for single values like this. Any other way of reading them could show all.
pub(super) fn reads_one_shown_setting(action: &Action) -> bool {
    let Action::Query(query) = action else { return false };
    let Query { with: None, body: SetExpr::Select(select), order_by, limits, locks } = query.as_ref() else {
        return false;
    };
    // Nothing else in the query may read settings: no subquery, so nothing but plain targets and the one condition.
    let plain = order_by.is_empty() && limits.is_empty() && locks.is_empty();
    let plain = plain && select.group_by.is_empty() && select.having.is_none() && select.windows.is_empty();
    if !plain || !select.distinct_on.is_empty() || !select.targets.iter().all(is_plain_target) {
        return false;
    }
    let name = match select.from.as_slice() {
        // Columns that are called otherwise could make another one the name.
        [FromItem::Relation { relation, alias, .. }] if alias.columns.is_empty() => (&relation.name, "pg_settings"),
        [FromItem::Functions { calls, alias, .. }] if alias.columns.is_empty() => match calls.as_slice() {
            [call] => (&call.name, "pg_show_all_settings"),
            _ => return false,
        },
        _ => return false,
    };
    let is_settings = match name.0.parts.as_slice() {
        [only] => only.as_str() == name.1,
        [schema, last] => schema.as_str() == "pg_catalog" && last.as_str() == name.1,
        _ => false,
    };
    let Some(Expr::Operator { name, left: Some(left), right }) = &select.selection else { return false };
    let (Expr::Column(column), Expr::Literal(Literal::String(setting))) = (left.as_ref(), right.as_ref()) else {
        return false;
    };
    let by_name = matches!(column.parts.as_slice(), [only] if only.as_str() == "name");
    let equals = name.schema.is_none() && &*name.symbol == "=";
    is_settings && by_name && equals && settings::may_show(setting)
}

fn is_plain_target(target: &Target) -> bool {
    match target {
        Target::Star | Target::QualifiedStar(_) => true,
        Target::Expr { expr, alias: _ } => is_plain(expr),
        Target::FieldStar(_) | Target::RowAlias(_) => false,
    }
}

/// A column, a literal, a cast of one, or a call on such.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        // Where the server's files lie is told to superusers.
        Expr::Column(name) => {
            name.parts.last().is_none_or(|last| !matches!(last.as_str(), "sourcefile" | "sourceline"))
        }
        Expr::Literal(_) => true,
        Expr::Cast { expr, to: _ } => is_plain(expr),
        Expr::Call(call) => {
            let bare = call.order_by.is_empty() && call.within_group.is_empty();
            bare && call.filter.is_none() && call.over.is_none() && call.arguments.iter().all(|one| is_plain(&one.expr))
        }
        Expr::Parameter(_)
        | Expr::Operator { .. }
        | Expr::Boolean(_)
        | Expr::Collate { .. }
        | Expr::Subquery(_)
        | Expr::Field { .. }
        | Expr::Subscript { .. }
        | Expr::Row(_)
        | Expr::Array(_)
        | Expr::Case { .. }
        | Expr::Common { .. }
        | Expr::Keyword(_)
        | Expr::WholeRow(_)
        | Expr::Default => false,
    }
}
