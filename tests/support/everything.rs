//! A grant as wide as one can be: what is refused under it is refused by what it is, not by what a scope leaves out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pgward::access::{
    Grant, GrantId, ObjectPattern, Operation, OperationSet, Privilege, Region, RequestId, Scope, Subject,
};
use pgward::catalog::Snapshot;
use pgward::policy::{Context, DatabasePolicy};

/// One live grant of these operations on every relation, and of the database's own functions.
pub fn everything(snapshot: &Snapshot, operations: &[Operation]) -> Context {
    let pattern = |on: &str| ObjectPattern::parse(on).unwrap();
    let scope = Scope {
        name: "everything".to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::User("alice".to_owned())],
        approvers: vec![Subject::User("bob".to_owned())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        row_limit: None,
        allow: vec![Privilege {
            on: vec![pattern("*.*")],
            columns: None,
            operations: OperationSet::of(operations),
            functions: vec![pattern("public.*")],
        }],
    };
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let grant = Grant {
        id: GrantId::generate(),
        request: RequestId::generate(),
        principal: "alice".to_owned(),
        scope,
        statement: None,
        reason: "test".to_owned(),
        ticket: None,
        approvers: vec!["bob".to_owned()],
        not_before: now,
        expires_at: now + Duration::from_secs(3600),
        revocation: None,
    };
    Context {
        database: Arc::new(DatabasePolicy { name: "shop".to_owned(), region: Region::new("us"), data: Vec::new() }),
        principal: "alice".to_owned(),
        client_region: Some(Region::new("us")),
        grants: vec![Arc::new(grant)],
        now,
        search_paths: snapshot.search_paths(),
        requestable: Vec::new(),
    }
}
