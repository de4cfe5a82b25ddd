//! Every event of the journal has a class with what the schema requires of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use jiff::Timestamp;

use super::*;
use crate::access::{GrantId, Operation, SessionId};
use crate::audit::{EndedBy, RecordedRelation, RecordedVerdict, canonical};

fn entry(record: Record) -> Entry {
    let canonical = canonical::to_string(&record).into_bytes();
    Entry { record, canonical }
}

fn at(event: Event) -> Record {
    let mut record = Record::new("2026-03-01T10:00:00.123456Z".parse::<Timestamp>().unwrap(), event);
    record.seq = 7;
    record
}

#[test]
fn an_allowed_statement_is_a_datastore_activity() {
    let mut record = at(Event::Statement);
    record.principal = Some("alice".into());
    record.groups = vec!["dev".into()];
    record.session = Some(SessionId::from_text("se_1"));
    record.client_addr = Some("10.1.2.3:4711".into());
    record.database = Some("shop".into());
    record.statement = Some("SELECT 1 FROM t".into());
    record.kind = Some("SELECT".into());
    record.verdict = Some(RecordedVerdict::Allow);
    record.grant = Some(GrantId::from_text("gr_1"));
    record.relations =
        vec![RecordedRelation { name: "public.t".into(), operation: Operation::Select, columns: vec![] }];
    let entry = entry(record);
    let event = value(&entry, Some("j1")).unwrap();
    assert_eq!(event["class_uid"], 6005);
    assert_eq!((&event["activity_id"], &event["type_uid"]), (&json!(4), &json!(600_504)));
    assert_eq!((&event["action_id"], &event["disposition_id"]), (&json!(1), &json!(1)));
    assert_eq!(event["time"], 1_772_359_200_123_u64);
    assert_eq!(event["actor"]["user"]["name"], "alice");
    assert_eq!(event["actor"]["session"]["uid"], "se_1");
    assert_eq!(event["src_endpoint"], json!({ "ip": "10.1.2.3", "port": 4711 }));
    assert_eq!(event["database"]["name"], "shop");
    assert_eq!(event["query_info"]["query_string"], "SELECT 1 FROM t");
    assert_eq!(event["table"]["name"], "public.t");
    assert_eq!(event["metadata"]["uid"], "j1:7");
    assert_eq!(event["raw_data"].as_str().unwrap().as_bytes(), entry.canonical);
}

#[test]
fn a_denial_is_blocked_and_a_failed_end_is_a_failure() {
    let mut denied = at(Event::Statement);
    denied.verdict = Some(RecordedVerdict::Deny);
    denied.rule = Some("out-of-scope".into());
    let event = value(&entry(denied), None).unwrap();
    assert_eq!((&event["action_id"], &event["status_id"]), (&json!(2), &json!(2)));
    assert_eq!(event["policy"]["name"], "out-of-scope");
    let mut end = at(Event::StatementEnd);
    (end.statement_seq, end.sqlstate, end.ended_by) = (Some(6), Some("57014".into()), Some(EndedBy::Error));
    let event = value(&entry(end), None).unwrap();
    assert_eq!((&event["status_id"], &event["status_code"]), (&json!(2), &json!("57014")));
    assert_eq!(event["unmapped"]["statement_seq"], 6);
}

#[test]
fn every_event_has_what_its_class_requires() {
    for (name, class, required) in [
        ("statement", 6005, ["actor", "src_endpoint", "database"].as_slice()),
        ("statement_end", 6005, &["actor", "src_endpoint", "database"]),
        ("cancel", 6005, &["actor", "src_endpoint", "database"]),
        ("session_open", 3002, &["user", "service"]),
        ("session_close", 3002, &["user", "service"]),
        ("session_killed", 3002, &["user", "service"]),
        ("login_denied", 3002, &["user", "service"]),
        ("startup_refused", 3002, &["user", "service"]),
        ("request_filed", 3004, &["entity"]),
        ("request_approved", 3004, &["entity"]),
        ("request_denied", 3004, &["entity"]),
        ("request_withdrawn", 3004, &["entity"]),
        ("grant_created", 3004, &["entity"]),
        ("grant_revoked", 3004, &["entity"]),
        ("credential_minted", 3004, &["entity"]),
        ("config_reloaded", 3004, &["entity"]),
        ("config_refused", 3004, &["entity"]),
        ("journal_opened", 6002, &["app"]),
        ("journal_recovered", 6002, &["app"]),
        ("journal_closed", 6002, &["app"]),
        ("records_purged", 6002, &["app"]),
        ("hold_placed", 6002, &["app"]),
        ("hold_released", 6002, &["app"]),
        ("key_rotated", 6002, &["app"]),
        ("witness_silent", 6002, &["app"]),
        ("witness_heard", 6002, &["app"]),
        ("sink_state", 6002, &["app"]),
    ] {
        let event = value(&entry(at(serde_json::from_value(json!(name)).unwrap())), None).unwrap();
        assert_eq!(event["class_uid"], class, "{name}");
        let uid = event["class_uid"].as_u64().unwrap() * 100 + event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], uid, "{name}");
        assert_eq!(event["category_uid"], class / 1000, "{name}");
        for field in ["activity_id", "severity_id", "status_id", "time", "metadata"].iter().chain(required) {
            assert!(!event[field].is_null(), "{name} lacks {field}");
        }
        assert_eq!(event["metadata"]["version"], VERSION);
    }
}
