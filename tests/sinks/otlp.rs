//! OpenTelemetry: what a collector decodes.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use pgward::access::Secret;
use pgward::sinks::{Kind, Otlp};
use prost::Message;

use crate::receivers::{Answer, HttpReceiver, Request};
use crate::rig::{Rig, ca, eventually, sink};

fn otlp(port: u16) -> Kind {
    Kind::Otlp(Otlp {
        url: format!("https://localhost:{port}/v1/logs"),
        ca: Some(ca()),
        headers: vec![("authorization".into(), Secret::new("Bearer of-nothing"))],
        allow_private: true,
        instance: "test".into(),
    })
}

fn logs(requests: &[Request]) -> Vec<LogRecord> {
    let decode = |request: &Request| ExportLogsServiceRequest::decode(request.body.clone()).unwrap();
    let resources = requests.iter().flat_map(|request| decode(request).resource_logs);
    resources.flat_map(|resource| resource.scope_logs).flat_map(|scope| scope.log_records).collect()
}

fn attribute(log: &LogRecord, key: &str) -> Option<Value> {
    log.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn seqs(requests: &[Request]) -> Vec<u64> {
    logs(requests)
        .iter()
        .map(|log| match attribute(log, "pgward.seq") {
            Some(Value::IntValue(seq)) => seq.try_into().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn records_are_logs_after_the_conventions() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([503, 500].map(Answer::status));
    rig.statements(30).await;
    let sinks = rig.start(vec![sink(otlp(receiver.port))]).await;
    eventually("all arrive", || seqs(&receiver.accepted()) == rig.all()).await;
    let request = &receiver.accepted()[0];
    assert_eq!(request.headers["content-type"], "application/x-protobuf");
    assert_eq!(request.headers["authorization"], "Bearer of-nothing");
    let log = &logs(&receiver.accepted())[1];
    let text = |text: &str| Some(Value::StringValue(text.to_owned()));
    assert_eq!(log.event_name, "pgward.statement");
    assert_eq!(log.severity_text, "WARN");
    assert!(log.time_unix_nano > 1_600_000_000_000_000_000);
    for (key, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "shop"),
        ("db.query.text", "SELECT 0"),
        ("db.operation.name", "SELECT"),
        ("user.name", "alice"),
        ("client.address", "127.0.0.1"),
        ("pgward.verdict", "deny"),
        ("log.record.uid", &format!("{}:2", rig.journal.id())),
    ] {
        assert_eq!(attribute(log, key), text(value), "{key}");
    }
    let body = log.body.clone().unwrap().value;
    assert!(matches!(body, Some(Value::StringValue(body)) if body.contains("\"statement\":\"SELECT 0\"")));
    sinks.stop().await;
}

#[tokio::test]
async fn what_the_collector_refuses_for_good_is_told_and_not_sent_for_ever() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    let partly = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "too old".into() };
    let body = ExportLogsServiceResponse { partial_success: Some(partly) }.encode_to_vec();
    receiver.answer([Answer { status: 200, headers: vec![], body }]);
    rig.statements(5).await;
    let sinks = rig.start(vec![sink(otlp(receiver.port))]).await;
    eventually("it is counted", || rig.metric("pgward_audit_sink_refused_total") == 2.0).await;
    eventually("the journal says so", || rig.states().iter().any(|text| text.contains("too old"))).await;
    eventually("each arrives once", || seqs(&receiver.accepted()) == rig.all()).await;
    sinks.stop().await;
}

#[tokio::test]
async fn what_is_no_collector_acknowledges_nothing() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([Answer { status: 200, headers: vec![], body: b"<html>welcome".to_vec() }]);
    rig.statements(3).await;
    let sinks = rig.start(vec![sink(otlp(receiver.port))]).await;
    eventually("they are sent again", || receiver.came().len() >= 2).await;
    assert_eq!(seqs(&receiver.came()[..1]), seqs(&receiver.came()[1..2]));
    sinks.stop().await;
}
