//! The mapping, scope by scope.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::access::{Guards, OperationSet, Region};

fn relation(schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> RelationObject {
    RelationObject {
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind,
        columns: columns.iter().map(ToString::to_string).collect(),
        sequences: Vec::new(),
        run_on_write: Vec::new(),
    }
}

fn objects() -> Objects {
    let orders = RelationObject {
        sequences: vec![("public".to_owned(), "orders_id_seq".to_owned())],
        run_on_write: vec![20_001],
        ..relation("public", "orders", RelationKind::Table, &["id", "amount"])
    };
    let routine = |oid, schema: &str, name: &str, builtin| RoutineObject {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        builtin,
    };
    Objects {
        schemas: vec!["hr".to_owned(), "public".to_owned()],
        relations: vec![
            relation("hr", "salaries", RelationKind::Table, &["id", "amount"]),
            relation("public", "customers", RelationKind::Table, &["id", "name", "email"]),
            orders,
            relation("public", "orders_id_seq", RelationKind::Sequence, &["last_value"]),
            relation("public", "v_orders", RelationKind::View, &["id"]),
        ],
        routines: vec![
            routine(2626, "pg_catalog", "pg_sleep", true),
            routine(20_001, "public", "order_check", false),
            routine(20_002, "public", "order_count", false),
            routine(20_003, "public", "order_count", false),
        ],
    }
}

fn allow(on: &[&str], columns: Option<&[&str]>, operations: &[Operation], functions: &[&str]) -> Allowed {
    let patterns = |texts: &[&str]| texts.iter().map(|text| ObjectPattern::parse(text).unwrap()).collect();
    Allowed {
        on: patterns(on),
        columns: columns.map(|columns| columns.iter().map(ToString::to_string).collect()),
        operations: OperationSet::of(operations),
        functions: patterns(functions),
    }
}

fn scope(allow: Vec<Allowed>) -> Scope {
    Scope {
        name: "s".to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us")],
        requesters: Vec::new(),
        approvers: Vec::new(),
        approvals: 1,
        max_duration: Duration::from_secs(60),
        guards: Guards::default(),
        rules: crate::access::Rules::default(),
        allow,
    }
}

/// The statements that one `[[scope.allow]]` comes to, `TO "r"` left off.
fn check(one: Allowed, expected: &[&str]) {
    let wanted = wanted(&scope(vec![one]), &objects());
    let signatures = BTreeMap::from([
        (2626, "pg_sleep(double precision)".to_owned()),
        (20_001, "public.order_check(integer)".to_owned()),
        (20_002, "public.order_count()".to_owned()),
        (20_003, "public.order_count(integer)".to_owned()),
    ]);
    let wording = Wording { role: "r", database: "shop", signatures: &signatures };
    let said = statements(Change::Grant, &wanted, &wording);
    let said: Vec<&str> = said.iter().map(|text| text.strip_suffix(" TO \"r\"").unwrap()).collect();
    assert_eq!(said, expected);
}

const CONNECT: &str = r#"GRANT CONNECT ON DATABASE "shop""#;
const USAGE: &str = r#"GRANT USAGE ON SCHEMA "public""#;

#[test]
fn tables_by_name() {
    let expected = [CONNECT, USAGE, r#"GRANT SELECT ON TABLE "public"."orders", "public"."v_orders""#];
    check(allow(&["public.orders", "public.v_orders", "public.gone"], None, &[Operation::Select], &[]), &expected);
}

#[test]
fn a_pattern_means_tables_and_views_but_no_sequences() {
    let tables = r#"GRANT SELECT ON TABLE "public"."customers", "public"."orders", "public"."v_orders""#;
    check(allow(&["public.*"], None, &[Operation::Select], &[]), &[CONNECT, USAGE, tables]);
}

#[test]
fn a_sequence_that_is_named() {
    let expected = [
        CONNECT,
        USAGE,
        r#"GRANT SELECT ON SEQUENCE "public"."orders_id_seq""#,
        r#"GRANT UPDATE ON SEQUENCE "public"."orders_id_seq""#,
    ];
    let operations = [Operation::Select, Operation::Update, Operation::Delete];
    check(allow(&["public.orders_id_seq"], None, &operations, &[]), &expected);
}

#[test]
fn columns_narrow_what_goes_by_column_and_drop_what_does_not() {
    let expected = [
        CONNECT,
        USAGE,
        r#"GRANT SELECT ("id", "name") ON TABLE "public"."customers""#,
        r#"GRANT UPDATE ("id", "name") ON TABLE "public"."customers""#,
    ];
    let operations = [Operation::Select, Operation::Update, Operation::Delete, Operation::Truncate, Operation::Ddl];
    check(allow(&["public.customers"], Some(&["id", "name", "none"]), &operations, &[]), &expected);
}

#[test]
fn a_scope_without_columns_that_exist_gives_nothing_at_all() {
    check(allow(&["public.customers"], Some(&["none"]), &[Operation::Select], &[]), &[CONNECT]);
}

#[test]
fn writing_takes_the_sequences_and_functions_behind_it() {
    let expected = [
        CONNECT,
        r#"GRANT EXECUTE ON ROUTINE public.order_check(integer)"#,
        USAGE,
        r#"GRANT USAGE ON SEQUENCE "public"."orders_id_seq""#,
        r#"GRANT INSERT ON TABLE "public"."orders""#,
    ];
    let mut expected = expected.to_vec();
    expected.sort_by_key(|text| order(text));
    check(allow(&["public.orders"], None, &[Operation::Insert], &[]), &expected);
}

/// Statements come by kind of object, then by right.
fn order(text: &str) -> (String, String) {
    let mut words = text.split(' ');
    let right = words.nth(1).unwrap_or_default().to_owned();
    (words.nth(1).unwrap_or_default().to_owned(), right)
}

#[test]
fn functions_by_name_all_overloads_and_built_ins_in_full_only() {
    let expected = [
        CONNECT,
        r#"GRANT EXECUTE ON ROUTINE public.order_count(), public.order_count(integer)"#,
        r#"GRANT USAGE ON SCHEMA "public""#,
    ];
    check(allow(&[], None, &[], &["public.order_count"]), &expected);
    let sleep = [CONNECT, r#"GRANT EXECUTE ON ROUTINE pg_sleep(double precision)"#];
    check(allow(&[], None, &[], &["pg_catalog.pg_sleep"]), &sleep);
    check(allow(&[], None, &[], &["pg_catalog.*"]), &[CONNECT]);
}

#[test]
fn schema_changes_are_creation_alone() {
    let expected = [
        CONNECT,
        r#"GRANT CREATE ON SCHEMA "public""#,
        USAGE,
        r#"GRANT REFERENCES ON TABLE "public"."customers", "public"."orders", "public"."v_orders""#,
    ];
    check(allow(&["public.*"], None, &[Operation::Ddl], &[]), &expected);
    let everywhere = wanted(&scope(vec![allow(&["*.*"], None, &[Operation::Ddl], &[])]), &objects());
    for schema in ["hr", "public"] {
        assert!(everywhere.contains(&Privilege::Schema { schema: schema.to_owned(), right: Right::Create }));
    }
}

#[test]
fn revoking_says_from() {
    let privilege = Privilege::Table { schema: "a".to_owned(), name: "b\"c".to_owned(), right: Right::Select };
    let wording = Wording { role: "r", database: "shop", signatures: &BTreeMap::new() };
    let said = statements(Change::Revoke, [&privilege], &wording);
    assert_eq!(said, [r#"REVOKE SELECT ON TABLE "a"."b""c" FROM "r""#]);
}

#[test]
fn rights_come_back_from_their_names() {
    for right in Right::ALL {
        assert_eq!(Right::parse(right.as_str()), Some(right));
    }
    assert_eq!(Right::parse("TRIGGER"), None);
}

/// Less in a scope is never more in PostgreSQL.
#[test]
fn narrower_scopes_come_to_fewer_privileges() {
    let all = wanted(&scope(vec![allow(&["*.*"], None, &Operation::ALL, &["*.*"])]), &objects());
    for on in ["public.*", "public.orders", "hr.salaries", "public.orders_id_seq"] {
        for operation in Operation::ALL {
            let narrow = wanted(&scope(vec![allow(&[on], None, &[operation], &[])]), &objects());
            let beyond: Vec<_> = narrow.difference(&all).collect();
            // A sequence is reached by its own name only.
            let sequence = |one: &&&Privilege| !matches!(one, Privilege::Sequence { .. });
            assert!(!beyond.iter().any(|one| sequence(&one)), "{on} {operation}: {beyond:?}");
        }
    }
}
