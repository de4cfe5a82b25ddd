//! Statements that are held for approval, where it is delicate: in the middle of a pipeline, one after another, prepared, too many
//! at once.

use std::io::Write;

use crate::Case;
use crate::asking::{pending, proxy, rows, runtime};
use crate::support::{Bench, Proxy, connect, raw};

pub const CASES: &[Case] = &[
    ("held::in_the_middle_of_a_pipeline", approved_in_a_pipeline),
    ("held::refused_in_the_middle_of_a_pipeline", refused_in_a_pipeline),
    ("held::one_after_another_in_one_session", one_after_another),
    ("held::a_prepared_statement_is_held_when_it_is_bound", prepared),
    ("held::one_principal_has_three_at_once", three_at_once),
    ("held::a_reason_may_be_the_ticket", ticket),
    ("held::behind_what_failed_nothing_is_held", behind_a_failure),
];

const BEFORE: &str = "SELECT id FROM app.open";
const HELD: &str = "SELECT body FROM app.notes WHERE id = 2";
/// Fails when it runs, not before.
const FAILS: &str = "SELECT 1 / (id - 1) FROM app.open";

fn decide(proxy: &Proxy, how: &str) {
    let request = pending(proxy);
    let id = request["id"].as_str().unwrap();
    let done = proxy.cli("bob", &[how, id, "--note", "because"]);
    assert!(done.status.success(), "{done:?}");
}

/// One segment: a statement that is allowed, one that is held, one more. Reads up to the NOTICE, which comes while it waits.
fn pipeline(session: &mut raw::Tls) -> Vec<u8> {
    let all = [raw::run_unnamed(BEFORE), raw::run_unnamed(HELD), raw::run_unnamed(BEFORE), raw::tagged(b'S', &[])];
    session.write_all(&all.concat()).unwrap();
    let mut tags = Vec::new();
    loop {
        let (tag, body) = raw::message(session);
        if tag == b'N' {
            assert!(raw::holds(&body, "approval was asked for"));
            return tags;
        }
        tags.push(tag);
    }
}

fn approved_in_a_pipeline(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_pipeline");
    let mut session = raw::session(&proxy, &alice);
    assert_eq!(pipeline(&mut session), b"12DC", "the first one's answers come before anybody is asked");
    decide(&proxy, "approve");
    let mut tags = Vec::new();
    while tags.last() != Some(&b'Z') {
        let (tag, body) = raw::message(&mut session);
        assert!(tag != b'D' || tags.len() > 4 || raw::holds(&body, "two"), "{body:?}");
        tags.push(tag);
    }
    assert_eq!(tags, b"12DC12DCZ");
    session.write_all(&raw::tagged(b'Q', b"CALL pgward.request('notes', '5m', 'why')\0")).unwrap();
    let answer: Vec<_> = (0..4).map(|_| raw::message(&mut session)).collect();
    assert_eq!(answer.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), b"TDCZ");
    assert_eq!(answer[2].1, b"CALL\0", "not the tag of what stands in for it");
}

fn refused_in_a_pipeline(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_refused");
    let mut session = raw::session(&proxy, &alice);
    assert_eq!(pipeline(&mut session), b"12DC");
    decide(&proxy, "deny");
    let (tag, body) = raw::message(&mut session);
    assert!(tag == b'E' && raw::holds(&body, "C42501") && raw::holds(&body, "bob denied it: because"), "{body:?}");
    assert_eq!(raw::message(&mut session), (b'Z', b"I".to_vec()), "the rest up to the Sync is skipped");
    session.write_all(&[raw::run_unnamed(BEFORE), raw::tagged(b'S', &[])].concat()).unwrap();
    let tags: Vec<u8> = (0..5).map(|_| raw::message(&mut session).0).collect();
    assert_eq!(tags, b"12DCZ");
}

fn one_after_another(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_again");
    let proxy = &proxy;
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        for (text, expected) in
            [("SELECT body FROM app.notes WHERE id = 1", "one"), ("SELECT body FROM app.notes WHERE id = 2", "two")]
        {
            let (got, ()) = tokio::join!(client.simple_query(text), async {
                tokio::task::block_in_place(|| decide(proxy, "approve"));
            });
            assert_eq!(rows(&got.unwrap()), [[expected]]);
        }
    });
    assert_eq!(proxy.audit(&["--event", "statement_held"]).len(), 2);
}

fn prepared(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_prepared");
    let proxy = &proxy;
    let grant = proxy.grant("alice", "notes", "10m");
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        let by_id = client.prepare("SELECT body FROM app.notes WHERE id = $1").await.unwrap();
        assert_eq!(client.query_one(&by_id, &[&1_i32]).await.unwrap().get::<_, &str>(0), "one");
        tokio::task::block_in_place(|| proxy.revoke(&grant));
        let (got, ()) = tokio::join!(client.query_one(&by_id, &[&2_i32]), async {
            tokio::task::block_in_place(|| decide(proxy, "approve"));
        });
        assert_eq!(got.unwrap().get::<_, &str>(0), "two");
    });
}

fn three_at_once(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_three");
    let proxy = &proxy;
    let held = || {
        let gauge = proxy.metrics();
        let line = gauge.lines().find(|line| line.starts_with("pgward_statements_held ")).unwrap().to_owned();
        line.trim_start_matches("pgward_statements_held ").to_owned()
    };
    let mut waiting: Vec<_> = (1..=3)
        .map(|id| {
            let mut psql = proxy.psql_with(&alice);
            psql.args(["-c", &format!("SELECT body FROM app.notes WHERE id = {id}")]);
            psql.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    crate::support::wait_until("three are held", std::time::Duration::from_secs(20), || held() == "3");
    let (_, err, ok) = proxy.sql(&alice, HELD);
    assert!(!ok && err.contains("3 statements of yours are, which is the most at once"), "{err}");
    for psql in &mut waiting {
        psql.kill().unwrap();
        psql.wait().unwrap();
    }
    crate::support::wait_until("none is held", std::time::Duration::from_secs(20), || held() == "0");
}

fn ticket(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_ticket");
    let proxy = &proxy;
    let (_, err, ok) = proxy.sql(&alice, "SELECT id FROM app.booked");
    assert!(!ok && err.contains("Approval cannot be asked for: scope \"booked\" needs a ticket"), "{err}");
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        client.batch_execute("SET pgward.reason = 'INC-7'").await.unwrap();
        let (got, ()) = tokio::join!(client.simple_query("SELECT id FROM app.booked"), async {
            tokio::task::block_in_place(|| {
                assert_eq!(pending(proxy)["ticket"], "INC-7");
                decide(proxy, "approve");
            });
        });
        assert_eq!(rows(&got.unwrap()), [["9"]]);
    });
}

fn behind_a_failure(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "held_failure");
    let mut session = raw::session(&proxy, &alice);
    let all = [raw::run_unnamed(FAILS), raw::run_unnamed(HELD), raw::tagged(b'S', &[])];
    session.write_all(&all.concat()).unwrap();
    let mut tags = Vec::new();
    while tags.last() != Some(&b'Z') {
        tags.push(raw::message(&mut session).0);
    }
    assert_eq!(tags, b"12EZ", "what would be held is skipped with the rest");
    assert_eq!(proxy.json("bob", &["requests", "--state", "pending"]).as_array().unwrap().len(), 0);
}
