//! What a store says there is, after each thing that changes it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{after, approve, noon, person, request, scope};
use crate::access::{AccessRequest, BreakGlass, Decision, NewRequest, Ruling};
use crate::store::{Filing, Store, Tally};

/// Whatever is there already, of requests that were filed at noon.
pub(super) async fn counts_what_there_is(store: &dyn Store) {
    let there = store.tally(after(30)).await.unwrap();
    let (approved, denied, withdrawn, left) = (request(1), request(1), request(1), request(1));
    for request in [&approved, &denied, &withdrawn, &left] {
        store.file(&request.clone().into()).await.unwrap();
    }
    let mut wanted = Tally { pending: there.pending + 4, ..there };
    assert_eq!(store.tally(after(30)).await.unwrap(), wanted);

    let (_, grant) = approve(store, &approved.id, "bob", after(20)).await.unwrap();
    let no = Ruling::of(Decision::Deny, Some("no".into()));
    store.decide(&denied.id, &person("bob", "dba"), no, after(20)).await.unwrap();
    store.withdraw(&withdrawn.id, &person("alice", "dev"), after(20)).await.unwrap();
    wanted.pending -= 3;
    wanted.approved += 1;
    wanted.denied += 1;
    wanted.withdrawn += 1;
    wanted.grants_live += 1;
    assert_eq!(store.tally(after(30)).await.unwrap(), wanted);
    let before_it_begins = store.tally(after(19)).await.unwrap();
    assert!(before_it_begins.grants_live <= there.grants_live, "{before_it_begins:?}");

    store.revoke(&grant.unwrap().id, "carol", None, after(25)).await.unwrap();
    wanted.grants_live -= 1;
    assert_eq!(store.tally(after(30)).await.unwrap(), wanted);

    counts_emergencies(store, wanted).await;
}

async fn counts_emergencies(store: &dyn Store, mut wanted: Tally) {
    let filing = emergency();
    store.file(&filing).await.unwrap();
    wanted.approved += 1;
    wanted.grants_live += 1;
    wanted.break_glass_live += 1;
    wanted.reviews_open += 1;
    assert_eq!(store.tally(after(30)).await.unwrap(), wanted);
    wanted.reviews_overdue += 1;
    assert_eq!(store.tally(after(60)).await.unwrap(), wanted);

    let grant = filing.grant.unwrap().id;
    store.close_review(&grant, &person("bob", "dba"), "it had to be", after(61)).await.unwrap();
    wanted.reviews_open -= 1;
    wanted.reviews_overdue -= 1;
    assert_eq!(store.tally(after(62)).await.unwrap(), wanted);

    // A day later everything that was pending has expired, and every grant has ended, whoever has written that down.
    let later = store.tally(after(25 * 3600)).await.unwrap();
    let expired = wanted.expired + wanted.pending;
    assert_eq!(later, Tally { pending: 0, expired, grants_live: 0, break_glass_live: 0, ..wanted });
}

/// A scope opened at once, to be reviewed within a minute.
fn emergency() -> Filing {
    let rules = BreakGlass {
        who: scope(1).requesters,
        max_duration: Duration::from_secs(600),
        alert: Vec::new(),
        review_within: Duration::from_secs(60),
    };
    let mut opened = scope(1);
    opened.rules.break_glass = Some(rules);
    let new =
        NewRequest { reason: "the site is down".into(), duration: Duration::from_secs(600), ..NewRequest::default() };
    let (request, grant, review) = AccessRequest::break_glass(person("alice", "dev"), opened, new, noon()).unwrap();
    Filing { request, grant: Some(grant), review: Some(review) }
}
