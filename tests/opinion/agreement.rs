//! What both say of the same statements.

use pgward::catalog::opinion::{AskError, Parameters, Question, ask};
use pgward::catalog::{Columns, Footprint, resolve, resolve_with};
use pgward::sql::tree::Action;
use pgward::sql::{self, Limits};

use super::{Bench, one, root};

/// Every kind of reading and writing that the resolver knows.
pub const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE orders",
    "SELECT * FROM orders",
    "SELECT o FROM orders o",
    "SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer_id",
    "SELECT id FROM orders JOIN products USING (id)",
    "SELECT j.id FROM orders JOIN products USING (id) AS j",
    "SELECT * FROM pairs NATURAL JOIN v_pairs",
    "SELECT p FROM (orders o CROSS JOIN products) p (a, b)",
    "SELECT count(*) FROM orders",
    "SELECT count(o) FROM orders o",
    "SELECT (o).amount FROM orders o",
    "SELECT row_to_json(c) FROM (SELECT id, name FROM customers) c",
    "SELECT id FROM ONLY customers",
    "SELECT id FROM v_orders",
    "SELECT body FROM events",
    "SELECT ctid, xmin, tableoid FROM orders",
    "SELECT sum(amount) OVER (PARTITION BY customer_id ORDER BY id) FROM orders",
    "SELECT status, count(*) FROM orders GROUP BY GROUPING SETS ((status), ()) HAVING max(amount) > 0 ORDER BY 2",
    "SELECT DISTINCT ON (customer_id) id FROM orders ORDER BY customer_id, amount DESC LIMIT 3",
    "SELECT id FROM orders UNION SELECT id FROM products EXCEPT SELECT id FROM customers",
    "WITH big AS (SELECT * FROM orders WHERE amount > 10) SELECT id FROM big",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n",
    "SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE name LIKE 'A%')",
    "SELECT id FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.id = o.customer_id)",
    "SELECT x.n FROM orders o, LATERAL (SELECT o.amount * 2 AS n) x",
    "SELECT g, id FROM generate_series(1, 3) g, orders",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(3, 4)) WITH ORDINALITY",
    "SELECT id FROM orders TABLESAMPLE bernoulli (10)",
    "SELECT id FROM orders FOR UPDATE",
    "SELECT CASE WHEN amount > 1 THEN status END FROM orders",
    "SELECT amount::text, CAST(id AS bigint), date '2020-01-01' FROM orders",
    "SELECT 1::raising",
    "SELECT d + 1 FROM pairs",
    "SELECT (at).x, at, many[1].y FROM shapes",
    "SELECT (unnest(many)).x FROM shapes",
    "SELECT * FROM jsonb_populate_record(NULL::products, '{}')",
    "SELECT 'payroll'::regclass, nextval('counted'), 'boom'::regproc",
    "SELECT order_count()",
    "SELECT boom(1), boom(id) FROM orders",
    "SELECT 1 @#@ 2",
    "SELECT leak_agg(id) FROM orders",
    "SELECT relname FROM pg_class WHERE relkind = 'r'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('x'), pg_sleep(1)",
    "INSERT INTO pairs (id, a) VALUES (1, 2)",
    "INSERT INTO pairs DEFAULT VALUES",
    "INSERT INTO pairs SELECT id, customer_id FROM orders RETURNING id, b",
    "INSERT INTO pairs AS p (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a + p.a WHERE p.a > 1",
    "INSERT INTO pairs (id) VALUES (1) ON CONFLICT DO NOTHING",
    "INSERT INTO pairs (d) VALUES (1)",
    "UPDATE pairs SET a = 1",
    "UPDATE pairs p SET (a, b) = (SELECT id, status FROM orders o WHERE o.id = p.id) RETURNING p.*",
    "UPDATE pairs SET a = o.id FROM orders o WHERE o.id = pairs.id",
    "DELETE FROM pairs",
    "DELETE FROM pairs USING orders o WHERE o.id = pairs.id RETURNING o.amount",
    "WITH gone AS (DELETE FROM pairs RETURNING id) INSERT INTO logbook (at) SELECT id::text FROM gone",
    "UPDATE pairs SET a = 1 WHERE CURRENT OF c",
    "INSERT INTO events VALUES (1, 'us-east', 'x')",
    "SELECT 1 -- a comment at the end",
    "SELECT 1; ",
];

#[tokio::test]
async fn both_agree_on_every_kind_of_statement() {
    let bench = Bench::start().await;
    let mut wrong = Vec::new();
    for text in STATEMENTS {
        let differences = bench.differences(text, None).await;
        if !differences.is_empty() {
            wrong.push(format!("{text}: {differences:?}"));
        }
    }
    let version = bench.row("SHOW server_version_num").await;
    if version.as_str() >= "150000" {
        let merge =
            "MERGE INTO pairs p USING orders o ON o.id = p.id WHEN MATCHED AND o.amount > 1 THEN UPDATE SET a = o.id
            WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, a) VALUES (o.id, o.customer_id)";
        wrong.extend(bench.differences(merge, None).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn both_agree_on_parameters_of_any_type() {
    let bench = Bench::start().await;
    for (text, declared) in [
        ("SELECT id FROM orders WHERE id = $1 AND status = $2", &[][..]),
        ("SELECT id FROM orders WHERE id = $1 AND status = $2", &[20, 0]),
        ("SELECT id FROM orders WHERE id = $1 AND status = $2", &[23, 25]),
        ("SELECT id FROM orders WHERE id = ANY ($1)", &[1007]),
        ("SELECT upper($1)", &[]),
        ("SELECT upper($1)", &[23]),
        ("SELECT upper($1)", &[705]),
        ("SELECT id FROM orders WHERE (id, status) = $1", &[2249]),
        ("SELECT id FROM orders WHERE ROW(id, status) = $1", &[]),
        ("SELECT '$7', $1::int", &[]),
        ("INSERT INTO pairs (id, a, b, d) VALUES ($1, $2, $3, $4) RETURNING id", &[]),
        ("UPDATE pairs SET d = $1 WHERE id = $2", &[]),
        ("SELECT reveal($1)", &[]),
    ] {
        assert_eq!(bench.differences(text, Some(declared)).await, [""; 0], "{text} {declared:?}");
    }
}

/// More than a function may have: rows by the hundred, as object mappers insert them.
#[tokio::test]
async fn both_agree_on_very_many_parameters() {
    let bench = Bench::start().await;
    let rows: Vec<String> =
        (0..2000).map(|row| format!("(${}, ${}, '$1', ${})", row * 3 + 1, row * 3 + 2, row * 3 + 3)).collect();
    let insert = format!("INSERT INTO pairs (id, a, b, d) VALUES {} RETURNING id", rows.join(", "));
    assert_eq!(bench.differences(&insert, Some(&[])).await, [""; 0]);
    let numbers: Vec<String> = (1..=150).map(|number| format!("${number}")).collect();
    let select = format!("SELECT amount FROM orders WHERE id IN ({}) AND status = $151", numbers.join(","));
    assert_eq!(bench.differences(&select, Some(&[])).await, [""; 0]);
    let mut footprint = bench.footprint(&one(&select), Some(&[]));
    without_column(&mut footprint, "status");
    let opinion = bench.ask(&select, &[]).await.unwrap();
    assert_eq!(bench.compared(&footprint, &opinion), ["select on column status of public.orders"]);
}

/// Statements that clients were seen to send, and those of the policy world: as far as they resolve, and PostgreSQL takes them.
#[tokio::test]
async fn both_agree_on_what_clients_send() {
    let bench = Bench::start().await;
    let (mut agreed, mut wrong) = (0, Vec::new());
    for (text, parsed) in clients().into_iter().chain(world()) {
        let Ok(statements) = sql::read(&text, &Limits::default()) else { continue };
        for statement in statements {
            let resolved = match parsed {
                true => resolve_with(&bench.shop, &statement.action, &[]),
                false => resolve(&bench.shop, &statement.action),
            };
            let (Some(query), Ok(footprint)) = (statement.query.clone(), resolved) else { continue };
            let parameters = match &statement.action {
                Action::Prepare { types, .. } => Parameters::Named(types),
                _ => Parameters::Declared(&[]),
            };
            let question = Question { text: &text[query], parameters };
            match ask(&bench.side, &bench.shop, question).await {
                Ok(opinion) => match bench.compared(&footprint, &opinion).as_slice() {
                    [] => agreed += 1,
                    differences => wrong.push(format!("{differences:?}: {}", question.text)),
                },
                Err(AskError::Refused { .. } | AskError::Parameters) => {}
                Err(error) => wrong.push(format!("{error}: {}", question.text)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(agreed > 1500, "{agreed}");
}

/// Texts, and whether they come in a Parse.
fn clients() -> Vec<(String, bool)> {
    let text = std::fs::read_to_string(root().join("tests/corpora/clients.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sql"].as_str().unwrap().to_owned())
        .map(|text| (text.clone(), text.contains('$')))
        .collect()
}

fn world() -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for file in ["sample", "more", "wide"] {
        let text = std::fs::read_to_string(root().join("tests/world").join(format!("{file}.jsonl"))).unwrap();
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            for step in case["session"].as_array().unwrap() {
                match step {
                    serde_json::Value::String(text) => found.push((text.clone(), false)),
                    step => {
                        let texts = step["sql"].as_array().cloned().unwrap_or_else(|| vec![step["sql"].clone()]);
                        let texts = texts.iter().filter_map(|text| text.as_str()).map(|text| (text.to_owned(), true));
                        found.extend(texts);
                    }
                }
            }
        }
    }
    found
}

/// A resolver that left something out would be found out: each part of a footprint that PostgreSQL knows of is missed.
#[tokio::test]
async fn what_a_footprint_lacks_is_told() {
    let bench = Bench::start().await;
    type Doctor = fn(&mut Footprint);
    let cases: &[(&str, Doctor, &str)] = &[
        ("SELECT id FROM orders", |f| f.relations.clear(), "relation public.orders"),
        ("SELECT rolname FROM pg_authid", |f| f.relations.clear(), "relation pg_catalog.pg_authid"),
        ("SELECT id, amount FROM orders", |f| without_column(f, "amount"), "select on column amount of public.orders"),
        ("SELECT id FROM orders WHERE amount > 1", |f| without_column(f, "amount"), "column amount"),
        ("SELECT o FROM orders o", |f| f.relations[0].columns = Columns::None, "the whole row of public.orders"),
        ("SELECT o FROM orders o", |f| f.relations[0].columns = Columns::Named(vec!["id".into()]), "the whole row"),
        (
            "UPDATE pairs SET a = 1",
            |f| f.relations[0].operation = pgward::access::Operation::Select,
            "update on public.pairs",
        ),
        (
            "DELETE FROM pairs",
            |f| f.relations[0].operation = pgward::access::Operation::Select,
            "delete on public.pairs",
        ),
        ("INSERT INTO pairs (id, a) VALUES (1, 2)", |f| without_column(f, "a"), "insert on column a of public.pairs"),
        ("SELECT id FROM orders FOR UPDATE", |f| f.relations.truncate(1), "update on public.orders"),
        ("SELECT id FROM v_pairs", |f| f.relations.retain(|r| r.through.is_some()), "relation public.v_pairs"),
        ("SELECT id FROM events", |f| f.relations.retain(|r| r.child_of.is_some()), "relation public.events"),
        ("SELECT order_count()", |f| f.functions.clear(), "function public.order_count"),
        ("SELECT pg_sleep(1)", |f| f.functions.clear(), "function pg_catalog.pg_sleep"),
        ("SELECT count(*) FROM orders", |f| f.functions.clear(), "function pg_catalog.count"),
        ("SELECT 1 @#@ 2", |f| f.functions.clear(), "function public.op_peek"),
        ("SELECT 1::raising", |f| f.functions.clear(), "function public.refuses of a domain's check"),
        ("SELECT 'boom'::regproc, boom(1)", |f| f.functions.clear(), "function public.boom"),
        ("SELECT 'orders'::regclass, id FROM orders", |f| f.relations.clear(), "relation public.orders"),
        ("SELECT (o).id FROM orders o", |f| f.relations.clear(), "relation public.orders"),
    ];
    for (text, doctor, expected) in cases {
        let mut footprint = bench.footprint(&one(text), None);
        let opinion = bench.ask(text, &[]).await.unwrap();
        assert_eq!(bench.compared(&footprint, &opinion), [""; 0], "{text}");
        doctor(&mut footprint);
        let differences = bench.compared(&footprint, &opinion).join(", ");
        assert!(differences.contains(expected), "{text}: {differences}");
    }
}

fn without_column(footprint: &mut Footprint, column: &str) {
    for relation in &mut footprint.relations {
        if let Columns::Named(names) = &mut relation.columns {
            names.retain(|name| name != column);
        }
    }
}
