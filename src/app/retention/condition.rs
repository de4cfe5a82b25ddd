//! Whether an SQL condition may decide which rows are meant: judged as a SELECT on that table alone would be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Keeper;
use crate::access::{
    Grant, GrantId, Guards, ObjectPattern, Operation, OperationSet, Origin, Privilege, Region, RequestId, Rules, Scope,
};
use crate::catalog::{self, Snapshot};
use crate::control::retention::RetentionError;
use crate::policy::{self, Context, DatabasePolicy, SessionState, Verdict};
use crate::retention::Relation;
use crate::sql::{self, Limits};

impl Keeper {
    /// Answers what is wrong with a condition on a table's rows, where something is.
    pub(super) async fn check_condition(
        &self,
        route: &str,
        on: &Relation,
        condition: &str,
    ) -> Result<Result<(), String>, RetentionError> {
        let unknown = || RetentionError::Unavailable(format!("the catalog of database \"{route}\" is not known yet"));
        let snapshot = self.parts.sessions.catalogs(route).await.ok_or_else(unknown)?.map_err(|_| unknown())?;
        Ok(check_condition(&snapshot, on, condition))
    }
}

/// Whether a condition is one expression over the rows of one table, and calls nothing that could do harm.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_condition(snapshot: &Snapshot, on: &Relation, condition: &str) -> Result<(), String> {
    let from = on.sql();
    // Both ways, so that no bracket in it ends what is around it.
    let texts = [
        format!("SELECT 1 FROM {from} WHERE ({condition})"),
        format!("SELECT 1 FROM {from} WHERE (ARRAY[{condition}])[1]"),
    ];
    for text in &texts {
        let statements =
            sql::read(text, &Limits::default()).map_err(|unreadable| format!("is no SQL condition: {unreadable}"))?;
        let [statement] = statements.as_slice() else { return Err("is more than one SQL condition".to_owned()) };
        let (resolved, _) = catalog::resolve_told(snapshot, &statement.action);
        match policy::decide(statement, text, &resolved, &only(on, snapshot)) {
            Verdict::Allow(_) => {}
            Verdict::Deny(denial) => return Err(format!("may not decide on rows: {}", denial.message)),
        }
    }
    Ok(())
}

/// A decision by which nothing may be done but read the one table.
fn only(on: &Relation, snapshot: &Snapshot) -> Context {
    let now = jiff::Timestamp::now();
    let region = Region::new("any");
    let scope = Scope {
        name: "condition".to_owned(),
        database: "any".to_owned(),
        regions: vec![region.clone()],
        requesters: Vec::new(),
        approvers: Vec::new(),
        approvals: 1,
        max_duration: Duration::from_secs(60),
        guards: Guards::default(),
        rules: Rules::default(),
        allow: vec![Privilege {
            on: vec![ObjectPattern { schema: Some(on.schema.clone()), name: Some(on.name.clone()) }],
            columns: None,
            operations: OperationSet::of(&[Operation::Select]),
            functions: Vec::new(),
        }],
    };
    let grant = Grant {
        id: GrantId::from_text("condition"),
        request: RequestId::from_text("condition"),
        principal: "pgward".to_owned(),
        scope: Arc::new(scope),
        statement: None,
        uses: None,
        used: 0,
        origin: Origin::Asked,
        reason: String::new(),
        ticket: None,
        approvers: Vec::new(),
        not_before: now,
        expires_at: now + jiff::SignedDuration::from_secs(60),
        revocation: None,
    };
    let database = DatabasePolicy {
        name: "any".to_owned(),
        region: region.clone(),
        routed: false,
        data: Vec::new(),
        rules: Arc::new(BTreeMap::new()),
        hidden: Default::default(),
    };
    Context {
        database: Arc::new(database),
        principal: "pgward".into(),
        client_region: Some(region),
        grants: [Arc::new(grant)].into(),
        now,
        search_paths: snapshot.search_paths(),
        requestable: Arc::new([]),
        session: SessionState { has_reason: true, writable: false, opened_read_only: true },
        exported: Arc::default(),
        goes_on: None,
    }
}
