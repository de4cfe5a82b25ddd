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
