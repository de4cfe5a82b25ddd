//! Against servers that a machine may not have: run by hand with `--ignored`, told by the environment where they are.

use pgward::access::Secret;
use pgward::sinks::{Archive, ArchivePlace, Body, Kind, Pem, S3, Syslog};

use crate::archive::{filled, segments};
use crate::rig::{Rig, eventually, sink};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// rsyslog or syslog-ng at `localhost:PGWARD_TEST_SYSLOG_PORT`, its certificate signed by `PGWARD_TEST_CA`, that appends the
/// text of each message as a line to `PGWARD_TEST_SYSLOG_FILE`.
#[tokio::test]
#[ignore = "needs a syslog collector"]
async fn a_real_collector_has_every_record() {
    let (port, file) = (variable("PGWARD_TEST_SYSLOG_PORT").parse().unwrap(), variable("PGWARD_TEST_SYSLOG_FILE"));
    let rig = Rig::new();
    rig.statements(2_000).await;
    let settings = Syslog {
        host: "localhost".into(),
        port,
        ca: Pem::read(variable("PGWARD_TEST_CA").as_ref()).unwrap(),
        client: None,
        hostname: "proxy-1".into(),
        enterprise_id: 32_473,
        body: Body::Jsonl,
    };
    let sinks = rig.start(vec![sink(Kind::Syslog(settings))]).await;
    let seqs = || -> Vec<u64> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole.to_owned()).unwrap_or_default();
        let records = whole.lines().map(|line| serde_json::from_str::<serde_json::Value>(line.trim()).unwrap());
        records.map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    eventually("all are there", || seqs() == rig.all()).await;
    sinks.stop().await;
}

/// A store that speaks S3 at `PGWARD_TEST_S3` with a bucket `pgward`; what is there is read back by this archive's own rules.
#[tokio::test]
#[ignore = "needs an S3 store"]
async fn a_real_store_takes_segments_once() {
    let rig = filled().await;
    let place = || S3 {
        endpoint: Some(variable("PGWARD_TEST_S3")),
        region: "us-east-1".into(),
        bucket: "pgward".into(),
        access_key_id: Secret::new("testing"),
        secret_access_key: Secret::new("testing"),
        ca: None,
    };
    let kind = || Kind::Archive(Archive { place: ArchivePlace::S3(place()), prefix: "some/where".into() });
    let last: u64 = {
        let names = segments(&rig.dir.path().join("audit"));
        names[2].trim_start_matches("journal-").trim_end_matches(".log").parse().unwrap()
    };
    for _ in 0..2 {
        let sinks = rig.start(vec![sink(kind())]).await;
        eventually("it is archived", || rig.position().is_some_and(|position| position["seq"] == last - 1)).await;
        sinks.stop().await;
        // The second time everything is there already.
        std::fs::remove_file(rig.dir.path().join("audit/sinks/s.json")).unwrap();
    }
    println!("archived {} under some/where/{}", last - 1, rig.journal.id());
}
