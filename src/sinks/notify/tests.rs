//! What messages look like, whom they go to, and what hostile texts become in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::email::{addressees, text};
use super::notice::Notice;
use super::settings::{Person, Recipient};
use super::{failure, slack, webhook};
use crate::access::{
    AccessRequest, BreakGlass, GrantId, Guards, NewRequest, Principal, RequestId, Requirement, Rules, Scope, Subject,
};
use crate::audit::{Event, Record, RecordedVerdict};

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn person(name: &str, group: &str) -> Principal {
    Principal { name: name.into(), groups: vec![group.into()], region: None }
}

fn request() -> AccessRequest {
    let break_glass = BreakGlass {
        who: vec![Subject::Group("oncall".into())],
        max_duration: Duration::from_secs(3600),
        alert: vec![Subject::Group("security".into())],
        review_within: Duration::from_secs(3600),
    };
    let scope = Scope {
        name: "orders-read".into(),
        database: "shop".into(),
        regions: vec![],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::Group("dba".into())],
        approvals: 2,
        max_duration: Duration::from_secs(3600),
        guards: Guards::default(),
        rules: Rules { break_glass: Some(break_glass), labels: vec!["pii".into()], ..Rules::default() },
        allow: vec![],
    };
    let new = NewRequest { reason: "refund".into(), duration: Duration::from_secs(1800), ..NewRequest::default() };
    let mut request = AccessRequest::file(person("carol", "dev"), scope, new, noon()).unwrap();
    request.id = RequestId::from_text("req_1");
    let why = "touches data labelled pii".to_owned();
    request.requirements.push(Requirement { approvers: vec![Subject::Group("privacy".into())], count: 1, why });
    request
}

fn record(event: Event) -> Record {
    let mut record = Record::new(noon(), event);
    record.seq = 7;
    record.principal = Some("carol".into());
    record.database = Some("shop".into());
    record.scope = Some("orders-read".into());
    record.request = Some(RequestId::from_text("req_1"));
    record.reason = Some("refund".into());
    record.ticket = Some("INC-4711".into());
    record.statement = Some("SELECT 1".into());
    record.parameters = Some(vec![Some("bind-value".into())]);
    record.detail = Some("for 1800 seconds".into());
    record
}

fn notice(record: &Record, request: Option<&AccessRequest>) -> Notice {
    Notice::new(record, request, "jrn", "https://pgward.example")
}

#[test]
fn a_webhook_says_what_is_asked_and_what_it_needs() {
    let notice = notice(&record(Event::RequestFiled), Some(&request()));
    let message = serde_json::to_value(webhook::message(&notice)).unwrap();
    assert_eq!(
        message,
        json!({
            "type": "pgward.request_filed", "timestamp": "2026-11-23T12:00:00Z",
            "data": {
                "title": "Access requested", "journal": "jrn", "seq": 7, "event": "request_filed", "principal": "carol",
                "database": "shop", "scope": "orders-read", "request": "req_1", "reason": "refund", "ticket": "INC-4711",
                "statement": "SELECT 1", "duration_seconds": 1800, "labels": ["pii"],
                "requirements": [
                    {"approvers": ["@dba"], "count": 2, "why": "the scope"},
                    {"approvers": ["@privacy"], "count": 1, "why": "touches data labelled pii"},
                ],
                "expires_at": "2026-11-24T12:00:00Z", "link": "https://pgward.example/#/requests/req_1",
            },
        })
    );
}

#[test]
fn an_email_says_it_in_lines() {
    let said = text(&notice(&record(Event::RequestFiled), Some(&request())));
    let expected = "Access requested

Who:      carol
Scope:    orders-read
Database: shop
Why:      refund
Ticket:   INC-4711
For:      30m
Labels:   pii
Needs:    2 of @dba (the scope); 1 of @privacy (touches data labelled pii)
Until:    2026-11-24 12:00:00 UTC it can be decided on
When:     2026-11-23 12:00:00 UTC

Statement:
    SELECT 1

https://pgward.example/#/requests/req_1

Record 7 of journal jrn.
";
    assert_eq!(said, expected);
}

#[test]
fn bind_values_are_in_no_message() {
    let notice = notice(&record(Event::UnusualAccess), None);
    let all = [
        serde_json::to_string(&webhook::message(&notice)).unwrap(),
        slack::body(&notice).to_string(),
        text(&notice),
        notice.headline(),
    ];
    assert!(all.iter().all(|said| !said.contains("bind-value")), "{all:?}");
}

#[test]
fn slack_shows_what_others_wrote_and_does_nothing_for_it() {
    let mut hostile = record(Event::RequestFiled);
    hostile.reason =
        Some("<!channel> ok?` *bold* <https://evil.example|click> [md](https://evil.example)\n*By:* `bob` & co".into());
    hostile.statement = Some("SELECT '```' < 1\n<@U123> -- \u{202e}live".into());
    let body = slack::body(&notice(&hostile, Some(&request())));
    let markup = |value: &Value| value.as_str().unwrap().to_owned();
    for text in
        [markup(&body["text"]), markup(&body["blocks"][1]["text"]["text"]), markup(&body["blocks"][2]["text"]["text"])]
    {
        // What is left of Slack's own markup is the one link.
        let without_link = text.replace("<https://pgward.example/#/requests/req_1|Review the request>", "");
        assert!(!without_link.contains(['<', '>', '\u{202e}']), "{text}");
        // Spans and blocks are ours: an even number of backticks on every line but those of the block.
        let outside = without_link.split("```").step_by(2).collect::<String>();
        assert!(outside.lines().all(|line| line.matches('`').count() % 2 == 0), "{text}");
    }
    let facts = markup(&body["blocks"][1]["text"]["text"]);
    let why = facts.lines().find(|line| line.starts_with("*Why:*")).unwrap();
    let expected = "*Why:* `&lt;!channel&gt; ok?' *bold* &lt;https://evil.example|click&gt; [md](https://evil.example) *By:* 'bob' &amp; co`";
    assert_eq!(why, expected);
    assert_eq!(facts.lines().filter(|line| line.starts_with("*By:*")).count(), 0, "{facts}");
    assert_eq!(
        body["blocks"][0]["text"],
        json!({"type": "plain_text", "text": "pgward: Access requested", "emoji": false})
    );
    assert_eq!(body["blocks"][3]["text"]["text"], "<https://pgward.example/#/requests/req_1|Review the request>");
}

#[test]
fn slack_takes_the_longest_of_all() {
    let mut long = record(Event::RequestFiled);
    for field in [&mut long.reason, &mut long.statement, &mut long.detail, &mut long.ticket, &mut long.principal] {
        *field = Some("&<`".repeat(5000));
    }
    let body = slack::body(&notice(&long, Some(&request())));
    for block in body["blocks"].as_array().unwrap() {
        let length = block["text"]["text"].as_str().unwrap().chars().count();
        assert!(length > 0 && length <= 3000, "{length}");
    }
    assert!(body["text"].as_str().unwrap().chars().count() < 10_000);
}

#[test]
fn what_did_not_take_effect_says_so() {
    let mut undone = record(Event::RequestApproved);
    undone.verdict = Some(RecordedVerdict::Deny);
    assert_eq!(notice(&undone, None).headline(), "Did not take effect: Request approved: carol, orders-read on shop");
    let mut unusual = record(Event::UnusualAccess);
    unusual.verdict = Some(RecordedVerdict::Deny);
    assert_eq!(notice(&unusual, None).title, "Unusual access");
}

#[test]
fn mail_goes_to_whom_it_concerns_and_never_asks_the_requester_to_approve() {
    let people = [("carol", "dba"), ("bob", "dba"), ("priya", "privacy"), ("sam", "security"), ("eve", "guests")];
    let people =
        people.map(|(name, group)| Person { principal: person(name, group), email: format!("{name}@x.example") });
    let check = |event: Event, to: &[Recipient], expected: &[&str]| {
        let request = request();
        let found = addressees(to, &people, &notice(&record(event), Some(&request)), Some(&request));
        let expected: Vec<String> = expected.iter().map(|name| format!("{name}@x.example")).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{event:?} {to:?}");
    };
    check(Event::RequestFiled, &[Recipient::Approvers], &["bob", "priya"]);
    check(Event::BreakGlassOpened, &[Recipient::Approvers], &["bob", "priya", "sam"]);
    check(Event::GrantEnding, &[Recipient::Requester], &["carol"]);
    let both = [Recipient::Requester, Recipient::Address("bob@x.example".into()), Recipient::Approvers];
    check(Event::RequestApproved, &both, &["bob", "carol", "priya"]);
}

#[test]
fn a_failure_names_what_nobody_was_told_of_and_repeats_no_text() {
    let mut told = record(Event::BreakGlassOpened);
    told.grant = Some(GrantId::from_text("grt_1"));
    let failure = failure("notification \"ops\"", &told, "550 no\r\nsuch user", noon());
    assert_eq!((failure.event, failure.scope.as_deref()), (Event::NotificationFailed, Some("orders-read")));
    assert_eq!((&failure.grant, &failure.request), (&told.grant, &told.request));
    assert_eq!((failure.statement, failure.reason), (None, None));
    let expected = "notification \"ops\": nobody was told of break_glass_opened (record 7): 550 no  such user";
    assert_eq!(failure.detail.as_deref(), Some(expected));
}
