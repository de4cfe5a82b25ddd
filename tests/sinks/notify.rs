//! Notifications by webhook and Slack: signed, one record each, in order, over failures and restarts, given up in the open, and
//! never aimed inside.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pgward::access::{RequestId, Secret};
use pgward::audit::{Event, Record};
use pgward::sinks::{Channel, Email, Kind, Notify, Recipient, Settings, Sinks, SmtpTls};
use serde_json::Value;

use crate::receivers::{Answer, HttpReceiver, Request};
use crate::rig::{Rig, SECRET, ca, eventually, sink};

/// A notification `s` of every kind of record that people are told of here.
pub fn notification(channel: Channel) -> Settings {
    let link = "https://pgward.example".to_owned();
    let give_up = Duration::from_secs(24 * 60 * 60);
    let mut settings = sink(Kind::Notify(Notify { channel, scopes: None, databases: None, link, give_up }));
    settings.selection.events = Some(vec![Event::RequestFiled, Event::RequestApproved, Event::BreakGlassOpened]);
    settings
}

fn told(settings: &mut Settings) -> &mut Notify {
    let Kind::Notify(notify) = &mut settings.kind else { unreachable!("a notification") };
    notify
}

fn webhook(port: u16) -> Settings {
    let url = format!("https://localhost:{port}/in");
    notification(Channel::Webhook { url, secret: Secret::new(SECRET), ca: Some(ca()), allow_private: true })
}

fn slack(port: u16) -> Settings {
    let url = Secret::new(format!("https://localhost:{port}/services/T/B/key"));
    notification(Channel::Slack { url, ca: Some(ca()), allow_private: true })
}

pub fn filed(reason: &str) -> Record {
    let mut record = Record::new(Timestamp::now(), Event::RequestFiled);
    record.principal = Some("carol".into());
    record.database = Some("shop".into());
    record.scope = Some("orders-read".into());
    record.request = Some(RequestId::from_text("req_1"));
    record.reason = Some(reason.into());
    record.statement = Some("SELECT * FROM orders".into());
    record
}

fn bodies(requests: &[Request]) -> Vec<Value> {
    requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

fn reasons(requests: &[Request]) -> Vec<String> {
    bodies(requests).iter().map(|body| body["data"]["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_are_signed_and_each_speaks_of_one_record() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.statements(3).await;
    let first = rig.record(filed("one")).await;
    rig.statements(3).await;
    let second = rig.record(filed("two")).await;
    let sinks = rig.notify(webhook(receiver.port), None).await;
    eventually("both arrive", || receiver.accepted().len() == 2).await;
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    for (request, seq) in receiver.accepted().iter().zip([first, second]) {
        verifier.verify(&request.body, &request.headers).unwrap();
        assert_eq!(request.headers["webhook-id"], format!("ntf_{}_{seq}", rig.journal.id()));
    }
    let body = &bodies(&receiver.accepted())[0];
    assert_eq!((&body["type"], &body["data"]["seq"]), (&"pgward.request_filed".into(), &first.into()));
    assert_eq!(body["data"]["statement"], "SELECT * FROM orders");
    assert_eq!(body["data"]["link"], "https://pgward.example/#/requests/req_1");
    eventually("they are counted", || rig.metric("pgward_notification_delivered_total") == 2.0).await;
    sinks.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_and_comes_back_gets_all_in_order_also_over_a_restart() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([200, 500, 503].map(Answer::status));
    for reason in ["one", "two", "three"] {
        rig.record(filed(reason)).await;
    }
    let sinks = rig.notify(webhook(receiver.port), None).await;
    eventually("the first arrive", || receiver.accepted().len() == 3).await;
    receiver.usually(Answer::status(500));
    rig.record(filed("four")).await;
    eventually("it is tried", || receiver.came().last().is_some_and(|request| request.status == 500)).await;
    sinks.stop().await;
    let rig = rig.reopen().await;
    rig.record(filed("five")).await;
    receiver.usually(Answer::status(200));
    let sinks = rig.notify(webhook(receiver.port), None).await;
    eventually("all arrive", || receiver.accepted().len() == 5).await;
    assert_eq!(reasons(&receiver.accepted()), ["one", "two", "three", "four", "five"]);
    assert!(rig.details(Event::NotificationFailed).is_empty());
    sinks.stop().await;
}

#[tokio::test]
async fn slack_gets_blocks_with_a_link_and_nothing_that_anybody_wrote_acts() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    rig.record(filed("<!channel> [x](https://evil.example)\n`*hi*`")).await;
    let sinks = rig.notify(slack(receiver.port), None).await;
    eventually("it arrives", || receiver.accepted().len() == 1).await;
    let request = &receiver.accepted()[0];
    assert_eq!(
        (request.path.as_str(), &request.headers["content-type"]),
        ("/services/T/B/key", &"application/json".parse().unwrap())
    );
    let body = &bodies(&receiver.accepted())[0];
    let kinds: Vec<&str> =
        body["blocks"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["header", "section", "section", "section"]);
    let facts = body["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(facts.contains("*Why:* `&lt;!channel&gt; [x](https://evil.example) '*hi*'`"), "{facts}");
    assert_eq!(body["blocks"][3]["text"]["text"], "<https://pgward.example/#/requests/req_1|Review the request>");
    assert!(body["text"].as_str().unwrap().starts_with("*pgward: Access requested*"), "{body}");
    assert_eq!(body["unfurl_links"], false);
    sinks.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_good_or_too_old_is_given_up_in_the_journal_and_holds_nothing_up() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    receiver.answer([400, 503].map(Answer::status));
    let refused = rig.record(filed("refused")).await;
    let mut old = filed("old");
    old.time -= SignedDuration::from_hours(25);
    let late = rig.record(old).await;
    rig.record(filed("fine")).await;
    let sinks = rig.notify(webhook(receiver.port), None).await;
    eventually("what follows arrives", || receiver.accepted().len() == 1).await;
    assert_eq!(reasons(&receiver.accepted()), ["fine"]);
    assert_eq!(reasons(&receiver.came()), ["refused", "old", "fine"], "each is tried");
    let expected = [(refused, "400 Bad Request"), (late, "503 Service Unavailable")].map(|(seq, status)| {
        format!("notification \"s\": nobody was told of request_filed (record {seq}): the receiver answered {status}")
    });
    assert_eq!(rig.details(Event::NotificationFailed), expected);
    eventually("they are counted", || rig.metric("pgward_notification_given_up_total") == 2.0).await;
    sinks.stop().await;
}

#[tokio::test]
async fn only_what_is_about_its_scopes_and_databases_is_told() {
    let (rig, receiver) = (Rig::new(), HttpReceiver::start().await);
    let with = |reason: &str, scope: Option<&str>, database: &str| {
        let mut record = filed(reason);
        (record.scope, record.database) = (scope.map(str::to_owned), Some(database.to_owned()));
        record
    };
    for record in [
        with("another scope", Some("all"), "shop"),
        with("another database", Some("orders-read"), "crm"),
        with("no scope", None, "shop"),
        with("wanted", Some("orders-read"), "shop"),
    ] {
        rig.record(record).await;
    }
    let mut settings = webhook(receiver.port);
    told(&mut settings).scopes = Some(vec!["orders-read".into()]);
    told(&mut settings).databases = Some(vec!["shop".into()]);
    let sinks = rig.notify(settings, None).await;
    eventually("nothing is left", || rig.metric("pgward_notification_lag_records") == 0.0).await;
    assert_eq!(reasons(&receiver.came()), ["wanted"]);
    sinks.stop().await;
}

#[tokio::test]
async fn no_notification_is_aimed_inside_or_led_elsewhere() {
    let (rig, receiver, inner) = (Rig::new(), HttpReceiver::start().await, HttpReceiver::start().await);
    rig.record(filed("one")).await;
    for host in ["169.254.169.254", "127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:169.254.169.254]"] {
        let url = format!("https://{host}/latest/meta-data");
        let secret = Secret::new(SECRET);
        let email = Email {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: 465,
            tls: SmtpTls::Implicit,
            login: None,
            ca: Some(ca()),
            allow_private: false,
            from: "a@b.example".into(),
            to: vec![Recipient::Address("c@d.example".into())],
            people: vec![],
        };
        for channel in [
            Channel::Webhook { url: url.clone(), secret, ca: None, allow_private: false },
            Channel::Slack { url: Secret::new(url.clone()), ca: None, allow_private: false },
            Channel::Email(email),
        ] {
            let refused = Sinks::prepare(vec![notification(channel)], &rig.journal).unwrap_err().to_string();
            assert!(refused.contains("notification \"s\"") && refused.contains("address"), "{refused}");
        }
    }
    // A name is looked at when it is resolved.
    let mut named = webhook(receiver.port);
    if let Channel::Webhook { allow_private, .. } = &mut told(&mut named).channel {
        *allow_private = false;
    }
    let sinks = rig.notify(named, None).await;
    eventually("it fails", || rig.metric("pgward_notification_failures_total") >= 2.0).await;
    sinks.stop().await;
    assert!(receiver.came().is_empty());
    // What answers may not say where to go instead.
    let elsewhere = ("location", format!("https://localhost:{}/", inner.port));
    receiver.usually(Answer { status: 307, headers: vec![elsewhere], body: vec![] });
    let sinks = rig.notify(webhook(receiver.port), None).await;
    eventually("it fails", || receiver.came().len() >= 2).await;
    sinks.stop().await;
    assert!(inner.came().is_empty());
}
