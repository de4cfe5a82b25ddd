//! Clients that send without reading: what waits for them is bounded, and so is the time for which they may take nothing.

use std::time::Duration;

use bytes::Bytes;
use pgward::audit::{EndedBy, Event};
use pgward::wire::encode::{parse, query, sync};
use tokio::io::AsyncReadExt;

use super::{refusals, until};
use crate::bench::{Bench, bind, execute, shape};
use crate::world::{Case, World, bounded, works};

pub const CASES: &[Case] = &[
    ("bounds::pipelined_messages", |world| Box::pin(pipelined_messages(world))),
    ("bounds::a_pipeline_without_an_end", |world| Box::pin(a_pipeline_without_an_end(world))),
    ("bounds::copy_in_a_full_pipeline", |world| Box::pin(copy_in_a_full_pipeline(world))),
    ("bounds::unread_results", |world| Box::pin(unread_results(world))),
    ("bounds::a_client_that_takes_nothing", |world| Box::pin(a_client_that_takes_nothing(world))),
    ("bounds::a_client_that_reads_slowly", |world| Box::pin(a_client_that_reads_slowly(world))),
];

/// About 300 MB, made as they are read.
const LARGE: &str = "SELECT repeat('x', 30000) FROM generate_series(1, 10000)";

/// While eight messages wait for their answers the ninth is not read; then all of them are answered.
async fn pipelined_messages(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_pipelined = 8)).await;
    let mut raw = bench.session().await;
    // What the first statement waits for.
    let (mut owner, connection) =
        tokio_postgres::connect(&bench.postgres.dsn("postgres", "postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE uniq IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut all = vec![query("SELECT count(*) FROM uniq")];
    all.extend((0..40).map(|number| query(&format!("SELECT {number}"))));
    raw.send(&all).await;
    until("eight are admitted", || bench.records(Event::Statement).len() >= 8).await;
    // However long the others would have had.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.records(Event::Statement).len(), 8, "the ninth waits");
    lock.rollback().await.unwrap();
    for _ in 0..41 {
        assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    }
    works(&bench).await;
}

/// PostgreSQL keeps answers until it is asked for them: who sends many messages without a Sync gets them all the same.
async fn a_pipeline_without_an_end(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_pipelined = 2)).await;
    let mut raw = bench.session().await;
    let one = |number: usize| {
        let name = format!("s{number}");
        [parse(&name, "SELECT 1"), bind("", &name, &[]), execute("", 0)]
    };
    let mut all: Vec<Bytes> = (0..20).flat_map(one).collect();
    all.push(sync());
    let said = raw.ask(&all).await;
    assert_eq!(shape(&said), format!("{}Z(I)", "1 2 D C(SELECT 1) ".repeat(20)));
    works(&bench).await;
}

/// The answer to a COPY waits for data: that is read, however full the pipeline is.
async fn copy_in_a_full_pipeline(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_pipelined = 2)).await;
    let mut raw = bench.session().await;
    let copy = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0), sync()];
    let data =
        [crate::bench::message(b'd', |body| body.extend_from_slice(b"1\tone\n")), crate::bench::message(b'c', |_| {})];
    let all: Vec<Bytes> = copy.iter().take(3).chain(&data).chain(copy.last()).cloned().collect();
    assert_eq!(shape(&raw.ask(&all).await), "1 2 G C(COPY 1) Z(I)");
    // Nothing waits for this one, and nothing answers it.
    let stray = crate::bench::message(b'c', |_| {});
    let said = raw.ask(&[query("SELECT 1"), stray.clone(), stray.clone(), stray, query("SELECT 2")]).await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    works(&bench).await;
}

fn passed_on(bench: &Bench) -> u64 {
    bench.metric("pgward_bytes_total{direction=\"client\"}")
}

/// What has been passed on once no more is: a client that does not read holds it there.
async fn held(bench: &Bench) -> u64 {
    let mut before = u64::MAX;
    for _ in 0..200 {
        let now = passed_on(bench);
        if now == before && now > 0 {
            return now;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    panic!("it goes on and on");
}

/// Of 300 MB no more is taken from the database than fits into the sockets and the bound; another session is not held up; the
/// rest comes when it is read.
async fn unread_results(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_unread_bytes = 64 << 10)).await;
    let mut raw = bench.session().await;
    raw.send(&[query(LARGE)]).await;
    let held = held(&bench).await;
    assert!(held < 24 << 20, "{held} bytes wait for somebody who does not read");
    works(&bench).await;
    let mut rows = 0;
    loop {
        match raw.next().await.tag {
            b'D' => rows += 1,
            b'Z' => break,
            _ => {}
        }
    }
    assert_eq!(rows, 10_000);
}

/// Its session ends, its statement does, its backend is free, and the journal says why.
async fn a_client_that_takes_nothing(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.client_write_timeout = Duration::from_secs(2))).await;
    let mut idle = bench.session().await;
    let mut raw = bench.session().await;
    raw.send(&[query(LARGE)]).await;
    until("it is ended", || !bench.records(Event::SessionClose).is_empty()).await;
    let closed = bench.records(Event::SessionClose);
    assert_eq!(closed[0].ended_by, Some(EndedBy::Timeout));
    assert_eq!(closed[0].detail.as_deref(), Some("terminating connection: the client has read nothing for 2s"));
    assert_eq!(bench.records(Event::StatementEnd)[0].ended_by, Some(EndedBy::Timeout));
    assert_eq!(refusals(&bench, "client_write_timeout"), 1);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT repeat(%' AND state = 'active'";
    for _ in 0..500 {
        if bench.ask(count).await == "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.ask(count).await, "0", "the backend is free");
    // Nothing waited for this one.
    assert_eq!(shape(&idle.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

/// It takes a little now and then, for longer than the time, and is left alone.
async fn a_client_that_reads_slowly(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.client_write_timeout = Duration::from_secs(2))).await;
    let mut raw = bench.session().await;
    raw.send(&[query(LARGE)]).await;
    held(&bench).await;
    let mut some = vec![0; 4 << 20];
    for _ in 0..10 {
        let mut read = 0;
        while read < some.len() {
            read += raw.stream.read(&mut some[read..]).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(bench.records(Event::SessionClose).len(), 0);
    assert_eq!(bench.registry.list().len(), 1, "it is still there");
}
