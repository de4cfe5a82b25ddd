//! Webhooks: signed, in order, tried again, never aimed inside.

use pgward::access::Region;
use pgward::audit::Event;
use pgward::sinks::{Body, Kind, Regions, Sinks, Start};
use serde_json::Value;

use crate::receivers::{Answer, HttpReceiver, Request};
use crate::rig::{Rig, SECRET, eventually, sink, statement, webhook};

/// The records' numbers, in the order in which they came.
pub fn seqs(requests: &[Request]) -> Vec<u64> {
    let records = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["data"]["records"].as_array().unwrap().clone()
    };
    requests.iter().flat_map(records).map(|record| record["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn deliveries_are_signed_and_hold_every_record_as_it_is() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(45).await;
    let sinks = rig.start(vec![sink(Kind::Webhook(webhook(receiver.port)))]).await;
    eventually("all arrive", || seqs(&receiver.accepted()) == rig.all()).await;
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    let mut ids = std::collections::HashSet::new();
    for request in receiver.accepted() {
        verifier.verify(&request.body, &request.headers).unwrap();
        assert!(ids.insert(request.headers["webhook-id"].clone()), "an id for each delivery");
        assert_eq!(request.path, "/in");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "pgward.audit.records");
        assert_eq!(body["data"]["journal"], rig.journal.id());
        assert!(body["data"]["records"].as_array().unwrap().len() <= 20);
    }
    // Byte for byte what the journal holds.
    let mut reader = pgward::audit::Reader::new(&rig.dir.path().join("audit"), 2);
    let second = String::from_utf8(reader.read().unwrap().unwrap().canonical).unwrap();
    let first = String::from_utf8(receiver.accepted()[0].body.to_vec()).unwrap();
    assert!(first.contains(&second), "{first} lacks {second}");
    sinks.stop().await;
    assert_eq!(rig.position().unwrap()["seq"], rig.head());
}

#[tokio::test]
async fn what_fails_is_sent_again_and_nothing_is_lost_or_out_of_order() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([500, 503, 404, 302].map(Answer::status));
    receiver.answer([Answer { status: 429, headers: vec![("retry-after", "1".into())], body: vec![] }]);
    rig.statements(30).await;
    let sinks = rig.start(vec![sink(Kind::Webhook(webhook(receiver.port)))]).await;
    eventually("all arrive", || seqs(&receiver.accepted()) == rig.all()).await;
    let ids: Vec<_> = receiver.came().iter().take(6).map(|request| request.headers["webhook-id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a second try is known by its id: {ids:?}");
    assert!(!receiver.came().iter().any(|request| request.path != "/in"), "redirects are not followed");
    eventually("failures are counted", || rig.metric("pgward_audit_sink_failures_total") == 5.0).await;
    eventually("nothing is left", || rig.metric("pgward_audit_sink_lag_records") == 0.0).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_everything_when_it_is_back() {
    let port = crate::support::free_port();
    let rig = Rig::new();
    let sinks = rig.start(vec![sink(Kind::Webhook(webhook(port)))]).await;
    rig.statements(25).await;
    eventually("the lag shows", || rig.head() == 26 && rig.metric("pgward_audit_sink_lag_records") == 26.0).await;
    let receiver = HttpReceiver::start_on(port).await;
    eventually("all arrive", || seqs(&receiver.accepted()) == rig.all()).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_receiver_had_acknowledged() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    let settings = || vec![sink(Kind::Webhook(webhook(receiver.port)))];
    rig.statements(10).await;
    let sinks = rig.start(settings()).await;
    eventually("the first arrive", || seqs(&receiver.accepted()).len() == 11).await;
    sinks.stop().await;
    let rig = rig.reopen().await;
    rig.statements(10).await;
    let sinks = rig.start(settings()).await;
    eventually("all arrive once", || seqs(&receiver.accepted()) == rig.all()).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_position_that_is_lost_or_of_another_journal_is_the_beginning() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(5).await;
    std::fs::create_dir_all(rig.dir.path().join("audit/sinks")).unwrap();
    for text in ["{\"journal\":\"other\",\"seq\":4}", "{\"journal\":", ""] {
        std::fs::write(rig.dir.path().join("audit/sinks/s.json"), text).unwrap();
        let before = receiver.accepted().len();
        let sinks = rig.start(vec![sink(Kind::Webhook(webhook(receiver.port)))]).await;
        eventually("all arrive", || seqs(&receiver.accepted()[before..]) == rig.all()).await;
        sinks.stop().await;
    }
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_is_left_alone_and_somebody_is_told() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.usually(Answer::status(410));
    rig.statements(3).await;
    let settings = || vec![sink(Kind::Webhook(webhook(receiver.port)))];
    let sinks = rig.start(settings()).await;
    eventually("the journal says so", || rig.states().iter().any(|text| text.contains("wants no more"))).await;
    assert_eq!(sinks.alarming(), ["s"]);
    assert_eq!(rig.metric("pgward_audit_sink_alarm"), 1.0);
    assert_eq!(receiver.came().len(), 1);
    sinks.stop().await;
    // Not even after a restart.
    let sinks = rig.start(settings()).await;
    eventually("it is still known", || sinks.alarming() == ["s"]).await;
    assert_eq!(receiver.came().len(), 1);
    sinks.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([413, 413].map(Answer::status));
    rig.statements(40).await;
    let sinks = rig.start(vec![sink(Kind::Webhook(webhook(receiver.port)))]).await;
    eventually("all arrive", || seqs(&receiver.accepted()) == rig.all()).await;
    let sizes: Vec<usize> = receiver.came().iter().map(|request| seqs(std::slice::from_ref(request)).len()).collect();
    assert_eq!(sizes[..3], [20, 10, 5]);
    sinks.stop().await;
}

#[tokio::test]
async fn only_the_events_and_regions_of_a_sink_go_there() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    let mut only = sink(Kind::Webhook(webhook(receiver.port)));
    only.selection.events = Some(vec![Event::LoginDenied]);
    only.selection.regions = Regions::Only(vec![Region::new("eu")]);
    rig.statements(3).await;
    let wanted = rig.record(pgward::audit::Record::new(jiff::Timestamp::now(), Event::LoginDenied)).await;
    rig.statements(3).await;
    let sinks = rig.start(vec![only]).await;
    eventually("it arrives", || seqs(&receiver.accepted()) == [wanted]).await;
    eventually("the rest is passed by", || rig.metric("pgward_audit_sink_lag_records") == 0.0).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_sink_may_begin_with_what_comes() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(5).await;
    let mut from_now = sink(Kind::Webhook(webhook(receiver.port)));
    from_now.start = Start::Now;
    let sinks = rig.start(vec![from_now]).await;
    eventually("it has begun", || rig.position().is_some()).await;
    let next = rig.record(statement("SELECT 1")).await;
    eventually("what comes arrives", || seqs(&receiver.accepted()) == [next]).await;
    sinks.stop().await;
}

#[tokio::test]
async fn records_may_go_as_ocsf() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(2).await;
    let mut settings = webhook(receiver.port);
    settings.body = Body::Ocsf;
    let sinks = rig.start(vec![sink(Kind::Webhook(settings))]).await;
    eventually("they arrive", || !receiver.accepted().is_empty()).await;
    let body: Value = serde_json::from_slice(&receiver.accepted()[0].body).unwrap();
    let event = &body["data"]["records"][1];
    assert_eq!((&event["class_uid"], &event["action_id"]), (&6005.into(), &2.into()));
    assert_eq!(event["metadata"]["uid"], format!("{}:2", rig.journal.id()));
    sinks.stop().await;
}

#[tokio::test]
async fn no_sink_is_aimed_inside() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(1).await;
    for url in ["https://127.0.0.1:1/", "https://[::1]:1/", "https://10.0.0.1/", "https://[::ffff:169.254.169.254]/"] {
        let mut settings = webhook(receiver.port);
        (settings.url, settings.allow_private) = (url.to_owned(), false);
        let refused = Sinks::prepare(vec![sink(Kind::Webhook(settings))], &rig.journal).unwrap_err();
        assert!(refused.to_string().contains("address"), "{refused}");
    }
    // A name is looked at when it is resolved.
    let mut settings = webhook(receiver.port);
    settings.allow_private = false;
    let sinks = rig.start(vec![sink(Kind::Webhook(settings))]).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 2.0).await;
    assert!(receiver.came().is_empty());
    sinks.stop().await;
}
