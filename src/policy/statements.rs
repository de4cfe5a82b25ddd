//! Kinds of statements: which of them any grant lets through, which need a privilege, which nothing gives.

use super::denial::Refusal;
use super::settings::{self, SettingRefused};
use crate::access::{Operation, Scope};
use crate::sql::tree::{
    Action, CopyEndpoint, Expr, FromItem, Literal, Query, SetExpr, Setting, Statement, Transaction, TransactionModes,
};

/// Whether `scope` lets statements of this kind through, whatever they touch.
pub(super) fn check(statement: &Statement, scope: &Scope, search_path: &str) -> Result<(), Refusal> {
    action(&statement.action, statement.kind, scope, search_path)
}

fn action(action: &Action, kind: &'static str, scope: &Scope, search_path: &str) -> Result<(), Refusal> {
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
        Action::Explain { inner, .. } => self::action(inner, kind, scope, search_path),
        Action::Prepare { inner, .. } => check(inner, scope, search_path),
        Action::Transaction(transaction) => self::transaction(transaction, scope),
        Action::Set(setting) => set(setting, search_path),
        // RESET restores what the session was opened with: its pins travel in the startup packet.
        Action::Reset(None) => Ok(()),
        Action::Reset(Some(name)) if settings::may_reset(name) => Ok(()),
        Action::Reset(Some(name)) => Err(Refusal::Setting { name: name.clone(), value: false }),
        Action::Show(Some(name)) if settings::may_show(name) => Ok(()),
        Action::Show(Some(name)) => Err(Refusal::Show(Some(name.clone()))),
        Action::Show(None) => Err(Refusal::Show(None)),
        Action::Ddl(ddl) if ddl.temporary => Err(Refusal::Statement("the creation of temporary objects")),
        Action::Ddl(_) => Ok(()),
        // Nothing can be listened to, so there is nothing that UNLISTEN could do.
        Action::Channel if kind == "UNLISTEN" => Ok(()),
        Action::SetIdentity | Action::Discard | Action::Channel | Action::Do | Action::Other => {
            Err(Refusal::Statement(kind))
        }
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
        | Action::SetConstraints => true,
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
        | Action::Discard
        | Action::Channel
        | Action::Lock { .. }
        | Action::Truncate { .. }
        | Action::Ddl(_)
        | Action::Call(_)
        | Action::Do
        | Action::Other => false,
    }
}

fn transaction(transaction: &Transaction, scope: &Scope) -> Result<(), Refusal> {
    match transaction {
        Transaction::Begin(modes) | Transaction::SetModes(modes) => match modes.read_only {
            Some(false) if !may_write(scope) => Err(Refusal::Statement("a transaction that is READ WRITE")),
            Some(_) | None => Ok(()),
        },
        Transaction::SetSessionModes(TransactionModes { read_only: Some(false) }) => {
            Err(Refusal::Statement("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"))
        }
        Transaction::SetSessionModes(_)
        | Transaction::Commit { .. }
        | Transaction::Rollback { .. }
        | Transaction::Savepoint(_)
        | Transaction::Release(_)
        | Transaction::RollbackTo(_) => Ok(()),
        Transaction::SetSnapshot => Err(Refusal::Statement("SET TRANSACTION SNAPSHOT")),
        Transaction::TwoPhase => Err(Refusal::Statement("two-phase commit")),
    }
}

fn may_write(scope: &Scope) -> bool {
    let writes = |operation: &Operation| *operation != Operation::Select;
    scope.allow.iter().any(|privilege| privilege.operations.iter().any(|operation| writes(&operation)))
}

fn set(setting: &Setting, search_path: &str) -> Result<(), Refusal> {
    settings::may_set(&setting.name, setting.values.as_deref(), search_path)
        .map_err(|refused| Refusal::Setting { name: setting.name.clone(), value: refused == SettingRefused::Value })
}

/// `SELECT … FROM pg_settings WHERE name = '…'`, of a setting that may be shown: drivers ask for limits like this. Any
/// other way of reading values from `pg_settings` could show all of them.
pub(super) fn reads_one_shown_setting(action: &Action) -> bool {
    let Action::Query(query) = action else { return false };
    let Query { with: None, body: SetExpr::Select(select), .. } = query.as_ref() else { return false };
    let [FromItem::Relation { relation, .. }] = select.from.as_slice() else { return false };
    let is_settings = match relation.name.parts.as_slice() {
        [name] => name.as_str() == "pg_settings",
        [schema, name] => schema.as_str() == "pg_catalog" && name.as_str() == "pg_settings",
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
