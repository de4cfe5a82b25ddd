//! Verdicts over hand-made footprints: which rule refuses what, and under which grant.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Context, DataClass, DatabasePolicy, Denial, Rule, Verdict, decide, explain};
use crate::access::{
    Grant, GrantId, ObjectPattern, Operation, OperationSet, Privilege, Region, RequestId, Revocation, Scope,
};
use crate::catalog::{
    CalledBy, Columns, Effect, Footprint, RelationKind, TouchedFunction, TouchedRelation, Unresolved,
};
use crate::sql::tree::{Action, Fingerprint, Statement};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn privilege(on: &str, operations: &[Operation], columns: Option<&[&str]>) -> Privilege {
    Privilege {
        on: vec![ObjectPattern::parse(on).unwrap()],
        columns: columns.map(|names| names.iter().map(ToString::to_string).collect()),
        operations: OperationSet::of(operations),
        functions: Vec::new(),
    }
}

fn scope(name: &str, allow: Vec<Privilege>) -> Scope {
    Scope {
        name: name.to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us")],
        requesters: Vec::new(),
        approvers: Vec::new(),
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards: crate::access::Guards { row_limit: Some(7), ..crate::access::Guards::default() },
        rules: crate::access::Rules::default(),
        allow,
    }
}

fn grant(scope: Scope) -> Grant {
    Grant {
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
    }
}

fn context(grants: Vec<Grant>) -> Context {
    let class = |on: &str, region: Option<&str>, columns: Option<&[&str]>, clients: Option<&[&str]>| DataClass {
        on: ObjectPattern::parse(on).unwrap(),
        columns: columns.map(|names| names.iter().map(ToString::to_string).collect()),
        region: region.map(Region::new),
        clients: clients.map(|names| names.iter().copied().map(Region::new).collect()),
        export: None,
        labels: Vec::new(),
    };
    Context {
        database: Arc::new(DatabasePolicy {
            name: "shop".to_owned(),
            region: Region::new("us"),
            routed: false,
            rules: Arc::default(),
            hidden: Default::default(),
            data: vec![
                class("eu.*", Some("eu"), None, None),
                class("eu.numbers", Some("us"), None, None),
                class("public.people", Some("eu"), Some(&["ssn"]), None),
                class("public.local", None, None, Some(&["us"])),
            ],
        }),
        principal: "alice".into(),
        client_region: None,
        grants: grants.into_iter().map(Arc::new).collect(),
        now: now(),
        search_paths: ["public".to_owned()].into(),
        session: super::SessionState::default(),
        requestable: [Arc::new(scope("orders-write", vec![privilege("public.*", &[Operation::Update], None)]))].into(),
        exported: Arc::default(),
        goes_on: None,
    }
}

fn touched(name: &str, operation: Operation, columns: &[&str]) -> TouchedRelation {
    let (schema, name) = name.split_once('.').unwrap();
    TouchedRelation {
        oid: 20_000,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: RelationKind::Table,
        operation,
        columns: match columns {
            [] => Columns::None,
            ["*"] => Columns::WholeRow,
            names => Columns::Named(names.iter().map(ToString::to_string).collect()),
        },
        through: None,
        child_of: None,
    }
}

fn function(name: &str, by: CalledBy, literals: &[&str]) -> TouchedFunction {
    let (schema, name) = name.split_once('.').unwrap();
    TouchedFunction {
        oid: 1,
        schema: schema.to_owned(),
        name: name.to_owned(),
        builtin: schema == "pg_catalog",
        security_definer: false,
        literal_arguments: literals.iter().map(|text| Some((*text).to_owned())).collect(),
        by,
    }
}

fn statement(action: Action) -> Statement {
    Statement { kind: "SELECT", action, range: 0..8, query: None, fingerprint: Fingerprint([0; 16]) }
}

const TEXT: &str = "SELECT 1;";

/// The verdict on a footprint, for a statement whose kind nothing objects to.
fn verdict(context: &Context, footprint: Footprint) -> Result<GrantId, Denial> {
    match decide(&statement(Action::CloseCursor(None)), TEXT, &Ok(footprint), context) {
        Verdict::Allow(permit) => Ok(permit.grant().clone()),
        Verdict::Deny(denial) => Err(denial),
    }
}

fn reading(relations: Vec<TouchedRelation>) -> Footprint {
    Footprint { relations, ..Footprint::default() }
}

#[test]
fn only_a_live_grant_allows() {
    let select = || scope("read", vec![privilege("public.*", &[Operation::Select], None)]);
    let footprint = || reading(vec![touched("public.orders", Operation::Select, &["id"])]);
    let check = |change: fn(&mut Grant), expected: Result<(), Rule>| {
        let mut one = grant(select());
        change(&mut one);
        let found = verdict(&context(vec![one]), footprint());
        assert_eq!(found.map(drop).map_err(|denial| denial.rule), expected);
    };
    check(|_| {}, Ok(()));
    check(|grant| grant.expires_at = now(), Err(Rule::NoGrant));
    check(|grant| grant.not_before = now() + Duration::from_secs(1), Err(Rule::NoGrant));
    check(
        |grant| grant.revocation = Some(Revocation { at: now(), by: "bob".to_owned(), reason: None }),
        Err(Rule::NoGrant),
    );
    assert_eq!(verdict(&context(Vec::new()), footprint()).unwrap_err().rule, Rule::NoGrant);
}

#[test]
fn grants_are_never_mixed_and_the_first_that_allows_is_named() {
    let orders = grant(scope("orders", vec![privilege("public.orders", &[Operation::Select], None)]));
    let people = grant(scope("people", vec![privilege("public.items", &[Operation::Select], None)]));
    let both = context(vec![orders.clone(), people.clone()]);
    let one = |name| touched(name, Operation::Select, &["id"]);
    assert_eq!(verdict(&both, reading(vec![one("public.orders")])).unwrap(), orders.id);
    assert_eq!(verdict(&both, reading(vec![one("public.items")])).unwrap(), people.id);
    let mixed = verdict(&both, reading(vec![one("public.orders"), one("public.items")])).unwrap_err();
    assert_eq!(mixed.rule, Rule::Scope);
    assert!(mixed.detail.contains(&people.id.to_string()), "the newest grant's reason is told: {}", mixed.detail);
}

#[test]
fn relations_columns_and_regions_have_their_rules() {
    let allow = vec![
        privilege("public.orders", &[Operation::Select, Operation::Delete], None),
        privilege("public.people", &[Operation::Select], Some(&["id", "ssn"])),
        privilege("public.people", &[Operation::Select, Operation::Delete], Some(&["name"])),
        privilege("eu.*", &[Operation::Select], None),
        privilege("public.local", &[Operation::Select], None),
    ];
    let context = context(vec![grant(scope("read", allow))]);
    let check = |relation: TouchedRelation, expected: Result<(), Rule>| {
        let shown = format!("{relation:?}");
        let found = verdict(&context, reading(vec![relation])).map(drop).map_err(|denial| denial.rule);
        assert_eq!(found, expected, "{shown}");
    };
    let select = |name, columns| touched(name, Operation::Select, columns);
    check(select("public.orders", &["*"]), Ok(()));
    check(touched("public.orders", Operation::Delete, &[]), Ok(()));
    check(touched("public.orders", Operation::Update, &["id"]), Err(Rule::Scope));
    check(select("public.people", &[]), Ok(()));
    check(select("public.people", &["id", "name"]), Ok(()));
    check(select("public.people", &["email", "id"]), Err(Rule::Column));
    check(select("public.people", &["*"]), Err(Rule::Column));
    check(touched("public.people", Operation::Delete, &[]), Err(Rule::Scope));
    check(select("public.people", &["ssn"]), Err(Rule::Region));
    check(select("eu.people", &["id"]), Err(Rule::Region));
    check(select("eu.numbers", &["id"]), Ok(()));
    check(select("public.local", &["id"]), Err(Rule::ClientRegion));
    check(select("hr.salaries", &[]), Err(Rule::Scope));
    check(select("pg_catalog.pg_class", &["relname"]), Ok(()));
    check(select("pg_catalog.pg_authid", &[]), Err(Rule::Catalog));
    check(touched("pg_catalog.pg_class", Operation::Update, &[]), Err(Rule::Catalog));
    check(TouchedRelation { through: Some(1), ..select("hr.salaries", &["amount"]) }, Ok(()));
    check(TouchedRelation { child_of: Some(1), ..select("eu.people", &["id"]) }, Err(Rule::Region));
    let view = RelationKind::View;
    check(TouchedRelation { kind: view, ..select("eu.people", &["id"]) }, Ok(()));
    let sequence = RelationKind::Sequence;
    check(TouchedRelation { kind: sequence, ..select("eu.counter", &["last_value"]) }, Err(Rule::Scope));
}

#[test]
fn functions_are_harmless_or_named() {
    let mut named = privilege("public.orders", &[Operation::Select], None);
    named.functions = vec![ObjectPattern::parse("public.order_count").unwrap()];
    let everything = Privilege {
        on: Vec::new(),
        columns: None,
        operations: OperationSet::default(),
        functions: vec![ObjectPattern { schema: None, name: None }],
    };
    let narrow = context(vec![grant(scope("read", vec![named]))]);
    let wide = context(vec![grant(scope("apps", vec![everything]))]);
    let check = |context: &Context, function: TouchedFunction, expected: bool| {
        let shown = format!("{function:?}");
        let footprint = Footprint { functions: vec![function], ..Footprint::default() };
        assert_eq!(verdict(context, footprint).is_ok(), expected, "{shown}");
    };
    use CalledBy::{Call, Cast, Operator, Type, View, Write};
    check(&narrow, function("pg_catalog.upper", Call, &[]), true);
    check(&narrow, function("pg_catalog.pg_read_file", Call, &["x"]), false);
    check(&narrow, function("pg_catalog.int4pl", Operator, &[]), true);
    check(&narrow, function("public.order_count", Call, &[]), true);
    check(&narrow, function("public.other", Call, &[]), false);
    check(&narrow, function("public.other", Operator, &[]), false);
    check(&narrow, function("public.other", Cast, &[]), false);
    check(&narrow, function("public.other", Type, &[]), false);
    check(&narrow, function("public.other", View, &[]), false);
    check(&narrow, function("public.other", Write, &[]), true);
    check(&narrow, function("pg_catalog.current_setting", Call, &["server_version"]), true);
    check(&narrow, function("pg_catalog.current_setting", Call, &["hba_file"]), false);
    check(&narrow, function("pg_catalog.set_config", Call, &["timezone", "UTC", "false"]), true);
    check(&narrow, function("pg_catalog.set_config", Call, &["role", "postgres", "false"]), false);
    check(&wide, function("public.other", Call, &[]), true);
    check(&wide, function("pg_catalog.pg_read_file", Call, &["x"]), false);
}

#[test]
fn a_schema_itself_is_only_for_who_may_change_everything() {
    let check = |on: &str, expected: bool| {
        let context = context(vec![grant(scope("ddl", vec![privilege(on, &Operation::ALL, None)]))]);
        let schema = TouchedRelation { kind: RelationKind::Composite, ..touched("build.", Operation::Ddl, &[]) };
        assert_eq!(verdict(&context, reading(vec![schema])).is_ok(), expected, "{on}");
    };
    check("build.*", false);
    check("*.*", true);
}

#[test]
fn effects_beyond_the_statement_are_refused() {
    let context = context(vec![grant(scope("all", vec![privilege("public.*", &Operation::ALL, None)]))]);
    let check = |effect: Effect, action: Action, expected: Result<(), Rule>| {
        let footprint = Footprint { effects: vec![effect], ..Footprint::default() };
        let found = match decide(&statement(action), TEXT, &Ok(footprint), &context) {
            Verdict::Allow(_permit) => Ok(()),
            Verdict::Deny(denial) => Err(denial.rule),
        };
        assert_eq!(found, expected);
    };
    let truncate = || Action::Truncate { relations: Vec::new(), restart_identity: false, cascade: true };
    let name = || "public.orders".to_owned();
    check(Effect::Triggers { relation: name() }, Action::CloseCursor(None), Ok(()));
    check(Effect::Cascades { relation: name() }, Action::CloseCursor(None), Ok(()));
    check(Effect::Cascades { relation: name() }, truncate(), Err(Rule::Effect));
    check(Effect::Rewrites { relation: name() }, Action::CloseCursor(None), Err(Rule::Effect));
    // USAGE of a schema comes with anything that is allowed there.
    let schema = |name: &str| Effect::NamesSchema { schema: name.to_owned() };
    check(schema("public"), Action::CloseCursor(None), Ok(()));
    check(schema("hr"), Action::CloseCursor(None), Err(Rule::Scope));
}

#[test]
fn a_grant_for_one_statement_allows_that_one_and_what_stands_around_it() {
    let check = |granted: &str, action: Action, expected: Result<(), Rule>| {
        let mut one = grant(scope("read", Vec::new()));
        one.statement = Some(granted.to_owned());
        let found = match decide(&statement(action), TEXT, &Ok(Footprint::default()), &context(vec![one])) {
            Verdict::Allow(_permit) => Ok(()),
            Verdict::Deny(denial) => Err(denial.rule),
        };
        assert_eq!(found, expected, "{granted}");
    };
    let fetch = || Action::Fetch { cursor: "x".into() };
    check("SELECT 1", fetch(), Ok(()));
    check(" select 1 ;\n", fetch(), Ok(()));
    check("SELECT 2", fetch(), Err(Rule::StatementGrant));
    // What an EXECUTE runs is judged by itself.
    check("SELECT 2", Action::Execute { name: "x".into(), arguments: Vec::new() }, Ok(()));
    check("SELECT 2", Action::CloseCursor(None), Ok(()));
}

#[test]
fn a_denial_says_what_who_and_how_to_ask() {
    let one = grant(scope("read", vec![privilege("public.orders", &[Operation::Select], None)]));
    let id = one.id.to_string();
    let context = context(vec![one]);
    let denial = verdict(&context, reading(vec![touched("public.orders", Operation::Update, &["id"])])).unwrap_err();
    assert_eq!(denial.message, "permission denied for table public.orders");
    assert!(denial.detail.contains("update on public.orders") && denial.detail.contains(&id), "{}", denial.detail);
    assert_eq!(
        denial.hint.as_deref(),
        Some(
            "pgward request orders-write --for 30m --reason '…'\nCALL pgward.request('orders-write', '30 minutes', '…');"
        )
    );
    let denial = verdict(&context, reading(vec![touched("hr.salaries", Operation::Select, &[])])).unwrap_err();
    assert!(denial.hint.unwrap().contains("ask an administrator"));
}

#[test]
fn what_cannot_be_resolved_is_refused_and_explained() {
    let context = context(vec![grant(scope("read", vec![privilege("public.*", &Operation::ALL, None)]))]);
    let unresolved = Err(Unresolved::Relation("nowhere".to_owned()));
    let explained = explain(&statement(Action::CloseCursor(None)), TEXT, &unresolved, &context);
    assert_eq!((explained.verdict, explained.rule), ("deny", Some("unresolved")));
    let allowed = reading(vec![touched("public.orders", Operation::Select, &["id"])]);
    let explained = explain(&statement(Action::CloseCursor(None)), TEXT, &Ok(allowed), &context);
    assert_eq!((explained.verdict, explained.rule, explained.relations.len()), ("allow", None, 1));
    assert!(explained.steps.iter().any(|step| step.contains("allows it")));
}

mod residency;

mod narrowing {
    use proptest::prelude::*;

    use super::*;

    fn any_privilege() -> impl Strategy<Value = Privilege> {
        let on = prop::sample::select(vec!["public.orders", "public.people", "public.*", "eu.*", "*.*"]);
        let columns = prop::option::of(prop::sample::subsequence(vec!["id", "name", "ssn"], 0..=3));
        let operations = prop::sample::subsequence(Operation::ALL.to_vec(), 0..=6);
        (on, columns, operations).prop_map(|(on, columns, operations)| privilege(on, &operations, columns.as_deref()))
    }

    fn any_touched() -> impl Strategy<Value = TouchedRelation> {
        let name = prop::sample::select(vec!["public.orders", "public.people", "eu.people", "hr.salaries"]);
        let columns = prop::sample::subsequence(vec!["id", "name", "ssn"], 0..=3);
        let operation = prop::sample::select(Operation::ALL.to_vec());
        (name, operation, columns, any::<bool>()).prop_map(|(name, operation, columns, whole)| {
            touched(name, operation, if whole { &["*"] } else { &columns })
        })
    }

    proptest! {
        #[test]
        fn a_grant_with_less_never_allows_more(
            allow in prop::collection::vec(any_privilege(), 1..4),
            relations in prop::collection::vec(any_touched(), 1..3),
            dropped in any::<prop::sample::Index>(),
            without_region in any::<bool>(),
        ) {
            let wide = grant(scope("wide", allow.clone()));
            let mut narrow = wide.clone();
            Arc::make_mut(&mut narrow.scope).allow.remove(dropped.index(allow.len()));
            if without_region {
                Arc::make_mut(&mut narrow.scope).regions.clear();
            }
            let narrow_allows = verdict(&context(vec![narrow]), reading(relations.clone())).is_ok();
            let wide_allows = verdict(&context(vec![wide]), reading(relations)).is_ok();
            prop_assert!(!narrow_allows || wide_allows);
        }
    }
}
