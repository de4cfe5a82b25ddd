//! Listings where there are thousands: the newest that the caller may see, and one's own among all others.

use reqwest::StatusCode;
use serde_json::json;

use super::{Port, orders_read};

/// Many more than a listing has.
const MANY: usize = 5_000;
const LISTED: usize = 500;

/// Copies of the one request and its grant, as if others had asked: half of the grants are over.
fn multiply(port: &Port) {
    let store = rusqlite::Connection::open(port.dir.path().join("pgward.db")).unwrap();
    let counted =
        format!("WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {MANY})");
    let sql = format!(
        "BEGIN;
         {counted} INSERT INTO requests (id, principal, groups, home_region, database, scope_name, scope, reason, ticket,
                                         duration, starts, statement, state, created_at)
           SELECT printf('req_%06d', n), 'other' || n, groups, home_region, database, scope_name, scope, reason, ticket,
                  duration, starts, statement, iif(n % 10 = 0, 'denied', state), created_at + n
           FROM (SELECT * FROM requests LIMIT 1), counted;
         {counted} INSERT INTO grants (id, request, principal, database, scope_name, scope, statement, reason, ticket,
                                       approvers, not_before, expires_at)
           SELECT printf('gr_%06d', n), printf('req_%06d', n), 'other' || n, database, scope_name, scope, statement, reason,
                  ticket, approvers, not_before, iif(n % 2 = 0, not_before + 1, expires_at + n)
           FROM (SELECT * FROM grants LIMIT 1), counted;
         COMMIT;"
    );
    store.execute_batch(&sql).unwrap();
}

async fn ids(port: &Port, path: &str, user: &str) -> Vec<String> {
    let (status, listed) = port.get(path, user).await;
    assert_eq!(status, StatusCode::OK, "{listed}");
    listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// The newest, oldest first, of those whose number meets the condition.
fn newest(prefix: &str, is_meant: impl Fn(usize) -> bool) -> Vec<String> {
    let mut ids: Vec<_> =
        (1..=MANY).rev().filter(|n| is_meant(*n)).take(LISTED).map(|n| format!("{prefix}{n:06}")).collect();
    ids.reverse();
    ids
}

#[tokio::test]
async fn the_newest_of_thousands_are_listed_and_ones_own_among_them() {
    let port = Port::open().await;
    let own = port.granted().await;
    multiply(&port);
    assert_eq!(
        ids(&port, "/v1/grants", "alice").await,
        std::slice::from_ref(&own),
        "her own, which is the oldest of all"
    );
    assert_eq!(ids(&port, "/v1/grants?all=true", "alice").await, std::slice::from_ref(&own));
    assert_eq!(ids(&port, "/v1/grants", "bob").await, newest("gr_", |n| n % 2 == 1), "those that are not over");
    assert_eq!(ids(&port, "/v1/grants?all=true", "bob").await, newest("gr_", |_| true));
    assert!(ids(&port, "/v1/grants?all=true", "eve").await.is_empty());

    assert_eq!(ids(&port, "/v1/requests", "alice").await.len(), 1);
    assert_eq!(ids(&port, "/v1/requests", "bob").await, newest("req_", |_| true));
    assert_eq!(ids(&port, "/v1/requests?state=denied", "bob").await, newest("req_", |n| n % 10 == 0));
    assert!(ids(&port, "/v1/requests?state=pending", "bob").await.is_empty());
    let (_, listed) = port.get("/v1/requests", "bob").await;
    let last = listed.as_array().unwrap().last().unwrap();
    assert_eq!(last["grant"]["id"], format!("gr_{MANY:06}"), "with the grant that came of it");

    // What is new is asked for, approved, listed and revoked as ever.
    let (status, filed) = port.post("/v1/requests", "alice", orders_read()).await;
    assert_eq!(status, StatusCode::CREATED, "{filed}");
    let id = filed["id"].as_str().unwrap();
    assert_eq!(ids(&port, "/v1/requests?state=pending", "bob").await, [id]);
    let (status, approved) = port.post(&format!("/v1/requests/{id}/approve"), "bob", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{approved}");
    let new = approved["grant"]["id"].as_str().unwrap();
    assert_eq!(ids(&port, "/v1/grants", "bob").await.last().map(String::as_str), Some(new));
    let (status, _) = port.post(&format!("/v1/grants/{own}/revoke"), "bob", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ids(&port, "/v1/grants", "alice").await, [new]);
    assert_eq!(ids(&port, "/v1/grants?all=true", "alice").await, [own.as_str(), new]);
}
