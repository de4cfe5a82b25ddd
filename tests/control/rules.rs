//! What scopes demand: further approvers, edits that void approvals, extensions, break-glass and its review.

use super::*;

fn ask(scope: &str, more: Value) -> Value {
    let mut body = json!({ "scope": scope, "duration_seconds": 600, "reason": "INC-1" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Files a request as alice, and answers it.
async fn file(port: &Port, scope: &str) -> Value {
    let (status, filed) = port.post("/v1/requests", "alice", ask(scope, json!({}))).await;
    assert_eq!(status, StatusCode::CREATED, "{filed}");
    filed
}

fn path(filed: &Value, act: &str) -> String {
    format!("/v1/requests/{}/{act}", filed["id"].as_str().unwrap())
}

#[tokio::test]
async fn each_rule_has_to_be_met_by_other_people() {
    let port = Port::open().await;
    let filed = file(&port, "pii-read").await;
    assert_eq!(filed["approvals_needed"], 2);
    assert_eq!(filed["labels"], json!(["pii"]));
    assert_eq!(filed["requirements"][1]["why"], "touches data labelled pii");
    assert_eq!(filed["you_may"], json!({ "approve": false, "deny": false, "withdraw": true, "edit": true }));
    // Paul is in both groups, and still one person.
    let (status, once) = port.post(&path(&filed, "approve"), "paul", json!({})).await;
    assert_eq!((status, &once["state"]), (StatusCode::OK, &json!("pending")), "{once}");
    let (status, _) = port.post(&path(&filed, "approve"), "paul", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (_, twice) = port.post(&path(&filed, "approve"), "bob", json!({})).await;
    assert_eq!(twice["state"], "approved", "{twice}");
    let given: Vec<&Value> = twice["requirements"].as_array().unwrap().iter().map(|one| &one["given"]).collect();
    assert_eq!(given, [&json!(["bob"]), &json!(["paul"])], "paul makes room for bob, who fits one place alone");
}

#[tokio::test]
async fn an_approval_speaks_of_what_was_shown() {
    let port = Port::open().await;
    let filed = file(&port, "orders-two").await;
    let (_, once) = port.post(&path(&filed, "approve"), "bob", json!({ "digest": filed["digest"] })).await;
    assert_eq!(once["requirements"][0]["given"], json!(["bob"]));
    let (status, edited) = port.post(&path(&filed, "edit"), "alice", json!({ "duration_seconds": 1200 })).await;
    assert_eq!((status, &edited["revision"]), (StatusCode::OK, &json!(1)), "{edited}");
    assert_eq!(edited["requirements"][0]["given"], json!([]));
    let stale = port.post(&path(&filed, "approve"), "dora", json!({ "digest": filed["digest"] })).await;
    assert_eq!(stale.0, StatusCode::CONFLICT, "{}", stale.1);
    let (_, dora) = port.post(&path(&filed, "approve"), "dora", json!({ "digest": edited["digest"] })).await;
    assert_eq!(dora["state"], "pending", "bob approved something else");
    let (_, bob) = port.post(&path(&filed, "approve"), "bob", json!({})).await;
    assert_eq!(bob["state"], "approved");
    let of_another = port.post(&path(&filed, "edit"), "eve", json!({ "reason": "mine" })).await;
    assert_eq!(of_another.0, StatusCode::NOT_FOUND);
    let too_late = port.post(&path(&filed, "edit"), "alice", json!({ "reason": "mine" })).await;
    assert_eq!(too_late.0, StatusCode::CONFLICT);
    let events = port.events().await;
    let told: Vec<&str> = events.iter().map(String::as_str).filter(|event| event.starts_with("request")).collect();
    assert_eq!(told, ["request_filed", "request_approved", "request_edited", "request_approved", "request_approved"]);
}

#[tokio::test]
async fn a_rule_approves_what_is_short_and_says_so() {
    let port = Port::open().await;
    let (_, short) = port.post("/v1/requests", "alice", ask("quick", json!({ "duration_seconds": 300 }))).await;
    assert_eq!((&short["state"], &short["origin"]), (&json!("approved"), &json!("rule")), "{short}");
    let (_, long) = port.post("/v1/requests", "alice", ask("quick", json!({ "duration_seconds": 301 }))).await;
    assert_eq!(long["state"], "pending");
    let records = port.lines("/v1/audit/search?event=grant_created", "carol").await;
    let detail = records[0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("approved by the scope's auto_approve"), "{detail}");
    let (status, problem) = port.post("/v1/requests", "alice", ask("ticketed", json!({}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["hint"], "name one: --ticket T");
    let ticketed = ask("ticketed", json!({ "ticket": "INC-1" }));
    assert_eq!(port.post("/v1/requests", "alice", ticketed).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_grant_is_prolonged_by_a_new_approval() {
    let port = Port::open().await;
    let grant = port.granted().await;
    let more = json!({ "duration_seconds": 900, "reason": "not done yet" });
    let foreign = port.post(&format!("/v1/grants/{grant}/extend"), "bob", more.clone()).await;
    assert_eq!(foreign.0, StatusCode::FORBIDDEN, "{}", foreign.1);
    let (status, filed) = port.post(&format!("/v1/grants/{grant}/extend"), "alice", more.clone()).await;
    assert_eq!((status, &filed["extends"]), (StatusCode::CREATED, &json!(grant)), "{filed}");
    let (_, approved) = port.post(&path(&filed, "approve"), "bob", json!({})).await;
    let (_, grants) = port.get("/v1/grants", "alice").await;
    let end = |id: &Value| {
        let found = grants.as_array().unwrap().iter().find(|grant| grant["id"] == *id).unwrap();
        found["expires_at"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let prolonged = end(&approved["grant"]["id"]).duration_since(end(&json!(grant)));
    assert_eq!(prolonged.as_secs(), 900);
    port.post(&format!("/v1/grants/{grant}/revoke"), "alice", json!({})).await;
    let over = port.post(&format!("/v1/grants/{grant}/extend"), "alice", more).await;
    assert_eq!(over.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_glass_is_broken_told_of_and_reviewed_by_somebody_else() {
    let port = Port::open().await;
    let emergency = json!({ "scope": "pii-read", "duration_seconds": 600, "reason": "the site is down" });
    let refused = port.post("/v1/break-glass", "eve", emergency.clone()).await;
    assert_eq!(refused.0, StatusCode::FORBIDDEN, "{}", refused.1);
    let (status, opened) = port.post("/v1/break-glass", "alice", emergency).await;
    assert_eq!((status, &opened["state"]), (StatusCode::CREATED, &json!("approved")), "{opened}");
    assert_eq!(opened["origin"], "break_glass");
    let grant = opened["grant"]["id"].as_str().unwrap();
    let told = port.lines("/v1/audit/search?event=break_glass_opened", "carol").await;
    let detail = told[0]["detail"].as_str().unwrap();
    assert!(detail.contains("told: @admins, @dba"), "{detail}");
    let (_, reviews) = port.get("/v1/reviews", "bob").await;
    assert_eq!((&reviews[0]["grant"]["id"], &reviews[0]["you_may_close"]), (&json!(grant), &json!(true)), "{reviews}");
    let close = format!("/v1/reviews/{grant}/close");
    let own = port.post(&close, "alice", json!({ "note": "all fine" })).await;
    assert_eq!(own.0, StatusCode::FORBIDDEN, "{}", own.1);
    assert_eq!(port.post(&close, "eve", json!({ "note": "fine" })).await.0, StatusCode::NOT_FOUND);
    assert_eq!(port.post(&close, "bob", json!({ "note": "" })).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, closed) = port.post(&close, "bob", json!({ "note": "it had to be" })).await;
    assert_eq!((status, &closed["closed"]["by"]), (StatusCode::OK, &json!("bob")), "{closed}");
    assert_eq!(port.post(&close, "dora", json!({ "note": "again" })).await.0, StatusCode::CONFLICT);
    assert_eq!(port.get("/v1/reviews", "bob").await.1, json!([]));
    let (_, all) = port.get("/v1/reviews?all=true", "bob").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert!(port.events().await.contains(&"review_closed".to_owned()));
}
