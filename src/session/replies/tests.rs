//! Answers matched to what was asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::access::{GrantId, Guards};
use crate::sql::tree::CopyDirection;
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

fn running(grant: &str) -> Running {
    Running {
        seq: 1,
        data_region: None,
        grant: Some(GrantId::from_text(grant)),
        guards: Guards::default(),
        meter: None,
        rows: 0,
        bytes: 0,
        returned: 0,
        portal: None,
        copy: Some(CopyDirection::From),
        binary_copy: false,
        text: Arc::from("SELECT 1"),
        tag: None,
        started: Instant::now(),
        began: None,
        changes: Vec::new(),
        effect: Effect::None,
        ending: None,
        cut: false,
    }
}

fn owed(steps: &[(Step, Option<&str>)]) -> Replies {
    let mut replies = Replies::new(1 << 20, false, Arc::from([]));
    for (change, (step, grant)) in (1..).zip(steps) {
        let mut expected = Expected::new(*step, change);
        expected.statements.extend(grant.map(running));
        replies.push(expected);
    }
    replies
}

fn steps(replies: &Replies) -> Vec<Step> {
    replies.queue.iter().map(|expected| expected.step).collect()
}

fn feed(replies: &mut Replies, bytes: &[u8]) -> (Result<(), Violation>, Happened) {
    let mut happened = Happened::default();
    let result = replies.handle(&mut BytesMut::from(bytes), &mut Names::new(9, 9), &mut happened);
    (result, happened)
}

const COPY_IN: &[u8] = b"G\0\0\0\x07\0\0\0";
const EMPTY_QUERY: &[u8] = b"I\0\0\0\x04";

#[test]
fn what_copy_reads_as_its_data_is_not_awaited() {
    use Step::{CopyEnd, Execute, Parse, Query, Sync};
    let copy = Some("gr_a");
    let open = CopyIn::Open { held_sync: false };
    let table: &[(&[Step], &[Step], CopyIn)] = &[
        (&[Query], &[Query], open),
        (&[Query, CopyEnd, Query], &[Query, Query], CopyIn::No),
        (&[Query, Sync, Query, Query], &[Query, Query], CopyIn::No),
        (&[Execute, Sync], &[Execute], open),
        (&[Execute, Sync, Parse, Sync], &[Execute, Parse, Sync], CopyIn::No),
        (&[Execute, Sync, CopyEnd, Sync], &[Execute, Sync], CopyIn::No),
    ];
    for (before, after, copy_in) in table {
        let owed_steps: Vec<_> =
            before.iter().enumerate().map(|(at, step)| (*step, copy.filter(|_| at == 0))).collect();
        let mut replies = owed(&owed_steps);
        feed(&mut replies, COPY_IN).0.unwrap();
        assert_eq!((steps(&replies), replies.copy_in()), (after.to_vec(), *copy_in), "{before:?}");
    }
}

#[test]
fn marks_that_wait_for_nothing_do_not_count() {
    use Step::{CopyEnd, Query};
    let mut replies = owed(&[(Query, Some("gr_a")), (CopyEnd, None), (CopyEnd, None), (Query, None), (CopyEnd, None)]);
    feed(&mut replies, b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I").0.unwrap();
    assert_eq!(steps(&replies), [Query, CopyEnd]);
    feed(&mut replies, b"I\0\0\0\x04Z\0\0\0\x05I").0.unwrap();
    assert!(replies.is_idle());
}

#[test]
fn a_copy_behind_an_error_that_was_told_is_ended() {
    let mut replies = owed(&[(Step::Execute, Some("gr_a")), (Step::Sync, None)]);
    replies.muted = true;
    let (result, happened) = feed(&mut replies, COPY_IN);
    result.unwrap();
    assert!(happened.fail_copy && happened.out.iter().all(Bytes::is_empty));
    assert_eq!(replies.copy_in(), CopyIn::Open { held_sync: true });
}

#[test]
fn a_statement_where_the_upstream_saw_none_is_a_violation() {
    assert!(feed(&mut owed(&[(Step::Execute, Some("gr_a"))]), EMPTY_QUERY).0.is_err());
    assert!(feed(&mut owed(&[(Step::Execute, None)]), EMPTY_QUERY).0.is_ok());
}

#[test]
fn grants_that_end_are_found_where_their_statements_wait() {
    use Step::{Execute, Query, Sync};
    let (a, b) = (Some("gr_a"), Some("gr_b"));
    let behind = Overdue::Behind(GrantId::from_text("gr_b"));
    type Case<'a> = (&'a [(Step, Option<&'a str>)], Overdue);
    let table: &[Case<'_>] = &[
        (&[], Overdue::None),
        (&[(Query, a), (Query, a)], Overdue::None),
        (&[(Query, b), (Query, a)], Overdue::Running),
        (&[(Query, a), (Query, b)], behind.clone()),
        (&[(Execute, a), (Execute, b), (Sync, None)], Overdue::Running),
        (&[(Execute, a), (Sync, None), (Execute, b)], behind),
    ];
    for (steps, expected) in table {
        let mut replies = owed(steps);
        let over = |grant: &GrantId| {
            let message = ClientVisible::new(Severity::Error, sqlstate::INSUFFICIENT_PRIVILEGE, "over");
            (grant.as_str() == "gr_b").then_some((EndedBy::GrantRevoked, message))
        };
        assert_eq!(replies.end_where(over), *expected, "{steps:?}");
        let ends = replies.current().is_some_and(|running| running.ending.is_some());
        assert_eq!(ends, *expected == Overdue::Running, "{steps:?}");
    }
}
