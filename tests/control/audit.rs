//! Reading the journal through the control port.

use std::time::Duration;

use jiff::Timestamp;
use pgward::access::SessionId;
use pgward::audit::{EndedBy, Event, Record, RecordedVerdict};
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
async fn browsers_follow_by_server_sent_events_and_go_on_where_they_were_cut_off() {
    let port = Port::open().await;
    port.filed().await;
    // Its first `count` events, by their numbers.
    let follow = async |behind: Option<u64>, count: usize| {
        let mut call = port.call(Method::GET, "/v1/audit/tail?last=1", "carol").header("accept", "text/event-stream");
        if let Some(seq) = behind {
            call = call.header("last-event-id", seq);
        }
        let mut answer = call.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        while text.matches("\n\n").count() < count {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
        let events = text.split_terminator("\n\n").map(|event| {
            let (id, data) = event.split_once('\n').unwrap();
            let record: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(id, format!("id: {}", record["seq"]));
            record["seq"].as_u64().unwrap()
        });
        events.take(count).collect::<Vec<_>>()
    };
    let newest = follow(None, 1).await;
    assert_eq!(newest.len(), 1, "with the newest that is there");
    port.granted().await;
    let missed = follow(Some(newest[0]), 2).await;
    assert_eq!(missed, [newest[0] + 1, newest[0] + 2], "nothing is left out between");
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
    // HTTP/2 may end with an empty piece.
    let end = async {
        while let Some(chunk) = auditor.chunk().await.unwrap() {
            assert!(chunk.is_empty(), "a follower whose token is gone hears no more");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();

    port.post("/v1/credentials", "eve", json!({ "database": "shop" })).await;
    let own = eve.chunk().await.unwrap().unwrap();
    let own: Value = serde_json::from_slice(&own).unwrap();
    assert_eq!((&own["event"], &own["principal"]), (&json!("credential_minted"), &json!("eve")));
}

/// Records a session of eve's: two statements, one refused, and their ends.
async fn eves_session(port: &Port) -> u64 {
    let time = Timestamp::now();
    let record = |event: Event| {
        let mut record = Record::new(time, event);
        record.session = Some(SessionId::from_text("se_eve"));
        record.principal = Some("eve".to_owned());
        record.database = Some("shop".to_owned());
        record
    };
    let said = |text: &str, verdict: RecordedVerdict| {
        let mut record = record(Event::Statement);
        record.statement = Some(text.to_owned());
        record.kind = Some("SELECT".to_owned());
        record.verdict = Some(verdict);
        record
    };
    let journal = &port.parts.journal;
    journal.record(record(Event::SessionOpen)).await.unwrap();
    let seq = journal.record(said("select id from orders", RecordedVerdict::Allow)).await.unwrap();
    let mut end = record(Event::StatementEnd);
    end.statement_seq = Some(seq);
    end.rows = Some(4711);
    end.command_tag = Some("SELECT 4711".to_owned());
    end.ended_by = Some(EndedBy::Completed);
    journal.record(end).await.unwrap();
    let mut refused = said("select ssn from customers", RecordedVerdict::Deny);
    refused.rule = Some("column".to_owned());
    refused.detail = Some("permission denied for column ssn".to_owned());
    journal.record(refused).await.unwrap();
    journal.record(record(Event::SessionClose)).await.unwrap();
    seq
}

#[tokio::test]
async fn statements_are_found_by_what_they_did() {
    let port = Port::open().await;
    let seq = eves_session(&port).await;
    let seqs = async |query: &str| -> Vec<u64> {
        let records = port.lines(&format!("/v1/audit/search?{query}"), "carol").await;
        records.into_iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs("rows=%3E1000").await, [seq, seq + 1]);
    assert_eq!(seqs("rows=%3E1000&event=statement&kind=select").await, [seq]);
    assert_eq!(seqs("rows=%3E4711").await, Vec::<u64>::new());
    assert_eq!(seqs("rule=column").await, [seq + 2]);
    assert_eq!(seqs("event=session_open").await, [seq - 1]);
    for query in ["rows=many", "event=birthday", "last=3"] {
        assert_eq!(port.get(&format!("/v1/audit/search?{query}"), "carol").await.0, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_session_is_replayed_for_those_who_may_read_it() {
    let port = Port::open().await;
    eves_session(&port).await;
    let path = "/v1/audit/sessions/se_eve/replay";
    for (user, status) in [("carol", StatusCode::OK), ("eve", StatusCode::OK), ("alice", StatusCode::NOT_FOUND)] {
        assert_eq!(port.get(path, user).await.0, status, "{user}");
    }
    let (_, replay) = port.get(path, "eve").await;
    assert_eq!((&replay["principal"], &replay["database"]), (&json!("eve"), &json!("shop")));
    let steps = replay["steps"].as_array().unwrap();
    let outputs: Vec<&Value> = steps.iter().map(|step| &step["output"]).collect();
    let refused = ["ERROR:  permission denied for column ssn", "DETAIL:  refused by rule column"];
    assert_eq!(outputs, [&json!(["(4711 rows)"]), &json!(refused)]);
    assert_eq!(port.get("/v1/audit/sessions/se_none/replay", "carol").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tail_begins_with_the_last_and_tells_of_a_statement_when_its_end_is_known() {
    let port = Port::open().await;
    let first = eves_session(&port).await;
    let path = "/v1/audit/tail?rows=%3E1000&last=1&limit=2";
    let mut tail = port.call(Method::GET, path, "carol").send().await.unwrap();
    let second = eves_session(&port).await;
    let mut text = String::new();
    while let Some(chunk) = tail.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let seqs: Vec<u64> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [first + 1, second, second + 1]);
}

#[tokio::test]
async fn a_record_is_proved_to_those_who_may_read_it() {
    let port = Port::open().await;
    port.granted().await;
    let records = port.lines("/v1/audit/search", "carol").await;
    let created = records.iter().find(|record| record["event"] == "grant_created").unwrap();
    let path = format!("/v1/audit/proof/{}", created["seq"]);
    // A checkpoint covers it within a second or so.
    let mut answer = port.get(&path, "carol").await;
    for _ in 0..600 {
        if answer.0 == StatusCode::OK {
            break;
        }
        assert_eq!(answer.0, StatusCode::NOT_FOUND);
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = port.get(&path, "carol").await;
    }
    assert_eq!(answer.0, StatusCode::OK);
    let bundle = pgward::audit::Bundle::parse(answer.1.to_string().as_bytes()).unwrap();
    let log = pgward::tlog::Verifier::parse(&bundle.vkey).unwrap();
    let proved = bundle.verify(&[log], &[]).unwrap().record.unwrap();
    assert_eq!(json!(proved.seq), created["seq"]);
    for (user, status) in [("alice", StatusCode::OK), ("eve", StatusCode::NOT_FOUND), ("root", StatusCode::NOT_FOUND)] {
        assert_eq!(port.get(&path, user).await.0, status, "{user}");
    }
    for (path, status) in
        [("0", StatusCode::BAD_REQUEST), ("x", StatusCode::BAD_REQUEST), ("999999", StatusCode::NOT_FOUND)]
    {
        assert_eq!(port.get(&format!("/v1/audit/proof/{path}"), "carol").await.0, status, "{path}");
    }
}
