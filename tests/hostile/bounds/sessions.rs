//! What one session may hold: prepared statements, portals and cursors, the length of a message.

use bytes::Bytes;
use pgward::audit::{EndedBy, Event};
use pgward::wire::encode::{parse, query, sync};

use super::{refusals, told};
use crate::bench::{Bench, bind, execute, shape};
use crate::world::{Case, World, bounded, closed, to_the_end, works};

pub const CASES: &[Case] = &[
    ("bounds::named_statements", |world| Box::pin(named_statements(world))),
    ("bounds::portals_and_cursors", |world| Box::pin(portals_and_cursors(world))),
    ("bounds::length_of_a_message", |world| Box::pin(length_of_a_message(world))),
];

/// The rule that the last refusal was recorded by.
fn last_rule(bench: &Bench) -> String {
    let records = bench.records(Event::Statement);
    records.into_iter().rev().find_map(|record| record.rule).unwrap_or_default()
}

/// Parse and PREPARE share the bound; a session at it goes on without names.
async fn named_statements(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_prepared_statements = 3)).await;
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.ask(&[parse("a", "SELECT 1"), parse("b", "SELECT 1"), sync()]).await), "1 1 Z(I)");
    assert_eq!(shape(&raw.query("PREPARE c AS SELECT 1").await), "C(PREPARE) Z(I)");
    let too_many = [
        "54000",
        "too many prepared statements",
        "This session holds 3, as many as max_prepared_statements allows.",
        "DEALLOCATE those that are no longer needed, or prepare without a name.",
    ];
    let said = raw.ask(&[parse("d", "SELECT 1"), sync()]).await;
    assert_eq!((told(&said), shape(&said).as_str()), (too_many.map(str::to_owned), "E(54000) Z(I)"));
    assert_eq!(last_rule(&bench), "limit");
    assert_eq!(told(&raw.query("PREPARE d AS SELECT 1").await), too_many);
    assert_eq!(refusals(&bench, "max_prepared_statements"), 2);
    let unnamed = [parse("", "SELECT 1"), bind("", "", &[]), execute("", 0), sync()];
    assert_eq!(shape(&raw.ask(&unnamed).await), "1 2 D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.ask(&[bind("", "a", &[]), execute("", 0), sync()]).await), "2 D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.query("DEALLOCATE b").await), "C(DEALLOCATE) Z(I)");
    assert_eq!(shape(&raw.ask(&[parse("d", "SELECT 1"), sync()]).await), "1 Z(I)");
    works(&bench).await;
}

/// Bind and DECLARE share the bound; portals go with their transaction.
async fn portals_and_cursors(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_portals = 3)).await;
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    let all = [parse("s", "SELECT 1"), bind("a", "s", &[]), bind("b", "s", &[]), bind("", "s", &[]), sync()];
    assert_eq!(shape(&raw.ask(&all).await), "1 2 2 2 Z(T)");
    assert_eq!(shape(&raw.query("DECLARE c CURSOR FOR SELECT 1").await), "C(DECLARE CURSOR) Z(T)");
    let too_many = [
        "54000",
        "too many portals and cursors",
        "This session holds 3, as many as max_portals allows.",
        "CLOSE those that are no longer needed, end the transaction, or bind without a name.",
    ];
    let said = raw.ask(&[bind("d", "s", &[]), sync()]).await;
    assert_eq!((told(&said), shape(&said).as_str()), (too_many.map(str::to_owned), "E(54000) Z(E)"));
    assert_eq!(refusals(&bench, "max_portals"), 1);
    assert_eq!(last_rule(&bench), "limit");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    let again = [bind("a", "s", &[]), bind("b", "s", &[]), bind("c", "s", &[]), execute("c", 0), sync()];
    assert_eq!(shape(&raw.ask(&again).await), "2 2 2 D C(SELECT 1) Z(T)", "they went with their transaction");
    assert_eq!(told(&raw.query("DECLARE d CURSOR FOR SELECT 1").await), too_many);
    works(&bench).await;
}

async fn length_of_a_message(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_message_bytes = 2_048)).await;
    let mut raw = bench.session().await;
    let text = |length: usize| query(&format!("SELECT '{}'", "x".repeat(length - "SELECT ''\0".len())));
    assert_eq!(shape(&raw.ask(&[text(2_048)]).await), "T D C(SELECT 1) Z(I)");
    raw.send(&[text(2_049)]).await;
    let said = to_the_end(&mut raw).await;
    let too_long = [
        "54000",
        "message of 2049 bytes is over the limit of 2048",
        "A message is held whole while it is judged; max_message_bytes says how long it may be.",
        "Send less at once, or load data with COPY, which streams through.",
    ];
    assert_eq!((told(&said), shape(&said).as_str()), (too_long.map(str::to_owned), "E(54000) closed"));
    drop(raw);
    assert_eq!(closed(&bench).await, Some(EndedBy::ProtocolViolation));
    // Refused by its header, before any of it is there.
    let mut raw = bench.session().await;
    raw.send(&[Bytes::from_static(b"Q\0\0\x08\x05")]).await;
    assert_eq!(shape(&to_the_end(&mut raw).await), "E(54000) closed");
    assert_eq!(refusals(&bench, "max_message_bytes"), 2);
    works(&bench).await;
}
