//! A grant that changes while a statement under it is ending: whichever comes first, client and journal say the same, the
//! statement ends once, and the next one is judged by what is live then.

use std::time::Duration;

use pgward::access::{GrantId, Operation};
use pgward::audit::{EndedBy, Event, Record};

use crate::bench::{Bench, Raw, Said, plain, shape};
use crate::wait_for_close;

const ROUNDS: u64 = 30;
/// How long the statement takes, and about when its grant changes.
const TAKES: Duration = Duration::from_millis(20);

/// Beside the grants of these tests, alice holds one that does not cover `secret`: sessions go on.
pub async fn endings(bench: &Bench) {
    for round in 0..ROUNDS {
        revoked(bench, round).await;
    }
    for round in 0..5 {
        extended(bench, round).await;
    }
}

fn text(round: u64) -> String {
    format!("SELECT s.body, {round} AS round FROM secret s, pg_sleep({})", TAKES.as_secs_f64())
}

async fn second(bench: &Bench) -> GrantId {
    bench.grant("second", &["public.secret"], &[Operation::Select], None).await
}

/// Runs the statement of the round, and `change` a little earlier or later in each round than its end.
async fn run(raw: &mut Raw, round: u64, change: impl Future<Output = ()>) -> Vec<Said> {
    let begins = TAKES.saturating_sub(Duration::from_millis(5)) + Duration::from_micros(round * 10_000 / ROUNDS);
    let statement = text(round);
    let change = async {
        tokio::time::sleep(begins).await;
        change.await;
    };
    tokio::join!(raw.query(&statement), change).0
}

async fn revoked(bench: &Bench, round: u64) {
    let grant = second(bench).await;
    let mut raw = bench.session().await;
    let said = run(&mut raw, round, bench.revoke(&grant)).await;
    let came = shape(&said);
    let completed = said.iter().any(|said| said.tag == b'C');
    if completed {
        assert_eq!(came, "T D C(SELECT 1) Z(I)", "round {round}");
    } else {
        let error = said.iter().find(|said| said.tag == b'E').unwrap_or_else(|| panic!("{came}"));
        assert!(error.holds(grant.as_str()) && error.holds("revoked by bob"), "round {round}: {said:?}");
        assert_eq!(said.last().map(|said| said.tag), Some(b'Z'), "the session lives by its other grant: {came}");
    }
    assert_eq!(shape(&raw.query(&text(round)).await), "E(42501) Z(I)", "what is revoked allows nothing more");
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id = 1").await), "T D C(SELECT 1) Z(I)");

    let (statement, end) = recorded(bench, raw).await;
    assert_eq!(statement.grant.as_ref(), Some(&grant));
    let expected = if completed { EndedBy::Completed } else { EndedBy::GrantRevoked };
    assert_eq!(end.ended_by, Some(expected), "round {round}: the client saw {came}");
    if completed {
        assert_eq!(end.rows, Some(1));
    }
}

/// A grant that comes beside the first changes nothing for what runs under that, and carries what follows once it is over.
async fn extended(bench: &Bench, round: u64) {
    let first = second(bench).await;
    let mut raw = bench.session().await;
    let mut third = None;
    let said = run(&mut raw, round * ROUNDS / 5, async { third = Some(second(bench).await) }).await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)", "round {round}");
    let third = third.unwrap();
    let said = run(&mut raw, 0, bench.revoke(&third)).await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)", "another grant of the same scope ended");
    let third = second(bench).await;
    bench.revoke(&first).await;
    assert_eq!(shape(&raw.query(&text(round)).await), "T D C(SELECT 1) Z(I)", "the later grant carries it");
    bench.revoke(&third).await;
    assert_eq!(shape(&raw.query(&text(round)).await), "E(42501) Z(I)");
    let (statement, end) = recorded(bench, raw).await;
    assert_eq!((statement.grant, end.ended_by), (Some(first), Some(EndedBy::Completed)));
}

/// The session's first statement and its one end, once the session is closed.
async fn recorded(bench: &Bench, mut raw: Raw) -> (Record, Record) {
    raw.send(&[plain(b'X')]).await;
    assert_eq!(raw.next().await.tag, 0);
    drop(raw);
    wait_for_close(bench).await;
    let session = bench.records(Event::SessionClose).pop().unwrap().session;
    let statements = bench.records(Event::Statement);
    let statement = statements.into_iter().find(|record| record.session == session).unwrap();
    let mut ends = bench.records(Event::StatementEnd);
    ends.retain(|end| end.statement_seq == Some(statement.seq));
    assert_eq!(ends.len(), 1, "{ends:?}");
    (statement, ends.pop().unwrap())
}
