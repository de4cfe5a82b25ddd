//! Who may see and do what: one row for each user and thing.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Port, answer};

/// Every user of the directory.
const USERS: [&str; 6] = ["alice", "bob", "carol", "root", "eve", "billing"];

async fn check_posts(port: &Port, path: &str, body: Value, expected: [(&str, StatusCode); 6]) {
    for (user, status) in expected {
        let (answered, text) = port.post(path, user, body.clone()).await;
        assert_eq!(answered, status, "{user} {path}: {text}");
    }
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn requests_and_grants_are_seen_by_those_whom_they_concern() {
    let port = Port::open().await;
    let request = port.filed().await;
    let grant = port.granted().await;
    for user in USERS {
        let sees = matches!(user, "alice" | "bob" | "root");
        let (_, requests) = port.get("/v1/requests", user).await;
        assert_eq!(ids(&requests).contains(&request), sees, "{user}");
        let (status, _) = port.get(&format!("/v1/requests/{request}"), user).await;
        assert_eq!(status, if sees { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{user}");
        let (_, grants) = port.get("/v1/grants?all=true", user).await;
        assert_eq!(ids(&grants).contains(&grant), sees, "{user}");
    }
}

#[tokio::test]
async fn only_approvers_decide_and_never_on_their_own() {
    let port = Port::open().await;
    let request = port.filed().await;
    let (no, hidden, odd) = (StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::OK);
    for (act, body) in [("approve", json!({})), ("deny", json!({ "note": "no" }))] {
        let path = format!("/v1/requests/{request}/{act}");
        for (user, status) in [("alice", no), ("carol", hidden), ("root", no), ("eve", hidden), ("billing", hidden)] {
            assert_eq!(port.post(&path, user, body.clone()).await.0, status, "{user} {act}");
        }
    }
    // An approver who is a requester, too, does not decide on what they asked for.
    let mut both = crate::directory();
    both.scopes[0].requesters.push(pgward::access::Subject::User("bob".to_owned()));
    port.parts.directory.store(both.into());
    let (_, own) = port.post("/v1/requests", "bob", crate::orders_read()).await;
    let path = format!("/v1/requests/{}/approve", own["id"].as_str().unwrap());
    let (status, problem) = port.post(&path, "bob", json!({})).await;
    assert_eq!((status, problem["detail"].as_str().unwrap()), (no, "nobody decides on their own request"));
    assert_eq!(port.post(&path, "dora", json!({})).await.0, odd);
}

#[tokio::test]
async fn grants_are_revoked_by_admins_approvers_and_their_holders() {
    let port = Port::open().await;
    for (user, status) in [
        ("eve", StatusCode::NOT_FOUND),
        ("carol", StatusCode::NOT_FOUND),
        ("billing", StatusCode::NOT_FOUND),
        ("alice", StatusCode::OK),
        ("dora", StatusCode::OK),
        ("root", StatusCode::OK),
    ] {
        let grant = port.granted().await;
        let (answered, text) = port.post(&format!("/v1/grants/{grant}/revoke"), user, json!({})).await;
        assert_eq!(answered, status, "{user}: {text}");
    }
}

#[tokio::test]
async fn sessions_are_seen_and_ended_by_their_principal_and_admins() {
    let port = Port::open().await;
    for (user, sees) in [("alice", true), ("bob", false), ("carol", false), ("eve", false), ("root", true)] {
        let session = port.sessions.open("alice");
        let (_, listed) = port.get("/v1/sessions", user).await;
        assert_eq!(ids(&listed).contains(&session), sees, "{user}");
        let (status, _) = port.post(&format!("/v1/sessions/{session}/kill"), user, json!({ "reason": "x" })).await;
        assert_eq!(status, if sees { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{user}");
    }
    assert_eq!(port.events().await.iter().filter(|event| *event == "session_killed").count(), 2);
}

#[tokio::test]
async fn explain_is_for_oneself_admins_and_auditors() {
    let port = Port::open().await;
    let (ok, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
    let matrix = [("alice", ok), ("bob", no), ("carol", ok), ("root", ok), ("eve", no), ("billing", no)];
    let question = json!({ "database": "shop", "sql": "select 1", "user": "alice" });
    check_posts(&port, "/v1/explain", question, matrix).await;
    let (_, own) = port.post("/v1/explain", "eve", json!({ "database": "shop", "sql": "select 1" })).await;
    assert_eq!((&own["verdict"], &own["detail"]), (&json!("allow"), &json!("eve")));
    for (body, status) in [
        (json!({ "database": "none", "sql": "select 1" }), StatusCode::NOT_FOUND),
        (json!({ "database": "shop", "sql": "select 1", "user": "nobody" }), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(port.post("/v1/explain", "root", body).await.0, status);
    }
}

#[tokio::test]
async fn scopes_are_listed_for_those_who_can_use_them() {
    let port = Port::open().await;
    for (user, scopes) in [("alice", 5), ("bob", 5), ("root", 5), ("carol", 0), ("eve", 0)] {
        let (_, listed) = port.get("/v1/scopes", user).await;
        assert_eq!(listed.as_array().unwrap().len(), scopes, "{user}");
    }
    let (_, listed) = port.get("/v1/scopes", "alice").await;
    assert_eq!((&listed[0]["may_request"], &listed[0]["may_approve"]), (&json!(true), &json!(false)));
    assert_eq!(
        listed[0]["allow"][0],
        json!({"on": ["public.orders"], "columns": null, "do": ["select"], "functions": []})
    );
    let (_, me) = port.get("/v1/whoami", "root").await;
    assert_eq!((&me["name"], &me["admin"], &me["auditor"]), (&json!("root"), &json!(true), &json!(false)));
    assert_eq!(me["databases"][0]["port"], 6432);
}

#[tokio::test]
async fn no_route_is_open_without_a_token() {
    let port = Port::open().await;
    let document = serde_json::to_value(pgward::control::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let url = format!("https://{}{}", port.address, path.replace("{id}", "x"));
            // A fresh limiter's worth of failures is less than there are routes.
            let (status, _) = answer(port.http.request(method, url)).await;
            assert!(matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS), "{path}: {status}");
        }
    }
}
