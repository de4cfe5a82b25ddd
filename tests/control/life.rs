//! A request's whole life, and what it leaves in the store, the journal and the sessions' view.

use reqwest::StatusCode;
use serde_json::json;

use crate::{Port, orders_read};

#[tokio::test]
async fn a_request_is_filed_approved_used_and_revoked() {
    let port = Port::open().await;
    let (status, request) = port.post("/v1/requests", "alice", orders_read()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!((&request["state"], &request["grant"]), (&json!("pending"), &json!(null)));
    assert_eq!(request["approvers"], json!(["@dba"]));
    let id = request["id"].as_str().unwrap();

    let mut watch = port.parts.grants.subscribe("alice", "shop");
    assert!(watch.borrow_and_update().grants.is_empty());
    let (status, approved) = port.post(&format!("/v1/requests/{id}/approve"), "bob", json!({ "note": "fine" })).await;
    assert_eq!((status, &approved["state"]), (StatusCode::OK, &json!("approved")));
    let grant = approved["grant"]["id"].as_str().unwrap();
    assert!(approved["grant"]["not_before"].is_string() && approved["grant"]["expires_at"].is_string());
    assert_eq!(watch.borrow_and_update().grants.len(), 1, "sessions are told before the approver is answered");

    let (_, grants) = port.get("/v1/grants", "alice").await;
    assert_eq!((&grants[0]["id"], &grants[0]["state"]), (&json!(grant), &json!("live")));
    assert_eq!(grants[0]["approvers"], json!(["bob"]));
    let (_, shown) = port.get(&format!("/v1/requests/{id}"), "alice").await;
    assert_eq!((&shown["grant"]["id"], &shown["decisions"][0]["note"]), (&json!(grant), &json!("fine")));

    let (status, revoked) = port.post(&format!("/v1/grants/{grant}/revoke"), "bob", json!({ "reason": "over" })).await;
    assert_eq!((status, &revoked["state"]), (StatusCode::OK, &json!("revoked")));
    assert!(watch.borrow_and_update().grants.is_empty(), "sessions are told before the revoker is answered");
    let (status, _) = port.post(&format!("/v1/grants/{grant}/revoke"), "bob", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(port.get("/v1/grants", "alice").await.1, json!([]));
    assert_eq!(port.get("/v1/grants?all=true", "alice").await.1[0]["revocation"]["by"], "bob");

    let events = port.events().await;
    let acts: Vec<&str> = events.iter().map(String::as_str).filter(|event| *event != "journal_opened").collect();
    assert_eq!(acts, ["request_filed", "request_approved", "grant_created", "grant_revoked", "access_refused"]);
}

#[tokio::test]
async fn two_people_have_to_approve_where_two_are_needed() {
    let port = Port::open().await;
    let mut wanted = orders_read();
    wanted["scope"] = json!("orders-two");
    let (_, request) = port.post("/v1/requests", "alice", wanted).await;
    let path = format!("/v1/requests/{}/approve", request["id"].as_str().unwrap());
    let (_, first) = port.post(&path, "bob", json!({})).await;
    assert_eq!((&first["state"], &first["grant"]), (&json!("pending"), &json!(null)));
    assert_eq!(port.post(&path, "bob", json!({})).await.0, StatusCode::CONFLICT);
    let (_, second) = port.post(&path, "dora", json!({})).await;
    assert_eq!(second["state"], "approved");
    assert!(second["grant"]["id"].is_string());
}

#[tokio::test]
async fn a_request_is_denied_with_a_note_or_withdrawn() {
    let port = Port::open().await;
    let id = port.filed().await;
    let deny = format!("/v1/requests/{id}/deny");
    assert_eq!(port.post(&deny, "bob", json!({})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, denied) = port.post(&deny, "bob", json!({ "note": "not today" })).await;
    assert_eq!((status, &denied["state"]), (StatusCode::OK, &json!("denied")));
    let (status, problem) = port.post(&format!("/v1/requests/{id}/approve"), "dora", json!({})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:pgward:problem:conflict")));

    let other = port.filed().await;
    let withdraw = format!("/v1/requests/{other}/withdraw");
    assert_eq!(port.post(&withdraw, "bob", json!({})).await.0, StatusCode::FORBIDDEN);
    let (status, withdrawn) = port.post(&withdraw, "alice", json!({})).await;
    assert_eq!((status, &withdrawn["state"]), (StatusCode::OK, &json!("withdrawn")));
    assert_eq!(port.post(&withdraw, "alice", json!({})).await.0, StatusCode::CONFLICT);
    let (_, pending) = port.get("/v1/requests?state=pending", "alice").await;
    assert_eq!(pending, json!([]));
}

#[tokio::test]
async fn what_left_the_configuration_is_no_longer_granted() {
    let port = Port::open().await;
    let id = port.filed().await;
    let path = format!("/v1/requests/{id}/approve");
    let mut changed = crate::directory();
    changed.scopes.retain(|scope| scope.name != "orders-read");
    port.parts.directory.store(changed.into());
    assert_eq!(port.post(&path, "bob", json!({})).await.0, StatusCode::CONFLICT);

    let mut changed = crate::directory();
    changed.users.retain(|user| user.principal.name != "alice");
    port.parts.directory.store(changed.into());
    assert_eq!(port.post(&path, "bob", json!({})).await.0, StatusCode::CONFLICT);

    let mut changed = crate::directory();
    changed.scopes[0].approvers = vec![pgward::access::Subject::User("dora".to_owned())];
    port.parts.directory.store(changed.into());
    assert_eq!(port.post(&path, "bob", json!({})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(port.post(&path, "dora", json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn requests_are_checked() {
    let port = Port::open().await;
    let check = async |user: &str, change: serde_json::Value, status: StatusCode| {
        let mut wanted = orders_read();
        for (name, value) in change.as_object().unwrap() {
            wanted[name] = value.clone();
        }
        let (answered, problem) = port.post("/v1/requests", user, wanted).await;
        assert_eq!(answered, status, "{user} {change}: {problem}");
    };
    check("alice", json!({ "scope": "nonsense" }), StatusCode::NOT_FOUND).await;
    check("eve", json!({}), StatusCode::FORBIDDEN).await;
    check("bob", json!({}), StatusCode::FORBIDDEN).await;
    check("alice", json!({ "duration_seconds": 3601 }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "duration_seconds": 0 }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "reason": "  " }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "reason": "\u{1b}[31m" }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "starts": "2020-01-01T00:00:00Z" }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "statement": " " }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "approvals": 0 }), StatusCode::UNPROCESSABLE_ENTITY).await;
    check("alice", json!({ "principal": "bob" }), StatusCode::UNPROCESSABLE_ENTITY).await;
    let mut long = orders_read();
    long["duration_seconds"] = json!(5400);
    let (_, problem) = port.post("/v1/requests", "alice", long).await;
    assert_eq!(problem["detail"], "at most 1h may be asked for scope \"orders-read\"");
    let events = port.events().await;
    assert!(!events.iter().any(|event| event == "request_filed"), "{events:?}");
}

#[tokio::test]
async fn nothing_is_done_that_cannot_be_recorded() {
    let port = Port::open().await;
    let id = port.filed().await;
    let grant = port.granted().await;
    let session = port.sessions.open("alice");
    port.parts.journal.close().await.unwrap();
    for (path, user, body) in [
        ("/v1/requests".to_owned(), "alice", orders_read()),
        (format!("/v1/requests/{id}/approve"), "bob", json!({})),
        (format!("/v1/requests/{id}/deny"), "bob", json!({ "note": "no" })),
        (format!("/v1/requests/{id}/withdraw"), "alice", json!({})),
        (format!("/v1/grants/{grant}/revoke"), "bob", json!({})),
        (format!("/v1/sessions/{session}/kill"), "alice", json!({})),
        ("/v1/credentials".to_owned(), "alice", json!({ "database": "shop" })),
    ] {
        let (status, problem) = port.post(&path, user, body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {problem}");
    }
    let (_, requests) = port.get("/v1/requests", "alice").await;
    assert_eq!(requests.as_array().unwrap().len(), 2);
    assert_eq!(requests[0]["state"], "pending");
    assert_eq!(port.get("/v1/grants", "alice").await.1[0]["state"], "live");
    assert_eq!(port.get("/v1/sessions", "alice").await.1.as_array().unwrap().len(), 1);
    let now = port.parts.clock.now();
    assert!(port.parts.store.credentials("alice", "shop", now).await.unwrap().is_empty());
    assert_eq!(port.get("/readyz", "alice").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn credentials_share_a_salt_and_are_kept_as_verifiers_only() {
    let port = Port::open().await;
    let mint = async |user: &str| {
        let (status, minted) = port.post("/v1/credentials", user, json!({ "database": "shop" })).await;
        assert_eq!(status, StatusCode::CREATED, "{minted}");
        minted
    };
    let (first, second) = (mint("alice").await, mint("alice").await);
    assert_ne!(first["password"], second["password"]);
    let password = first["password"].as_str().unwrap();
    assert_eq!(
        first["dsn"].as_str().unwrap(),
        format!("postgresql://alice:{password}@127.0.0.1:6432/shop?sslmode=verify-full")
    );
    let stored = port.parts.store.credentials("alice", "shop", port.parts.clock.now()).await.unwrap();
    let salt = |verifier: &str| verifier.split('$').nth(1).unwrap().to_owned();
    assert_eq!(stored.len(), 2);
    assert_eq!(salt(&stored[0].verifier), salt(&stored[1].verifier));

    mint("billing").await;
    let stable = crate::derive("billing", "x", None).unwrap();
    let stored = port.parts.store.credentials("billing", "shop", port.parts.clock.now()).await.unwrap();
    assert_ne!(salt(&stored[0].verifier), salt(&stable));

    let (status, _) = port.post("/v1/credentials", "alice", json!({ "database": "other" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let records = port.lines("/v1/audit/search", "carol").await;
    assert!(!records.iter().any(|record| record.to_string().contains(password)));
    assert!(records.iter().any(|record| record["event"] == "credential_minted" && record["database"] == "shop"));
}

#[tokio::test]
async fn the_journal_holds_no_secret_of_a_statement() {
    let port = Port::open().await;
    let mut wanted = orders_read();
    wanted["statement"] = json!("alter role bob password 'hunter2'");
    let (_, request) = port.post("/v1/requests", "alice", wanted).await;
    let path = format!("/v1/requests/{}/approve", request["id"].as_str().unwrap());
    assert_eq!(port.post(&path, "bob", json!({})).await.0, StatusCode::OK);
    let records = port.lines("/v1/audit/search", "carol").await;
    let statements: Vec<&str> = records.iter().filter_map(|record| record["statement"].as_str()).collect();
    assert_eq!(statements.len(), 3);
    assert!(statements.iter().all(|statement| statement.contains("alter role bob") && !statement.contains("hunter2")));
}
