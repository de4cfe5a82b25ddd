//! Alarms: somebody is told when a sink is behind for too long, and when it has caught up.

use std::time::Duration;

use pgward::sinks::{Kind, Sinks};

use crate::receivers::{Answer, HttpReceiver};
use crate::rig::{Rig, eventually, sink, webhook};

#[tokio::test]
async fn a_sink_that_falls_behind_raises_an_alarm_until_it_has_caught_up() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.usually(Answer::status(500));
    let mut settings = sink(Kind::Webhook(webhook(receiver.port)));
    settings.alarm_after = Duration::from_secs(1);
    let sinks = rig.start(vec![settings]).await;
    rig.statements(3).await;
    eventually("the journal says so", || rig.states().iter().any(|text| text.contains("were not delivered"))).await;
    let state = rig.states()[0].clone();
    assert!(state.contains("sink \"s\"") && state.contains("500"), "{state}");
    assert_eq!(sinks.alarming(), ["s"]);
    receiver.usually(Answer::status(200));
    eventually("it ends", || rig.states().iter().any(|text| text.contains("has caught up"))).await;
    assert!(sinks.alarming().is_empty());
    sinks.stop().await;
}

#[tokio::test]
async fn a_reload_leaves_what_did_not_change_alone() {
    let (rig, first, second) = (Rig::new(), HttpReceiver::start().await, HttpReceiver::start().await);
    let mut other = sink(Kind::Webhook(webhook(second.port)));
    other.name = "other".into();
    let same = sink(Kind::Webhook(webhook(first.port)));
    let sinks = rig.start(vec![same.clone()]).await;
    rig.statements(2).await;
    eventually("the first has them", || first.accepted().len() == 1).await;
    // One stays, one comes.
    sinks.apply(Sinks::prepare(vec![same.clone(), other.clone()], &rig.journal).unwrap()).await;
    eventually("the second has them", || second.accepted().len() == 1).await;
    assert_eq!(first.accepted().len(), 1, "the first was not begun anew");
    // One goes.
    sinks.apply(Sinks::prepare(vec![other], &rig.journal).unwrap()).await;
    rig.statements(2).await;
    eventually("the second has more", || second.accepted().len() == 2).await;
    assert_eq!(first.accepted().len(), 1);
    sinks.stop().await;
}

#[tokio::test]
async fn records_that_retention_took_first_are_told_and_the_rest_arrives() {
    let rig = crate::archive::filled().await;
    let journal = rig.dir.path().join("audit");
    std::fs::remove_file(journal.join(&crate::archive::segments(&journal)[0])).unwrap();
    let oldest: u64 = {
        let name = &crate::archive::segments(&journal)[0];
        name.trim_start_matches("journal-").trim_end_matches(".log").parse().unwrap()
    };
    let receiver = HttpReceiver::start().await;
    let sinks = rig.start(vec![sink(Kind::Webhook(webhook(receiver.port)))]).await;
    let rest: Vec<u64> = (oldest..=rig.head()).collect();
    eventually("the rest arrives", || crate::webhook::seqs(&receiver.accepted()).starts_with(&rest)).await;
    eventually("it is counted", || rig.metric("pgward_audit_sink_missed_total") == (oldest - 1) as f64).await;
    eventually("it is told", || rig.states().iter().any(|text| text.contains("not in this journal any more"))).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_stops_the_sink_and_not_the_program() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(5).await;
    // Somebody was at the file.
    let journal = rig.dir.path().join("audit");
    let segment = journal.join(&crate::archive::segments(&journal)[0]);
    let whole = std::fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(b'\n');
    std::fs::write(&segment, &damaged).unwrap();
    let mut settings = sink(Kind::Webhook(webhook(receiver.port)));
    settings.alarm_after = Duration::from_secs(1);
    let sinks = rig.start(vec![settings]).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 2.0).await;
    eventually("there is an alarm", || sinks.alarming() == ["s"]).await;
    let came = crate::webhook::seqs(&receiver.accepted());
    assert!(came.len() < 6 && came.iter().copied().eq(1..=came.len() as u64), "{came:?}");
    // It is put right again.
    std::fs::write(&segment, &whole).unwrap();
    eventually("all arrive", || crate::webhook::seqs(&receiver.accepted()).starts_with(&[1, 2, 3, 4, 5, 6])).await;
    sinks.stop().await;
}
