//! Verdicts without a proxy: a scope, one live grant of it, and the context that policy decides in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pgward::access::{
    Grant, GrantId, Guards, ObjectPattern, Operation, OperationSet, Privilege, Region, RequestId, Scope, Subject,
};
use pgward::catalog::Snapshot;
use pgward::policy::{Context, DataClass, DatabasePolicy, SessionState};

/// `[[scope.allow]]`: operations on relations.
#[must_use]
pub fn allow(on: &[&str], columns: Option<&[&str]>, operations: &[Operation]) -> Privilege {
    Privilege {
        on: on.iter().map(|on| ObjectPattern::parse(on).expect("a pattern")).collect(),
        columns: columns.map(|names| names.iter().map(ToString::to_string).collect()),
        operations: OperationSet::of(operations),
        functions: Vec::new(),
    }
}

/// What the policy world's grant allows.
#[allow(dead_code, reason = "each test takes what it needs of this")]
#[must_use]
pub fn world_grant() -> Vec<Privilege> {
    vec![
        allow(&["public.orders", "public.products", "public.v_orders"], None, &[Operation::Select]),
        allow(&["public.customers"], Some(&["id", "name", "country"]), &[Operation::Select]),
    ]
}

/// `[[database.data]]` that says where rows lie.
#[allow(dead_code, reason = "each test takes what it needs of this")]
#[must_use]
pub fn lies_in(on: &str, region: &str) -> DataClass {
    DataClass {
        on: ObjectPattern::parse(on).expect("a pattern"),
        columns: None,
        region: Some(Region::new(region)),
        clients: None,
        export: None,
        labels: Vec::new(),
    }
}

/// alice's one grant, for `regions`, on a database in the first of them, live for an hour, and nothing that stands in its way but what it allows.
#[must_use]
pub fn context(snapshot: &Snapshot, regions: &[&str], allow: Vec<Privilege>, data: Vec<DataClass>) -> Context {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let regions: Vec<Region> = regions.iter().copied().map(Region::new).collect();
    let region = regions.first().expect("a region").clone();
    let grant = Grant {
        id: GrantId::generate(),
        request: RequestId::generate(),
        principal: "alice".to_owned(),
        scope: scope(regions, allow).into(),
        statement: None,
        uses: None,
        used: 0,
        origin: pgward::access::Origin::Asked,
        reason: "a test".to_owned(),
        ticket: None,
        approvers: vec!["bob".to_owned()],
        not_before: now,
        expires_at: now + Duration::from_secs(3600),
        revocation: None,
    };
    let writable = !grant.scope.is_read_only();
    let database = DatabasePolicy {
        name: "shop".to_owned(),
        region: region.clone(),
        routed: false,
        data,
        rules: Arc::default(),
        hidden: Default::default(),
    };
    Context {
        database: Arc::new(database),
        principal: "alice".into(),
        client_region: Some(region),
        grants: [Arc::new(grant)].into(),
        now,
        search_paths: snapshot.search_paths(),
        requestable: [].into(),
        session: SessionState { has_reason: true, writable, opened_read_only: !writable },
        exported: Arc::default(),
        goes_on: None,
    }
}

fn scope(regions: Vec<Region>, allow: Vec<Privilege>) -> Scope {
    Scope {
        name: "shop-read".to_owned(),
        database: "shop".to_owned(),
        regions,
        requesters: vec![Subject::User("alice".to_owned())],
        approvers: vec![Subject::User("bob".to_owned())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards: Guards { unfiltered_writes: true, ..Guards::default() },
        rules: pgward::access::Rules::default(),
        allow,
    }
}
