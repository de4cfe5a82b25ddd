//! Counting what leaves: shared by sessions, exact at the bound, never more after a crash.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::*;
use crate::access::{AccessRequest, Decision, NewRequest, Principal, Region, Ruling, Scope, Subject};
use crate::store::SqliteStore;

struct Bench {
    store: SharedStore,
    grant: GrantId,
    _dir: tempfile::TempDir,
}

fn person(name: &str) -> Principal {
    Principal { name: name.into(), groups: vec![], region: None }
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(SqliteStore::open(&dir.path().join("store.db")).unwrap());
    let scope = Scope {
        name: "read".into(),
        database: "shop".into(),
        regions: vec![Region::new("eu")],
        requesters: vec![Subject::User("alice".into())],
        approvers: vec![Subject::User("bob".into())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards: crate::access::Guards::default(),
        rules: crate::access::Rules::default(),
        allow: vec![],
    };
    let new = NewRequest { reason: "a look".into(), duration: Duration::from_secs(60), ..NewRequest::default() };
    let now = jiff::Timestamp::now();
    let request = AccessRequest::file(person("alice"), scope, new, now).unwrap();
    store.file(&request.clone().into()).await.unwrap();
    let decided = store.decide(&request.id, &person("bob"), Ruling::of(Decision::Approve, None), now).await.unwrap();
    Bench { store, grant: decided.1.unwrap().id, _dir: dir }
}

fn claim(rule: &str, rows: Option<u64>, bytes: Option<u64>) -> ExportClaim {
    ExportClaim { rule: rule.into(), region: Region::new("eu"), limit: ExportLimit { rows, bytes } }
}

/// Rows of `bytes` each that pass before one does not, of `most` that are tried.
async fn passes(meter: &mut Meter, most: u64, bytes: u64) -> u64 {
    for passed in 0..most {
        loop {
            match meter.count(bytes) {
                Counted::Passes => break,
                Counted::Waits => meter.top_up().await,
                Counted::Over(_) => return passed,
            }
        }
    }
    most
}

#[tokio::test]
async fn all_sessions_of_a_grant_share_one_bound_and_it_is_exact() {
    let bench = bench().await;
    let ledger = Arc::new(Ledger::new(Arc::clone(&bench.store)));
    let claims = [claim("region eu", Some(1_000), None)];
    let mut one = ledger.meter(&bench.grant, &claims).unwrap();
    let mut other = ledger.meter(&bench.grant, &claims).unwrap();
    assert_eq!(passes(&mut one, 300, 10).await, 300);
    assert_eq!(passes(&mut other, 2_000, 10).await, 700);
    assert_eq!(passes(&mut one, 1, 10).await, 0);
    let Counted::Over(message) = one.count(10) else { panic!("it passes") };
    assert_eq!(message.sqlstate, "54000");
    assert!(message.message.contains("1000 rows") && message.message.contains("region eu"), "{}", message.message);
    let stored = bench.store.exported(&bench.grant).await.unwrap();
    assert_eq!(stored.first().map(|(rule, amount)| (rule.as_str(), amount.rows)), Some(("region eu", 1_000)));
}

#[tokio::test]
async fn a_crash_never_gives_more() {
    let bench = bench().await;
    let claims = [claim("region eu", Some(160), None)];
    let mut passed = 0;
    let mut lives = 0;
    loop {
        // A process that ends without a word, and the next one.
        let ledger = Arc::new(Ledger::new(Arc::clone(&bench.store)));
        let more = passes(&mut ledger.meter(&bench.grant, &claims).unwrap(), 17, 10).await;
        passed += more;
        lives += 1;
        if more == 0 {
            break;
        }
    }
    assert!(passed <= 160, "{passed}");
    assert!(passed >= 160 - lives * 10, "at most a block is lost each time: {passed} in {lives}");
}

#[tokio::test]
async fn what_was_not_used_comes_back_when_the_process_ends_in_peace() {
    let bench = bench().await;
    let claims = [claim("region eu", Some(160), None)];
    let ledger = Arc::new(Ledger::new(Arc::clone(&bench.store)));
    assert_eq!(passes(&mut ledger.meter(&bench.grant, &claims).unwrap(), 1, 10).await, 1);
    ledger.give_back().await;
    let next = Arc::new(Ledger::new(Arc::clone(&bench.store)));
    assert_eq!(passes(&mut next.meter(&bench.grant, &claims).unwrap(), 1_000, 10).await, 159);
    let grants = [Arc::new(bench.store.grant(&bench.grant).await.unwrap())];
    let known = Ledger::new(Arc::clone(&bench.store)).exported(&grants).await.unwrap();
    assert_eq!(known.of(&bench.grant, "region eu").rows, 160, "a new process asks the store");
    assert_eq!(next.exported(&grants).await.unwrap().of(&bench.grant, "region eu").rows, 160);
}

#[tokio::test]
async fn every_bound_has_to_hold() {
    let bench = bench().await;
    let ledger = Arc::new(Ledger::new(Arc::clone(&bench.store)));
    let claims = [claim("region eu", None, Some(1_000)), claim("data eu.*", Some(3), None)];
    assert_eq!(passes(&mut ledger.meter(&bench.grant, &claims).unwrap(), 10, 100).await, 3);
    let mut bytes = ledger.meter(&bench.grant, &claims[..1]).unwrap();
    assert_eq!(passes(&mut bytes, 100, 100).await, 7, "a row that another bound kept back counts nowhere");
    assert!(ledger.meter(&bench.grant, &[]).is_none());
}

#[tokio::test]
async fn one_row_may_be_larger_than_a_block() {
    let bench = bench().await;
    let ledger = Arc::new(Ledger::new(Arc::clone(&bench.store)));
    let claims = [claim("region eu", None, Some(50 << 20))];
    let mut meter = ledger.meter(&bench.grant, &claims).unwrap();
    assert_eq!(passes(&mut meter, 2, 30 << 20).await, 1);
    let mut meter = ledger.meter(&bench.grant, &claims).unwrap();
    assert_eq!(passes(&mut meter, 2, 20 << 20).await, 1, "what is left serves a smaller row");
}
