//! Statements that fetch from cursors which are gone by the time that they are described: PostgreSQL 15 crashes on those, and takes
//! every session with it.

use pgward::wire::encode::{parse, query, sync};

use crate::bench::{Bench, Raw, bind, describe, execute, shape};
use crate::world::{Case, World, works};

pub const CASES: &[Case] = &[
    ("cursors::gone_with_their_transaction", |world| Box::pin(gone_with_their_transaction(world))),
    ("cursors::closed_in_front_of_the_describe", |world| Box::pin(closed_in_front_of_the_describe(world))),
    ("cursors::fetched_from_by_execute", |world| Box::pin(fetched_from_by_execute(world))),
    ("cursors::described_by_one_another", |world| Box::pin(described_by_one_another(world))),
    ("cursors::left_behind_by_a_query_that_failed", |world| Box::pin(left_behind_by_a_query_that_failed(world))),
    ("cursors::that_are_there", |world| Box::pin(that_are_there(world))),
];

/// A session with an open cursor, and a statement `f` that fetches from it.
async fn fetching(bench: &Bench) -> Raw {
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    let declared = raw.query("DECLARE c CURSOR FOR SELECT id FROM notes ORDER BY id").await;
    assert_eq!(shape(&declared), "C(DECLARE CURSOR) Z(T)");
    assert_eq!(shape(&raw.ask(&[parse("f", "FETCH 1 FROM c"), sync()]).await), "1 Z(T)");
    raw
}

async fn gone_with_their_transaction(world: World) {
    let bench = world.bench().await;
    for end in ["COMMIT", "ROLLBACK"] {
        let mut raw = fetching(&bench).await;
        raw.query(end).await;
        assert_eq!(shape(&raw.ask(&[describe(b'S', "f"), sync()]).await), "E(34000) Z(I)", "{end}");
        assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)", "{end}");
        let mut raw = fetching(&bench).await;
        raw.send(&[query(end), describe(b'S', "f"), sync()]).await;
        raw.until_ready().await;
        assert_eq!(shape(&raw.until_ready().await), "E(34000) Z(I)", "{end} just in front");
    }
    works(&bench).await;
}

async fn closed_in_front_of_the_describe(world: World) {
    let bench = world.bench().await;
    let mut raw = fetching(&bench).await;
    let close = [parse("", "CLOSE c"), bind("", "", &[]), execute("", 0)];
    let said = raw.ask(&[&[bind("p", "f", &[])], &close[..], &[describe(b'P', "p"), sync()]].concat()).await;
    assert_eq!(shape(&said), "2 1 2 C(CLOSE CURSOR) E(34000) Z(E)");
    works(&bench).await;
}

async fn fetched_from_by_execute(world: World) {
    let bench = world.bench().await;
    let mut raw = fetching(&bench).await;
    let said = raw.ask(&[parse("g", "EXECUTE f"), describe(b'S', "g"), sync()]).await;
    assert_eq!(shape(&said), "1 t T Z(T)");
    raw.query("COMMIT").await;
    assert_eq!(shape(&raw.ask(&[describe(b'S', "g"), sync()]).await), "E(34000) Z(I)");
    works(&bench).await;
}

async fn described_by_one_another(world: World) {
    let bench = world.bench().await;
    let mut raw = fetching(&bench).await;
    // A portal that fetches from the cursor, and a statement that fetches from the portal.
    let said = raw.ask(&[bind("p", "f", &[]), parse("h", "FETCH 1 FROM p"), describe(b'S', "h"), sync()]).await;
    assert_eq!(shape(&said), "2 1 t T Z(T)");
    raw.query("CLOSE c").await;
    assert_eq!(shape(&raw.ask(&[describe(b'S', "h"), sync()]).await), "E(34000) Z(E)");
    works(&bench).await;
}

/// A simple Query that fails in a block leaves an unnamed portal, on whose Execute PostgreSQL 15 crashes too.
async fn left_behind_by_a_query_that_failed(world: World) {
    let bench = world.bench().await;
    let fails = || query("SELECT 1 / (id - id) FROM notes");
    let bound = || [parse("", "SELECT 1"), bind("", "", &[]), sync()];
    let cases: [Vec<bytes::Bytes>; 4] = [
        vec![fails(), execute("", 0), sync()],
        [&[fails()], &bound()[..], &[execute("", 0), sync()]].concat(),
        [&bound()[..], &[fails(), execute("", 0), sync()]].concat(),
        [&bound()[..], &[fails()], &bound()[..], &[execute("", 0), sync()]].concat(),
    ];
    for (index, case) in cases.iter().enumerate() {
        let mut raw = bench.session().await;
        raw.query("BEGIN").await;
        raw.send(case).await;
        let asked = case.iter().filter(|message| matches!(message[0], b'Q' | b'S')).count();
        for _ in 1..asked {
            raw.until_ready().await;
        }
        let end = shape(&raw.until_ready().await);
        assert!(end.starts_with("E(") && end.ends_with(" Z(E)"), "case {index}: {end}");
        assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)", "case {index}");
    }
    works(&bench).await;
}

async fn that_are_there(world: World) {
    let bench = world.bench().await;
    let mut raw = fetching(&bench).await;
    let fetch = [describe(b'S', "f"), bind("", "f", &[]), describe(b'P', ""), execute("", 0)];
    let twice = [&fetch[..], &fetch[..], &[sync()]].concat();
    assert_eq!(shape(&raw.ask(&twice).await), "t T 2 T D C(FETCH 1) t T 2 T D C(FETCH 1) Z(T)");
    let said = raw.ask(&[parse("m", "MOVE 0 FROM c"), describe(b'S', "m"), sync()]).await;
    assert_eq!(shape(&said), "1 t n Z(T)");
    // MOVE gives no rows, whatever its cursor is.
    raw.send(&[query("CLOSE c"), describe(b'S', "m"), bind("p", "m", &[]), describe(b'P', "p"), sync()]).await;
    assert_eq!(shape(&raw.until_ready().await), "C(CLOSE CURSOR) Z(T)");
    assert_eq!(shape(&raw.until_ready().await), "t n 2 n Z(T)");
    works(&bench).await;
}
