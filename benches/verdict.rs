//! What a verdict costs: a statement seen for the first time (read, resolved, decided on) and one seen before.
//! The world of the policy tests is the schema; a PostgreSQL is started once, for its catalogs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

#[path = "../tests/support/everything.rs"]
mod everything;
#[path = "../tests/support/postgres.rs"]
mod postgres;

use everything::policy;

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pgward::access::Operation;
use pgward::catalog::{Snapshot, resolve};
use pgward::policy::{Verdict, decide};
use pgward::session::analysis::{Analysis, AnalysisCache, Part};
use pgward::sql::shape::scan;
use pgward::sql::{self, Limits};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ten lines, three joins, an aggregate: what a person writes into a report.
const JOIN: &str = "SELECT c.country, p.name AS product, count(*) AS orders,\n       sum(o.amount) AS total\n\
  FROM public.orders AS o\n  JOIN public.customers AS c ON c.id = o.customer_id\n\
  JOIN public.products AS p ON p.id = o.product_id\n  LEFT JOIN public.v_orders AS v ON v.id = o.id\n\
 WHERE c.country IN ('NL', 'DE') AND o.amount > 1\n GROUP BY c.country, p.name\n\
HAVING count(*) > 2\n ORDER BY orders DESC, product\n LIMIT 50";

fn first_sight(criterion: &mut Criterion) {
    let snapshot = snapshot();
    let context = policy::context(&snapshot, &["us-east"], policy::world_grant(), Vec::new());
    let all = |text: &str| {
        let statements = sql::read(text, &Limits::default()).unwrap();
        let resolved = resolve(&snapshot, &statements[0].action);
        match decide(&statements[0], text, &resolved, &context) {
            Verdict::Allow(permit) => permit,
            Verdict::Deny(denial) => panic!("{denial:?}"),
        }
    };
    let mut group = criterion.benchmark_group("first sight of a ten-line join");
    group.bench_function("read, resolve, decide", |bencher| bencher.iter(|| all(JOIN)));
    group.bench_function("read", |bencher| bencher.iter(|| sql::read(JOIN, &Limits::default()).unwrap()));
    let statements = sql::read(JOIN, &Limits::default()).unwrap();
    group.bench_function("resolve", |bencher| bencher.iter(|| resolve(&snapshot, &statements[0].action)));
    let resolved = resolve(&snapshot, &statements[0].action);
    group.bench_function("decide", |bencher| bencher.iter(|| decide(&statements[0], JOIN, &resolved, &context)));
    group.finish();
}

fn snapshot() -> Snapshot {
    let server = postgres::TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&server.dsn("postgres", "shop"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Snapshot::load(&client).await.unwrap()
    })
}

/// What a session does for a text that some session has sent before, up to the permit: recalled by its letters, decided on
/// by what was decided. A prepared statement carries its analysis, and is not even recalled.
fn seen_before(criterion: &mut Criterion) {
    let snapshot = snapshot();
    let context = policy::context(&snapshot, &["us-east"], policy::world_grant(), Vec::new());
    let cache = AnalysisCache::new(Limits::default(), Duration::from_secs(5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let analysis = runtime.block_on(cache.analyse(JOIN, None));
    let decide = |analysis: &Analysis| {
        let resolved = analysis.resolved(&snapshot);
        let matter = resolved.matter(Part::Whole(0)).unwrap();
        match matter.decide(&analysis.statements()[0], &analysis.text, &context) {
            Verdict::Allow(permit) => permit,
            Verdict::Deny(denial) => panic!("{denial:?}"),
        }
    };
    let mut group = criterion.benchmark_group("a ten-line join seen before");
    group.bench_function("as text", |bencher| bencher.iter(|| decide(&cache.recall(JOIN, None).unwrap())));
    group.bench_function("as prepared statement", |bencher| bencher.iter(|| decide(&analysis)));
    group.finish();
}

/// What a session does for a text of which only the literals are new, up to the permit; and for how many texts' looking up
/// that pays.
fn other_literals(criterion: &mut Criterion) {
    let snapshot = snapshot();
    let context = everything::everything(&snapshot, &Operation::ALL);
    let cache = AnalysisCache::new(Limits::default(), Duration::from_secs(5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let decide = |analysis: &Analysis| {
        let resolved = analysis.resolved(&snapshot);
        let matter = resolved.matter(Part::Whole(0)).unwrap();
        match matter.decide(&analysis.statements()[0], &analysis.text, &context) {
            Verdict::Allow(permit) => permit,
            Verdict::Deny(denial) => panic!("{denial:?}"),
        }
    };
    let mut group = criterion.benchmark_group("only literals are new");
    type Text = fn(u32) -> String;
    let texts: [(&str, Text); 4] = [
        ("a short SELECT", |id| format!("SELECT name FROM customers WHERE id = {id}")),
        ("a short UPDATE", |id| format!("UPDATE orders SET amount = amount + {id} WHERE id = {id}")),
        ("an INSERT", |id| format!("INSERT INTO orders (id, amount) VALUES ({id}, {id})")),
        ("a ten-line join", |id| JOIN.replace("> 1", &format!("> {id}"))),
    ];
    for (name, text) in texts {
        for id in 0..3 {
            let _ = decide(&runtime.block_on(cache.analyse(&text(id), None)));
        }
        let other = text(424_242);
        assert!(cache.known(&other, None).unwrap().is_by_shape(), "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| decide(&cache.known(&other, None).unwrap())));
        group.bench_function(format!("{name}, and what is recorded"), |bencher| {
            bencher.iter(|| {
                let analysis = cache.known(&other, None).unwrap();
                (decide(&analysis), analysis.recorded(Part::Whole(0)))
            });
        });
        group.bench_function(format!("{name}, cut out"), |bencher| bencher.iter(|| scan(&other).unwrap().len()));
        let first = text(0);
        group.bench_function(format!("{name}, letter by letter"), |bencher| {
            bencher.iter(|| decide(&cache.known(&first, None).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, first_sight, seen_before, other_literals);
criterion_main!(benches);
