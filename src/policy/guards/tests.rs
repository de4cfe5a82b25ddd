//! Guard rails over statements as they are read: which grant refuses what, and what still runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    Grant, GrantId, Guards, ObjectPattern, Operation, OperationSet, Privilege, Region, RequestId, Scope,
};
use crate::catalog::{Columns, Footprint, RelationKind, TouchedRelation};
use crate::policy::{Context, DatabasePolicy, Denial, Rule, SessionState, Verdict, decide};
use crate::sql::{Limits, read};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn grant(operations: &[Operation], guards: Guards) -> Arc<Grant> {
    let scope = Scope {
        name: "guarded".to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us")],
        requesters: Vec::new(),
        approvers: Vec::new(),
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards,
        rules: crate::access::Rules::default(),
        allow: vec![Privilege {
            on: vec![ObjectPattern::parse("public.*").unwrap()],
            columns: None,
            operations: OperationSet::of(operations),
            functions: Vec::new(),
        }],
    };
    Arc::new(Grant {
        id: GrantId::generate(),
        request: RequestId::generate(),
        principal: "alice".to_owned(),
        scope: scope.into(),
        statement: None,
        uses: None,
        used: 0,
        origin: crate::access::Origin::Asked,
        reason: "an incident".to_owned(),
        ticket: None,
        approvers: vec!["bob".to_owned()],
        not_before: now() - Duration::from_secs(60),
        expires_at: now() + Duration::from_secs(60),
        revocation: None,
    })
}

fn context(grants: &[Arc<Grant>], session: SessionState) -> Context {
    Context {
        database: Arc::new(DatabasePolicy {
            name: "shop".to_owned(),
            region: Region::new("us"),
            routed: false,
            data: Vec::new(),
            rules: Arc::default(),
            hidden: Default::default(),
        }),
        principal: "alice".into(),
        client_region: None,
        grants: grants.into(),
        now: now(),
        search_paths: ["public".to_owned()].into(),
        requestable: [].into(),
        session,
        exported: Arc::default(),
        goes_on: None,
    }
}

fn reading(name: &str) -> Footprint {
    let (schema, name) = name.split_once('.').unwrap();
    let relation = TouchedRelation {
        oid: 20_000,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: RelationKind::Table,
        operation: Operation::Select,
        columns: Columns::None,
        through: None,
        child_of: None,
    };
    Footprint { relations: vec![relation], ..Footprint::default() }
}

fn verdict(text: &str, footprint: Footprint, context: &Context) -> Result<GrantId, Denial> {
    let statements = read(text, &Limits::default()).unwrap();
    match decide(&statements[0], text, &Ok(footprint), context) {
        Verdict::Allow(permit) => Ok(permit.grant().clone()),
        Verdict::Deny(denial) => Err(denial),
    }
}

const WRITES: [Operation; 2] = [Operation::Select, Operation::Update];

#[test]
fn writes_of_every_row_need_a_scope_that_lets_them() {
    let careful = grant(&WRITES, Guards::default());
    let careless = grant(&WRITES, Guards { unfiltered_writes: true, ..Guards::default() });
    let session = SessionState { writable: true, ..SessionState::default() };
    let text = "UPDATE orders SET total = 0";
    let denial = verdict(text, Footprint::default(), &context(&[Arc::clone(&careful)], session)).unwrap_err();
    assert_eq!((denial.rule, denial.rule.sqlstate()), (Rule::Guard, "42501"));
    assert_eq!(denial.message, "UPDATE of every row of orders is not permitted");
    assert!(denial.detail.contains("rule guard"), "{}", denial.detail);
    assert_eq!(denial.hint.as_deref(), Some("Add a WHERE clause that names a column of orders."));
    let both = context(&[careful, Arc::clone(&careless)], session);
    assert_eq!(verdict(text, Footprint::default(), &both).unwrap(), careless.id);
}

#[test]
fn a_reason_is_needed_for_all_but_plumbing() {
    let grants = [grant(&WRITES, Guards { require_reason: true, ..Guards::default() })];
    let check = |text: &str, relation: Option<&str>, expected: Option<Rule>| {
        let found = |has_reason: bool| {
            let session = SessionState { has_reason, writable: true, ..SessionState::default() };
            let footprint = relation.map(reading).unwrap_or_default();
            verdict(text, footprint, &context(&grants, session)).err().map(|denial| denial.rule)
        };
        assert_eq!(found(false), expected, "{text}");
        assert_eq!(found(true), None, "{text}, with a reason");
    };
    let guard = Some(Rule::Guard);
    check("SELECT id FROM orders", Some("public.orders"), guard);
    check("PREPARE p AS SELECT id FROM orders", Some("public.orders"), guard);
    check("EXPLAIN SELECT id FROM orders", Some("public.orders"), guard);
    check("COPY orders TO STDOUT", Some("public.orders"), guard);
    check("UPDATE orders SET total = 0 WHERE id = 1", None, guard);
    check("SELECT relname FROM pg_class", Some("pg_catalog.pg_class"), None);
    check("DECLARE c CURSOR FOR SELECT relname FROM pg_class", Some("pg_catalog.pg_class"), None);
    check("FETCH 1 FROM c", None, None);
    for text in ["BEGIN", "COMMIT", "SET pgward.reason = 'x'", "SET DateStyle = 'ISO'", "SHOW TimeZone", "DISCARD ALL"]
    {
        check(text, None, None);
    }
}

#[test]
fn transactions_that_write_are_for_grants_that_do() {
    let reads = grant(&[Operation::Select], Guards::default());
    let writes = grant(&WRITES, Guards::default());
    let check = |text: &str, opened_read_only: bool, under_reads: Option<Rule>| {
        let session = SessionState { opened_read_only, ..SessionState::default() };
        let found = |grants: &[Arc<Grant>]| {
            verdict(text, Footprint::default(), &context(grants, session)).err().map(|denial| denial.rule)
        };
        assert_eq!(found(&[Arc::clone(&reads)]), under_reads, "{text}");
        assert_eq!(found(&[Arc::clone(&reads), Arc::clone(&writes)]), None, "{text}");
    };
    check("BEGIN READ WRITE", true, Some(Rule::Guard));
    check("BEGIN READ ONLY, READ WRITE", true, Some(Rule::Guard));
    check("BEGIN READ ONLY", true, None);
    check("BEGIN ISOLATION LEVEL SERIALIZABLE", true, None);
    check("SET TRANSACTION READ WRITE", true, Some(Rule::Guard));
    check("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", true, Some(Rule::Guard));
    check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", true, None);
    check("SET default_transaction_read_only = off", true, Some(Rule::Setting));
    check("SET LOCAL transaction_read_only TO DEFAULT", true, Some(Rule::Setting));
    check("SET transaction_read_only = on", true, None);
    check("RESET default_transaction_read_only", true, Some(Rule::Setting));
    check("RESET ALL", true, None);
    check("DISCARD ALL", true, None);
    check("RESET ALL", false, Some(Rule::Guard));
    check("DISCARD ALL", false, Some(Rule::Guard));
    check("DISCARD PLANS", false, None);
}

#[test]
fn a_transaction_outlives_the_grant_that_let_it_write_only_to_end() {
    let reads = [grant(&[Operation::Select], Guards::default())];
    let session = SessionState { writable: true, ..SessionState::default() };
    let check = |text: &str, expected: Option<Rule>| {
        let found = verdict(text, Footprint::default(), &context(&reads, session));
        assert_eq!(found.err().map(|denial| denial.rule), expected, "{text}");
    };
    check("COMMIT", None);
    check("ROLLBACK", None);
    for text in
        ["SELECT 1", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "ROLLBACK TO s", "SAVEPOINT s", "SET DateStyle = 'ISO'"]
    {
        check(text, Some(Rule::Guard));
    }
}
