//! Syslog over TLS: well-formed, and sent again where a collector died before it had read everything.

use pgward::sinks::{Body, Kind, Syslog};

use crate::receivers::{Behaviour, SyslogReceiver};
use crate::rig::{Rig, ca, eventually, sink};

fn syslog(port: u16) -> Kind {
    Kind::Syslog(Syslog {
        host: "localhost".into(),
        port,
        ca: ca(),
        client: None,
        hostname: "proxy-1".into(),
        enterprise_id: 32_473,
        body: Body::Jsonl,
    })
}

fn seqs(messages: &[String]) -> Vec<u64> {
    let seq = |message: &String| {
        let rest = message.split_once(" seq=\"").unwrap().1;
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    messages.iter().map(seq).collect()
}

#[tokio::test]
async fn every_record_is_a_message() {
    let rig = Rig::new();
    let receiver = SyslogReceiver::start_on(0, vec![]).await;
    rig.statements(50).await;
    let sinks = rig.start(vec![sink(syslog(receiver.port))]).await;
    eventually("all arrive", || seqs(&receiver.messages()) == rig.all()).await;
    let message = &receiver.messages()[1];
    assert!(message.starts_with("<108>1 20"), "{message}");
    assert!(message.contains(" proxy-1 pgward "), "{message}");
    let (_, record) = message.split_once("] {").unwrap();
    let record: serde_json::Value = serde_json::from_str(&format!("{{{record}")).unwrap();
    assert_eq!(record["statement"], "SELECT 0");
    sinks.stop().await;
}

#[tokio::test]
async fn a_collector_that_dies_gets_them_again() {
    let rig = Rig::new();
    let dying = vec![Behaviour::DiesAfter(1), Behaviour::DiesAfter(700)];
    let receiver = SyslogReceiver::start_on(0, dying).await;
    rig.statements(60).await;
    let sinks = rig.start(vec![sink(syslog(receiver.port))]).await;
    eventually("all arrive", || seqs(&receiver.messages()) == rig.all()).await;
    assert_eq!(receiver.deaths(), 2);
    sinks.stop().await;
}

#[tokio::test]
async fn a_collector_that_was_down_gets_everything() {
    let rig = Rig::new();
    let port = crate::support::free_port();
    let sinks = rig.start(vec![sink(syslog(port))]).await;
    rig.statements(30).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 1.0).await;
    let receiver = SyslogReceiver::start_on(port, vec![]).await;
    eventually("all arrive", || seqs(&receiver.messages()) == rig.all()).await;
    sinks.stop().await;
}
