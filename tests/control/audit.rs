//! Reading the journal through the control port.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Port;

#[tokio::test]
async fn auditors_read_all_and_others_what_concerns_themselves() {
    let port = Port::open().await;
    port.granted().await;
    let principals = async |user: &str, query: &str| -> Vec<Value> {
        let records = port.lines(&format!("/v1/audit/search{query}"), user).await;
        records.into_iter().map(|record| record["principal"].clone()).collect()
    };
    port.post("/v1/credentials", "billing", json!({ "database": "shop" })).await;
    let all = principals("carol", "").await;
    assert!(all.contains(&json!("alice")) && all.contains(&json!("billing")), "{all:?}");
    assert_eq!(principals("alice", "").await, vec![json!("alice"); 3]);
    assert_eq!(principals("alice", "?principal=alice&limit=1").await, [json!("alice")]);
    assert_eq!(principals("billing", "").await, [json!("billing")]);
    let more = async |query: &str| {
        let path = format!("/v1/audit/search{query}");
        let response = port.call(Method::GET, &path, "carol").send().await.unwrap();
        response.headers().contains_key(pgward::control::api::MORE_HEADER)
    };
    assert!(more("?limit=1").await && more("?limit=0").await && !more("").await);
    assert!(principals("carol", "?limit=0").await.is_empty());
    assert!(principals("eve", "").await.is_empty());
    // Neither approvers nor administrators are auditors.
    assert!(principals("bob", "").await.is_empty());
    assert!(principals("root", "").await.is_empty());
    for user in ["eve", "root"] {
        assert_eq!(port.get("/v1/audit/search?principal=alice", user).await.0, StatusCode::FORBIDDEN);
    }
    assert_eq!(port.get("/v1/audit/search?nonsense=1", "carol").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_story_is_told_to_those_who_may_read_it() {
    let port = Port::open().await;
    port.granted().await;
    let records = port.lines("/v1/audit/search", "carol").await;
    let created = records.iter().find(|record| record["event"] == "grant_created").unwrap();
    let path = format!("/v1/audit/records/{}", created["seq"]);
    for (user, status) in [("carol", StatusCode::OK), ("alice", StatusCode::OK), ("eve", StatusCode::NOT_FOUND)] {
        assert_eq!(port.get(&path, user).await.0, status, "{user}");
    }
    let (_, story) = port.get(&path, "alice").await;
    assert_eq!(story["other"][0]["event"], "grant_created");
    assert!(story["access"].as_array().unwrap().iter().any(|record| record["event"] == "request_filed"));
    assert_eq!(port.get("/v1/audit/records/999999", "carol").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_journal_is_proved() {
    let port = Port::open().await;
    port.granted().await;
    let (status, proof) = port.get("/v1/audit/verify", "eve").await;
    assert_eq!((status, &proof["ok"], &proof["first_bad"]), (StatusCode::OK, &json!(true), &json!(null)));
    assert!(proof["records"].as_u64().unwrap() >= 3);
}

#[tokio::test]
async fn tail_follows_and_ends_when_the_token_does() {
    let port = Port::open().await;
    port.filed().await;
    let tail = async |user: &str| {
        let response = port.call(Method::GET, "/v1/audit/tail", user).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response
    };
    let (mut auditor, mut eve) = (tail("carol").await, tail("eve").await);
    let grant = port.granted().await;
    let mut seen = String::new();
    while !seen.contains("grant_created") {
        seen.push_str(std::str::from_utf8(&auditor.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(seen.contains(&grant) && seen.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{seen}");

    let mut one = port.call(Method::GET, "/v1/audit/tail?limit=1", "carol").send().await.unwrap();
    port.granted().await;
    let mut only = String::new();
    while let Some(chunk) = one.chunk().await.unwrap() {
        only.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert_eq!(only.lines().count(), 1, "{only}");
    while auditor.chunk().await.unwrap().is_none_or(|chunk| !String::from_utf8_lossy(&chunk).contains("grant_created"))
    {
    }

    let mut without = crate::directory();
    without.users.retain(|user| user.principal.name != "carol");
    port.parts.directory.store(without.into());
    port.filed().await;
    let end = tokio::time::timeout(Duration::from_secs(20), auditor.chunk()).await.unwrap();
    // Over HTTP/2 the end may be an empty piece.
    assert!(end.unwrap().is_none_or(|piece| piece.is_empty()), "a follower whose token is gone hears no more");

    port.post("/v1/credentials", "eve", json!({ "database": "shop" })).await;
    let own = eve.chunk().await.unwrap().unwrap();
    let own: Value = serde_json::from_slice(&own).unwrap();
    assert_eq!((&own["event"], &own["principal"]), (&json!("credential_minted"), &json!("eve")));
}
