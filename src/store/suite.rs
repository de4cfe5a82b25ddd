//! What every store must do, as one suite over `&dyn Store`, so that each implementation is held to the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod counting;
mod using;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::retention::{Hold, Relation};

use super::{Credential, MAX_CREDENTIALS, SharedStore, Store, StoreError, Wanted};
use crate::access::{
    AccessRequest, Amount, ApprovalRefused, Decision, ExportLimit, GrantId, NewRequest, ObjectPattern, Operation,
    OperationSet, Principal, Privilege, Region, RequestId, RequestState, Ruling, Scope, Subject,
};

/// An instant with nanoseconds, so that a store that rounds is found out.
pub(super) fn noon() -> Timestamp {
    "2026-03-01T12:00:00.123456789Z".parse().unwrap()
}

pub(super) fn after(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

pub(super) fn person(name: &str, group: &str) -> Principal {
    Principal { name: name.into(), groups: vec![group.into()], region: Some(Region::new("us")) }
}

pub(super) fn scope(approvals: u32) -> Scope {
    Scope {
        name: "orders-read".into(),
        database: "shop".into(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::Group("dba".into()), Subject::User("alice".into())],
        approvals,
        max_duration: Duration::from_secs(3600),
        guards: crate::access::Guards { row_limit: Some(10), ..crate::access::Guards::default() },
        rules: crate::access::Rules::default(),
        allow: vec![Privilege {
            on: vec![ObjectPattern::parse("public.orders").unwrap()],
            columns: Some(vec!["id".into()]),
            operations: OperationSet::of(&[Operation::Select]),
            functions: vec![],
        }],
    }
}

pub(super) fn request(approvals: u32) -> AccessRequest {
    let new = NewRequest {
        reason: "a customer's \"refund\" \u{1F4B8}".into(),
        ticket: Some("T-1".into()),
        duration: Duration::new(1800, 7),
        ..NewRequest::default()
    };
    AccessRequest::file(person("alice", "dev"), scope(approvals), new, noon()).unwrap()
}

pub(super) async fn approve(
    store: &dyn Store,
    id: &RequestId,
    by: &str,
    now: Timestamp,
) -> Result<(AccessRequest, Option<crate::access::Grant>), StoreError> {
    store.decide(id, &person(by, "dba"), Ruling::of(Decision::Approve, None), now).await
}

pub(super) fn everything() -> Wanted {
    Box::new(|_, _| true)
}

pub(super) async fn requests(store: &dyn Store, now: Timestamp) -> Vec<AccessRequest> {
    let listed = store.list_requests(everything(), None, usize::MAX, now).await.unwrap();
    listed.into_iter().map(|(request, _)| request).collect()
}

pub(super) async fn grants(store: &dyn Store) -> Vec<crate::access::Grant> {
    store.list_grants(everything(), None, usize::MAX).await.unwrap()
}

/// Runs everything on a store that is empty.
pub(super) async fn run(store: SharedStore) {
    assert_eq!(store.latest_instant().await.unwrap(), None);
    store.ping().await.unwrap();
    keeps_requests(&*store).await;
    one_approval_makes_a_grant(&*store).await;
    wants_distinct_approvers(&*store).await;
    refuses_who_may_not_decide(&*store).await;
    denies_withdraws_expires(&*store).await;
    revokes_once(&*store).await;
    lists_open_grants(&*store).await;
    lists_the_newest_that_are_wanted(&*store).await;
    counting::counts_what_there_is(&*store).await;
    caps_credentials(&*store).await;
    knows_the_latest_instant(&*store).await;
    never_lets_more_leave_than_may(Arc::clone(&store)).await;
    using::never_runs_more_often_than_may(Arc::clone(&store)).await;
    keeps_holds_until_they_are_released(&*store).await;
    two_approvers_at_once(store).await;
}

async fn keeps_holds_until_they_are_released(store: &dyn Store) {
    let hold = |id: &str, database: &str, rows: Option<&str>, at: i64| Hold {
        id: id.to_owned(),
        database: database.to_owned(),
        on: Relation::new("public", "odd \"name\""),
        rows: rows.map(str::to_owned),
        reason: "case 12".to_owned(),
        by: "bob".to_owned(),
        placed: after(at),
    };
    let [all, some, other] =
        [hold("dh_2", "shop", None, 1), hold("dh_1", "shop", Some("id = 1"), 2), hold("dh_3", "crm", None, 3)];
    for one in [&some, &other, &all] {
        store.place_data_hold(one).await.unwrap();
    }
    assert!(matches!(store.place_data_hold(&all).await, Err(StoreError::Failed(_))), "an id is one hold's");
    assert_eq!(store.data_holds(Some("shop")).await.unwrap(), [all.clone(), some.clone()], "oldest first");
    assert_eq!(store.data_holds(None).await.unwrap().len(), 3);
    assert_eq!(store.release_data_hold("dh_2", after(9)).await.unwrap(), all);
    assert!(matches!(store.release_data_hold("dh_2", after(10)).await, Err(StoreError::NotFound(_))), "once");
    assert_eq!(store.data_holds(Some("shop")).await.unwrap(), [some]);
    assert_eq!(store.data_holds(None).await.unwrap().len(), 2);
}

async fn keeps_requests(store: &dyn Store) {
    let mut full = request(1);
    full.starts = Some(after(60));
    full.statement = Some("SELECT 1".into());
    store.file(&full.clone().into()).await.unwrap();
    let kept = store.request(&full.id).await.unwrap();
    assert_eq!(kept, full);
    assert_eq!(kept.digest(), full.digest());
    assert!(matches!(store.file(&full.clone().into()).await, Err(StoreError::Failed(_))), "an id is filed once");
    assert_eq!(requests(store, noon()).await, [full]);
    let nobody = RequestId::from_text("req_none");
    assert!(matches!(store.request(&nobody).await, Err(StoreError::NotFound("request"))));
    assert!(matches!(approve(store, &nobody, "bob", noon()).await, Err(StoreError::NotFound("request"))));
    assert_eq!(store.grant_of_request(&nobody).await.unwrap(), None);
    assert!(matches!(store.grant(&GrantId::from_text("gr_none")).await, Err(StoreError::NotFound("grant"))));
}

async fn one_approval_makes_a_grant(store: &dyn Store) {
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let (decided, grant) = approve(store, &filed.id, "bob", after(5)).await.unwrap();
    let grant = grant.unwrap();
    assert_eq!(decided.state, RequestState::Approved);
    assert_eq!(store.request(&filed.id).await.unwrap(), decided);
    assert_eq!(grant.approvers, ["bob"]);
    assert_eq!((grant.not_before, grant.expires_at), (after(5), after(5) + filed.duration));
    assert_eq!(store.grant(&grant.id).await.unwrap(), grant);
    assert_eq!(store.grant_of_request(&filed.id).await.unwrap(), Some(grant));
    let again = approve(store, &filed.id, "carol", after(6)).await;
    assert!(matches!(again, Err(StoreError::Refused(ApprovalRefused::NotPending(RequestState::Approved)))));
}

async fn wants_distinct_approvers(store: &dyn Store) {
    let filed = request(3);
    store.file(&filed.clone().into()).await.unwrap();
    assert_eq!(approve(store, &filed.id, "bob", after(1)).await.unwrap().1, None);
    let twice = approve(store, &filed.id, "bob", after(2)).await;
    assert!(matches!(twice, Err(StoreError::Refused(ApprovalRefused::AlreadyDecided))));
    assert_eq!(approve(store, &filed.id, "carol", after(3)).await.unwrap().1, None);
    assert_eq!(store.request(&filed.id).await.unwrap().approvals.len(), 2);
    let (_, grant) = approve(store, &filed.id, "dave", after(4)).await.unwrap();
    assert_eq!(grant.unwrap().approvers, ["bob", "carol", "dave"]);
}

async fn refuses_who_may_not_decide(store: &dyn Store) {
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    // Alice is among the approvers by name, and still may not approve what she asked for.
    let own = approve(store, &filed.id, "alice", after(1)).await;
    assert!(matches!(own, Err(StoreError::Refused(ApprovalRefused::OwnRequest))));
    let outsider = store.decide(&filed.id, &person("eve", "dev"), Ruling::of(Decision::Approve, None), after(1)).await;
    assert!(matches!(outsider, Err(StoreError::Refused(ApprovalRefused::NotApprover(_)))));
    assert_eq!(store.request(&filed.id).await.unwrap(), filed, "a refusal leaves no trace");
}

async fn denies_withdraws_expires(store: &dyn Store) {
    let denied = request(1);
    store.file(&denied.clone().into()).await.unwrap();
    let note = Some("no ticket".to_owned());
    let (after_denial, grant) = store
        .decide(&denied.id, &person("bob", "dba"), Ruling::of(Decision::Deny, note.clone()), after(1))
        .await
        .unwrap();
    assert_eq!((after_denial.state, grant), (RequestState::Denied, None));
    let kept = store.request(&denied.id).await.unwrap();
    assert_eq!((kept.state, &kept.approvals[0].note), (RequestState::Denied, &note));

    let withdrawn = request(1);
    store.file(&withdrawn.clone().into()).await.unwrap();
    let others = store.withdraw(&withdrawn.id, &person("bob", "dba"), after(1)).await;
    assert!(matches!(others, Err(StoreError::NotFound("request of yours"))));
    let taken_back = store.withdraw(&withdrawn.id, &person("alice", "dev"), after(1)).await.unwrap();
    assert_eq!(taken_back.state, RequestState::Withdrawn);
    let again = store.withdraw(&withdrawn.id, &person("alice", "dev"), after(2)).await;
    assert!(matches!(again, Err(StoreError::NotPending)));
    assert!(matches!(approve(store, &withdrawn.id, "bob", after(2)).await, Err(StoreError::Refused(_))));

    let waiting = request(1);
    store.file(&waiting.clone().into()).await.unwrap();
    let day = 24 * 3600;
    let state = |requests: Vec<AccessRequest>| requests.into_iter().find(|r| r.id == waiting.id).unwrap().state;
    assert_eq!(state(requests(store, after(day - 1)).await), RequestState::Pending);
    let late = approve(store, &waiting.id, "bob", after(day)).await;
    assert!(matches!(late, Err(StoreError::Refused(ApprovalRefused::NotPending(RequestState::Expired)))));
    assert_eq!(state(requests(store, after(day)).await), RequestState::Expired);
    assert_eq!(store.request(&waiting.id).await.unwrap().state, RequestState::Expired, "stored by the listing");
}

async fn revokes_once(store: &dyn Store) {
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let grant = approve(store, &filed.id, "bob", noon()).await.unwrap().1.unwrap();
    let revoked = store.revoke(&grant.id, "carol", Some("leak".into()), after(9)).await.unwrap();
    assert_eq!(revoked.revocation.as_ref().map(|r| (r.at, r.by.as_str())), Some((after(9), "carol")));
    assert_eq!(store.grant(&grant.id).await.unwrap(), revoked);
    assert!(matches!(store.revoke(&grant.id, "dave", None, after(10)).await, Err(StoreError::GrantEnded)));
    let missing = store.revoke(&GrantId::from_text("gr_none"), "carol", None, after(9)).await;
    assert!(matches!(missing, Err(StoreError::NotFound("grant"))));

    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let grant = approve(store, &filed.id, "bob", noon()).await.unwrap().1.unwrap();
    let late = store.revoke(&grant.id, "carol", None, grant.expires_at).await;
    assert!(matches!(late, Err(StoreError::GrantEnded)), "an expired grant is over already");
}

async fn lists_open_grants(store: &dyn Store) {
    let mut later = request(1);
    later.starts = Some(after(600));
    store.file(&later.clone().into()).await.unwrap();
    let grant = approve(store, &later.id, "bob", noon()).await.unwrap().1.unwrap();
    let open = |now| async move { store.list_grants(everything(), Some(now), usize::MAX).await.unwrap() };
    assert!(open(noon()).await.contains(&grant), "one still to come is open");
    assert!(open(after(600)).await.contains(&grant));
    assert!(!open(grant.expires_at).await.contains(&grant), "the end is exclusive");
    store.revoke(&grant.id, "bob", None, after(1)).await.unwrap();
    assert!(open(noon()).await.iter().all(|open| open.id != grant.id), "a revoked one is not");
    let all = grants(store).await;
    assert_eq!(all.last().map(|last| &last.id), Some(&grant.id), "the listing of all has it, newest last");
}

async fn lists_the_newest_that_are_wanted(store: &dyn Store) {
    let mut own = Vec::new();
    for number in 0..3 {
        for name in ["frank", "grace"] {
            let filed = AccessRequest { principal: person(name, "dev"), created_at: after(number), ..request(1) };
            store.file(&filed.clone().into()).await.unwrap();
            let (filed, grant) = approve(store, &filed.id, "bob", after(3)).await.unwrap();
            own.extend(grant.filter(|_| name == "frank").map(|grant| (filed, Some(grant))));
        }
    }
    let pending = AccessRequest { principal: person("frank", "dev"), ..request(1) };
    store.file(&pending.clone().into()).await.unwrap();
    let franks = || -> Wanted { Box::new(|principal, scope| principal == "frank" && scope.name == "orders-read") };
    let approved = Some(RequestState::Approved);
    assert_eq!(store.list_requests(franks(), approved, 10, after(4)).await.unwrap(), own, "oldest first");
    assert_eq!(store.list_requests(franks(), approved, 2, after(4)).await.unwrap(), own[1..], "the newest");
    assert_eq!(store.list_requests(franks(), None, 10, after(4)).await.unwrap().len(), 4);
    let expired = Some(RequestState::Expired);
    assert_eq!(store.list_requests(franks(), expired, 10, after(4)).await.unwrap(), []);
    assert_eq!(store.pending_requests("frank", after(4)).await.unwrap(), 1);
    assert_eq!(store.pending_requests("grace", after(4)).await.unwrap(), 0);
    let day = 24 * 3600;
    assert_eq!(store.pending_requests("frank", after(day)).await.unwrap(), 0, "it has run out");
    assert_eq!(store.list_requests(franks(), expired, 10, after(day)).await.unwrap()[0].0.id, pending.id);

    let own: Vec<_> = own.into_iter().filter_map(|(_, grant)| grant).collect();
    assert_eq!(store.list_grants(franks(), Some(after(4)), 2).await.unwrap(), own[1..]);
    let revoked = store.revoke(&own[2].id, "bob", None, after(5)).await.unwrap();
    assert_eq!(store.list_grants(franks(), Some(after(6)), 2).await.unwrap(), own[..2], "one that is over makes room");
    assert_eq!(store.list_grants(franks(), None, 2).await.unwrap(), [own[1].clone(), revoked]);
    assert_eq!(store.list_grants(Box::new(|_, _| false), None, 2).await.unwrap(), []);
}

async fn caps_credentials(store: &dyn Store) {
    let minted = |number: i64, database: &str, until| Credential {
        principal: "alice".into(),
        database: database.into(),
        verifier: format!("SCRAM-SHA-256$4096:{number}"),
        created_at: after(number),
        expires_at: until,
    };
    let newest = i64::try_from(MAX_CREDENTIALS).unwrap() + 3;
    for number in 0..newest {
        store.add_credential(&minted(number, "shop", after(1000))).await.unwrap();
    }
    store.add_credential(&minted(0, "other", after(500))).await.unwrap();
    let held = store.credentials("alice", "shop", after(20)).await.unwrap();
    assert_eq!(held.len(), MAX_CREDENTIALS);
    assert_eq!(held[0], minted(newest - 1, "shop", after(1000)), "newest first");
    assert_eq!(store.credentials("alice", "other", after(20)).await.unwrap().len(), 1, "the cap is by database");
    assert_eq!(store.credentials("alice", "shop", after(1000)).await.unwrap(), []);
    assert_eq!(store.credentials("bob", "shop", after(20)).await.unwrap(), []);
    store.add_credential(&minted(1000, "shop", after(2000))).await.unwrap();
    assert_eq!(store.credentials("alice", "shop", after(20)).await.unwrap().len(), 1, "expired ones were dropped");
}

async fn knows_the_latest_instant(store: &dyn Store) {
    assert_eq!(store.latest_instant().await.unwrap(), Some(after(1000)));
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let grant = approve(store, &filed.id, "bob", after(2000)).await.unwrap().1.unwrap();
    assert_eq!(store.latest_instant().await.unwrap(), Some(after(2000)));
    store.revoke(&grant.id, "bob", None, after(2001)).await.unwrap();
    assert_eq!(store.latest_instant().await.unwrap(), Some(after(2001)));
}

/// However many processes take from one allowance at once, they get no more than it together.
async fn never_lets_more_leave_than_may(store: SharedStore) {
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let grant = approve(&*store, &filed.id, "bob", after(2000)).await.unwrap().1.unwrap().id;
    let amount = |rows, bytes| Amount { rows, bytes };
    let limit = ExportLimit { rows: Some(100), bytes: Some(5_000) };
    assert_eq!(store.exported(&grant).await.unwrap(), []);
    let first = store.reserve_export(&grant, "region eu", amount(30, 4_000), limit).await.unwrap();
    assert_eq!((first.taken, first.total), (amount(30, 4_000), amount(30, 4_000)));
    let second = store.reserve_export(&grant, "region eu", amount(30, 4_000), limit).await.unwrap();
    assert_eq!((second.taken, second.total), (amount(30, 1_000), amount(60, 5_000)), "what is left of each");
    store.release_export(&grant, "region eu", amount(20, 1_000)).await.unwrap();
    assert_eq!(store.exported(&grant).await.unwrap(), [("region eu".to_owned(), amount(40, 4_000))]);
    let unbounded = ExportLimit { rows: Some(10), bytes: None };
    let other = store.reserve_export(&grant, "data eu.*", amount(50, u64::MAX), unbounded).await.unwrap();
    assert_eq!(other.taken.rows, 10, "each rule counts by itself");
    let tasks = (0..8).map(|_| {
        let (store, grant) = (Arc::clone(&store), grant.clone());
        tokio::spawn(async move { store.reserve_export(&grant, "region eu", amount(13, 1), limit).await.unwrap() })
    });
    let mut taken = Amount::default();
    for task in tasks.collect::<Vec<_>>() {
        taken = taken.plus(task.await.unwrap().taken);
    }
    assert_eq!(taken, amount(60, 8));
    let nobody = GrantId::from_text("gr_none");
    assert!(store.reserve_export(&nobody, "region eu", amount(1, 1), limit).await.is_err(), "only grants have counts");
}

/// However two approvers' decisions interleave, one request makes one grant.
async fn two_approvers_at_once(store: SharedStore) {
    for _ in 0..20 {
        let filed = request(1);
        store.file(&filed.clone().into()).await.unwrap();
        let tasks = ["bob", "carol", "dave"].map(|by| {
            let (store, id) = (Arc::clone(&store), filed.id.clone());
            tokio::spawn(async move { approve(&*store, &id, by, after(1)).await })
        });
        let mut grants = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok((_, grant)) => grants.push(grant.unwrap()),
                Err(StoreError::Refused(ApprovalRefused::NotPending(RequestState::Approved))) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(grants.len(), 1);
        assert_eq!(store.grant_of_request(&filed.id).await.unwrap().as_ref(), grants.first());
        assert_eq!(store.request(&filed.id).await.unwrap().approvals.len(), 1);
    }
}
