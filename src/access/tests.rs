//! The rules of requests, approvals and grants, and the clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn person(name: &str, group: &str) -> Principal {
    Principal { name: name.into(), groups: vec![group.into()], region: None }
}

fn scope(approvals: u32) -> Scope {
    Scope {
        name: "orders-read".into(),
        database: "shop".into(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::Group("dba".into()), Subject::User("alice".into())],
        approvals,
        max_duration: Duration::from_secs(3600),
        guards: Guards::default(),
        rules: Rules::default(),
        allow: vec![],
    }
}

fn asked() -> NewRequest {
    NewRequest { reason: "refund".into(), ticket: None, duration: Duration::from_secs(1800), ..NewRequest::default() }
}

fn filed(approvals: u32) -> AccessRequest {
    AccessRequest::file(person("alice", "dev"), scope(approvals), asked(), noon()).unwrap()
}

fn approve(request: &mut AccessRequest, by: &str, now: Timestamp) -> Result<Option<Grant>, ApprovalRefused> {
    request.decide(&person(by, "dba"), Ruling::of(Decision::Approve, None), now)
}

#[test]
fn a_subject_names_a_user_or_a_group_and_never_the_other() {
    let alice = person("alice", "dev");
    for (text, expected) in [
        ("alice", true),
        ("@dev", true),
        ("dev", false),
        ("@alice", false),
        ("Alice", false),
        ("@", false),
        ("", false),
    ] {
        let subject = Subject::from(text.to_owned());
        assert_eq!(subject.names(&alice), expected, "{text}");
        assert_eq!(subject.to_string(), text);
    }
}

#[test]
fn object_patterns_read_and_match() {
    // Pattern, how it prints, and (schema, name, whether it matches).
    type Matches = &'static [(&'static str, &'static str, bool)];
    let cases: &[(&str, &str, Matches)] = &[
        ("orders", "public.orders", &[("public", "orders", true), ("eu", "orders", false), ("public", "order", false)]),
        ("eu.orders", "eu.orders", &[("eu", "orders", true), ("public", "orders", false), ("eu", "ORDERS", false)]),
        ("eu.*", "eu.*", &[("eu", "orders", true), ("eu", "*", true), ("eu2", "orders", false)]),
        ("*.*", "*.*", &[("eu", "orders", true), ("pg_catalog", "pg_authid", true)]),
        ("*", "public.*", &[("public", "orders", true), ("eu", "orders", false)]),
        ("Eu.Orders", "Eu.Orders", &[("Eu", "Orders", true), ("eu", "orders", false)]),
        ("a.\"b.c\"", "a.\"b.c\"", &[("a", "b.c", true), ("a", "b", false)]),
        ("\"a\"\"b\".c", "\"a\"\"b\".c", &[("a\"b", "c", true)]),
        ("eu.\"*\"", "eu.\"*\"", &[("eu", "*", true), ("eu", "orders", false)]),
        ("eu.ord*", "eu.\"ord*\"", &[("eu", "ord*", true), ("eu", "orders", false)]),
    ];
    for (text, printed, matches) in cases {
        let pattern = ObjectPattern::parse(text).unwrap();
        assert_eq!(pattern.to_string(), *printed);
        assert_eq!(ObjectPattern::parse(printed), Ok(pattern.clone()), "what is printed reads back");
        for (schema, name, expected) in *matches {
            assert_eq!(pattern.matches(schema, name), *expected, "{text} on {schema}.{name}");
        }
    }
    for text in ["", ".", "a.", ".b", "a.b.c", "\"a", "a.\"b", "a..b", "\"\".b"] {
        assert!(ObjectPattern::parse(text).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_object_can_be_named(schema in "[a-zA-Z0-9 .*\"é-]{1,8}", name in "[a-zA-Z0-9 .*\"é-]{1,8}") {
        let pattern = ObjectPattern { schema: Some(schema.clone()), name: Some(name.clone()) };
        assert_eq!(ObjectPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
        assert!(pattern.matches(&schema, &name));
        assert!(!pattern.matches(&name, &format!("{schema}x")));
    }
}

#[test]
fn a_table_is_named_more_closely_than_its_schema() {
    let specificity = |text: &str| ObjectPattern::parse(text).unwrap().specificity();
    assert!(specificity("eu.orders") > specificity("*.orders"));
    assert!(specificity("*.orders") > specificity("eu.*"));
    assert!(specificity("eu.*") > specificity("*.*"));
}

#[test]
fn operation_sets_hold_what_was_put_in() {
    let set = OperationSet::of(&[Operation::Select, Operation::Ddl]);
    let held: Vec<Operation> = set.iter().collect();
    assert_eq!(held, [Operation::Select, Operation::Ddl]);
    assert!(!set.contains(Operation::Insert) && !set.is_empty() && OperationSet::default().is_empty());
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(json, "[\"select\",\"ddl\"]");
    assert_eq!(serde_json::from_str::<OperationSet>(&json).unwrap(), set);
}

#[test]
fn the_most_specific_network_decides() {
    let network = |text: &str, region: &str| (text.parse().unwrap(), Region::new(region));
    let networks = RegionNetworks::new(vec![
        network("10.0.0.0/8", "us"),
        network("10.20.0.0/16", "eu"),
        network("::1/128", "us"),
        network("fd00::/8", "eu"),
    ]);
    for (address, expected) in [
        ("10.20.1.1", Some("eu")),
        ("10.21.1.1", Some("us")),
        ("::ffff:10.20.1.1", Some("eu")),
        ("::1", Some("us")),
        ("fd12::1", Some("eu")),
        ("192.168.1.1", None),
        ("::", None),
    ] {
        let region = networks.region_of(address.parse().unwrap());
        assert_eq!(region.map(Region::as_str), expected, "{address}");
    }
}

#[test]
fn the_clock_never_goes_back() {
    let clock = Clock::default();
    let mut last = clock.now();
    for _ in 0..1000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
    // A floor in the future stands for a wall clock that was set back before a restart.
    let floor = Timestamp::now() + SignedDuration::from_hours(1);
    let clock = Clock::starting_at(Some(floor));
    let first = clock.now();
    assert!(first >= floor);
    assert!(clock.now() >= first);
    let past = Timestamp::now() - SignedDuration::from_hours(1);
    assert!(Clock::starting_at(Some(past)).now() > past + SignedDuration::from_mins(59), "an old floor holds nothing");
    assert_eq!(Clock::starting_at(Some(Timestamp::MAX)).now(), Timestamp::MAX, "and none overflows");
}

#[test]
fn a_clock_that_is_told_goes_by_that_alone() {
    use std::time::Instant;
    let said = |said: Timestamp| {
        let now = Instant::now();
        crate::access::ClockReading { asked: now, said, answered: now }
    };
    let (hour, slack) = (SignedDuration::from_hours(1), SignedDuration::from_secs(30));
    let real = Timestamp::now();
    // The wall is an hour ahead of the reference, or an hour behind it.
    for there in [real - hour, real + hour] {
        let clock = Clock::told(said(there), None);
        let off = clock.now().duration_since(there).abs();
        assert!(off < slack, "{off}");
        let skew = clock.learn(said(clock.now()));
        assert!((skew - real.duration_since(there)).abs() < slack, "{skew}");
    }
    let clock = Clock::told(said(real), None);
    clock.learn(said(real + hour));
    assert!(clock.now() >= real + hour, "what is later counts at once");
    clock.learn(said(real));
    let first = clock.now();
    assert!(first >= real + hour && clock.now() >= first, "it does not go back");
    std::thread::sleep(Duration::from_millis(50));
    let passed = clock.now().duration_since(first);
    assert!(passed < SignedDuration::from_millis(50) && passed > SignedDuration::ZERO, "but slower: {passed}");
}

#[test]
fn who_may_file_what() {
    let refused =
        |principal: Principal, new: NewRequest| AccessRequest::file(principal, scope(1), new, noon()).unwrap_err();
    let alice = || person("alice", "dev");
    assert_eq!(refused(person("eve", "sales"), asked()), RequestRefused::NotRequester("orders-read".into()));
    let hour = Duration::from_secs(3600);
    let long = NewRequest { duration: hour + Duration::from_nanos(1), ..asked() };
    assert_eq!(refused(alice(), long), RequestRefused::TooLong { scope: "orders-read".into(), max: hour });
    let short = NewRequest { duration: Duration::from_millis(999), ..asked() };
    assert_eq!(refused(alice(), short), RequestRefused::NoDuration);
    assert_eq!(refused(alice(), NewRequest { reason: " \t\n".into(), ..asked() }), RequestRefused::NoReason);
    assert_eq!(refused(alice(), NewRequest { starts: Some(after(-1)), ..asked() }), RequestRefused::StartsInPast);
    let longest = NewRequest { duration: hour, starts: Some(noon()), ..asked() };
    assert_eq!(AccessRequest::file(alice(), scope(1), longest, noon()).unwrap().state, RequestState::Pending);
}

#[test]
fn who_may_decide() {
    let mut request = filed(2);
    assert_eq!(approve(&mut request, "alice", noon()), Err(ApprovalRefused::OwnRequest));
    let outsider = request.decide(&person("eve", "dev"), Ruling::of(Decision::Deny, None), noon());
    assert_eq!(outsider, Err(ApprovalRefused::NotApprover("orders-read".into())));
    assert_eq!(approve(&mut request, "bob", noon()), Ok(None));
    assert_eq!(approve(&mut request, "bob", noon()), Err(ApprovalRefused::AlreadyDecided));
    let grant = approve(&mut request, "carol", after(5)).unwrap().unwrap();
    assert_eq!(grant.approvers, ["bob", "carol"]);
    assert_eq!((grant.not_before, grant.expires_at), (after(5), after(1805)));
    assert_eq!(request.state, RequestState::Approved);
    let late = approve(&mut request, "dave", after(6));
    assert_eq!(late, Err(ApprovalRefused::NotPending(RequestState::Approved)));
}

#[test]
fn one_no_ends_a_request() {
    let mut request = filed(2);
    approve(&mut request, "bob", noon()).unwrap();
    assert_eq!(
        request.decide(&person("carol", "dba"), Ruling::of(Decision::Deny, Some("why?".into())), noon()),
        Ok(None)
    );
    assert_eq!(request.state, RequestState::Denied);
    assert_eq!(approve(&mut request, "dave", noon()), Err(ApprovalRefused::NotPending(RequestState::Denied)));
}

#[test]
fn pending_requests_run_out() {
    let day = 24 * 3600;
    let mut request = filed(1);
    request.expire(after(day - 1));
    assert_eq!(request.state, RequestState::Pending);
    assert_eq!(approve(&mut request, "bob", after(day)), Err(ApprovalRefused::NotPending(RequestState::Expired)));
    let withdrawn = request.withdraw(&person("alice", "dev"), after(day));
    assert_eq!(withdrawn, Err(WithdrawalRefused::NotPending(RequestState::Expired)));
}

#[test]
fn only_the_requester_withdraws() {
    let mut request = filed(1);
    assert_eq!(request.withdraw(&person("bob", "dba"), noon()), Err(WithdrawalRefused::NotOwn));
    assert_eq!(request.withdraw(&person("alice", "dev"), noon()), Ok(()));
    assert_eq!(approve(&mut request, "bob", noon()), Err(ApprovalRefused::NotPending(RequestState::Withdrawn)));
}

#[test]
fn a_start_ahead_moves_the_whole_window() {
    let new = NewRequest { starts: Some(after(600)), ..asked() };
    let mut request = AccessRequest::file(person("alice", "dev"), scope(1), new, noon()).unwrap();
    let mut late = request.clone();
    let grant = approve(&mut request, "bob", after(1)).unwrap().unwrap();
    assert_eq!((grant.not_before, grant.expires_at), (after(600), after(2400)));
    let grant = approve(&mut late, "bob", after(700)).unwrap().unwrap();
    assert_eq!(grant.not_before, after(700), "approved late, it begins late, and is as long");
    assert_eq!(grant.expires_at, after(2500));
}

#[test]
fn every_edit_changes_the_digest() {
    let request = filed(1);
    type Edit = fn(&mut AccessRequest);
    let edits: [Edit; 18] = [
        |r| r.id = RequestId::from_text("req_other"),
        |r| r.principal.name = "mallory".into(),
        |r| r.principal.groups.push("dba".into()),
        |r| r.scope.regions.push(Region::new("eu")),
        |r| r.scope.guards.row_limit = Some(1),
        |r| r.scope.guards.byte_limit = Some(1),
        |r| r.scope.guards.statement_timeout = Some(Duration::from_secs(1)),
        |r| r.scope.guards.unfiltered_writes = true,
        |r| r.scope.guards.require_reason = true,
        |r| r.scope.guards.read_only = Some(false),
        |r| r.scope.approvals = 2,
        |r| {
            r.scope.allow.push(Privilege {
                on: vec![],
                columns: None,
                operations: OperationSet::default(),
                functions: vec![],
            })
        },
        |r| r.reason.push('!'),
        |r| r.ticket = Some(String::new()),
        |r| r.duration += Duration::from_nanos(1),
        |r| r.starts = Some(noon()),
        |r| r.statement = Some("SELECT 1".into()),
        |r| r.created_at = after(1),
    ];
    let digest = request.digest();
    assert_eq!(digest.len(), 64);
    for (position, edit) in edits.iter().enumerate() {
        let mut edited = request.clone();
        edit(&mut edited);
        assert_ne!(edited.digest(), digest, "edit {position}");
    }
    let mut decided = request.clone();
    approve(&mut decided, "bob", noon()).unwrap();
    assert_eq!(decided.digest(), digest, "a decision is no edit");
    assert_eq!(decided.approvals[0].digest, digest);
}

#[test]
fn a_scope_is_read_only_where_nothing_in_it_writes() {
    let reads = Privilege {
        on: vec![ObjectPattern::parse("public.orders").unwrap()],
        columns: None,
        operations: OperationSet::of(&[Operation::Select]),
        functions: vec![],
    };
    let writes = Privilege { operations: OperationSet::of(&[Operation::Select, Operation::Insert]), ..reads.clone() };
    let calls = Privilege {
        on: vec![],
        columns: None,
        operations: OperationSet::default(),
        functions: vec![ObjectPattern::parse("public.f").unwrap()],
    };
    let check = |allow: &[&Privilege], said: Option<bool>, expected: bool| {
        let allow = allow.iter().map(|privilege| (*privilege).clone()).collect();
        let scope = Scope { allow, guards: Guards { read_only: said, ..Guards::default() }, ..scope(1) };
        assert_eq!(scope.is_read_only(), expected, "{scope:?}");
    };
    check(&[&reads], None, true);
    check(&[&reads, &writes], None, false);
    check(&[&reads, &calls], None, false);
    check(&[&reads, &calls], Some(true), true);
    check(&[&reads], Some(false), false);
}

#[test]
fn a_scope_stored_before_there_were_guards_still_reads() {
    let scope = scope(1);
    let stored = serde_json::to_value(&scope).unwrap();
    assert_eq!(stored["row_limit"], serde_json::Value::Null);
    assert!(stored.get("byte_limit").is_none() && stored.get("guards").is_none());
    assert_eq!(serde_json::from_value::<Scope>(stored).unwrap(), scope);
}

#[test]
fn an_edit_voids_earlier_approvals() {
    let mut request = filed(2);
    approve(&mut request, "bob", noon()).unwrap();
    request.duration *= 2;
    assert_eq!(approve(&mut request, "carol", noon()), Ok(None), "bob's yes was for something else");
    assert_eq!(request.state, RequestState::Pending);
    let grant = approve(&mut request, "dave", noon()).unwrap().unwrap();
    assert_eq!(grant.approvers, ["carol", "dave"]);
}

#[test]
fn no_forged_approval_counts() {
    let mut request = filed(2);
    for (by, at) in [("alice", 0), ("bob", 1), ("bob", 2)] {
        let (approver, digest) = (by.to_owned(), request.digest());
        request.approvals.push(Approval {
            approver,
            groups: vec!["dba".to_owned()],
            decision: Decision::Approve,
            note: None,
            at: after(at),
            digest,
        });
    }
    request.requirements[0].count = 3;
    let digest = request.digest();
    request.approvals.iter_mut().for_each(|approval| approval.digest.clone_from(&digest));
    assert_eq!(approve(&mut request, "carol", noon()), Ok(None), "bob twice and carol are two, alice none");
    let mut free = filed(0);
    assert_eq!(free.approvals, [], "no scope gives access by itself");
    assert!(free.decide(&person("bob", "dba"), Ruling::of(Decision::Deny, None), noon()).unwrap().is_none());
}

#[test]
fn a_grant_lives_for_exactly_its_window() {
    let mut request = AccessRequest { starts: Some(after(600)), ..filed(1) };
    let mut grant = approve(&mut request, "bob", noon()).unwrap().unwrap();
    for (seconds, expected) in [
        (0, GrantState::Pending),
        (599, GrantState::Pending),
        (600, GrantState::Live),
        (2399, GrantState::Live),
        (2400, GrantState::Expired),
    ] {
        assert_eq!(grant.state_at(after(seconds)), expected, "{seconds}");
        assert_eq!(grant.is_live_at(after(seconds)), expected == GrantState::Live);
    }
    grant.revocation = Some(Revocation { at: after(700), by: "bob".into(), reason: None });
    for seconds in [0, 600, 2400] {
        assert_eq!(grant.state_at(after(seconds)), GrantState::Revoked);
    }
}

#[test]
fn ids_are_told_apart_and_sort_by_age() {
    let ids: Vec<GrantId> = (0..100).map(|_| GrantId::generate()).collect();
    assert!(ids.is_sorted());
    assert!(ids[0].as_str().starts_with("gr_") && ids[0] != ids[1]);
    assert!(SessionId::generate().as_str().starts_with("se_") && RequestId::generate().as_str().starts_with("req_"));
}

/// A scope with the rules.
fn ruled(rules: Rules) -> Scope {
    Scope { rules, ..scope(1) }
}

fn privacy(labels: &[&str], over: Option<u64>) -> ApprovalRule {
    ApprovalRule {
        over: over.map(Duration::from_secs),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        outside: None,
        approvers: vec![Subject::Group("privacy".into())],
        approvals: 1,
    }
}

fn ask(scope: &Scope, new: NewRequest) -> Result<AccessRequest, RequestRefused> {
    AccessRequest::file(person("alice", "dev"), scope.clone(), new, noon())
}

#[test]
fn labelled_data_needs_its_own_approvers_and_nobody_is_two_people() {
    let rules = Rules { labels: vec!["pii".into()], approval_rules: vec![privacy(&["pii"], None)], ..Rules::default() };
    let mut request = ask(&ruled(rules), asked()).unwrap();
    let both = Principal { groups: vec!["dba".into(), "privacy".into()], ..person("bob", "dba") };
    let yes = || Ruling::of(Decision::Approve, None);
    assert_eq!(request.decide(&both, yes(), noon()), Ok(None), "one person is not two, whatever groups they are in");
    assert_eq!(request.given().concat(), ["bob"]);
    assert_eq!(request.decide(&both, yes(), noon()), Err(ApprovalRefused::AlreadyDecided));
    let grant = request.decide(&person("pia", "privacy"), yes(), noon()).unwrap().unwrap();
    assert_eq!(grant.approvers, ["bob", "pia"]);
}

#[test]
fn an_edited_request_loses_its_approvals_and_what_was_shown_no_longer_counts() {
    let mut request = filed(2);
    let shown = request.digest();
    assert_eq!(approve(&mut request, "bob", noon()), Ok(None));
    let longer = Changes { duration: Some(Duration::from_secs(3000)), ..Changes::default() };
    assert_eq!(request.edit(&person("bob", "dba"), longer.clone(), noon()), Err(EditRefused::NotOwn));
    request.edit(&person("alice", "dev"), longer, noon()).unwrap();
    assert_eq!(request.given(), [Vec::<String>::new()]);
    let of_before = Ruling { shown: Some(shown), ..Ruling::of(Decision::Approve, None) };
    assert_eq!(request.decide(&person("carol", "dba"), of_before, noon()), Err(ApprovalRefused::Edited));
    assert_eq!(approve(&mut request, "carol", noon()), Ok(None));
    let grant = approve(&mut request, "bob", noon()).unwrap().unwrap();
    assert_eq!(grant.approvers, ["carol", "bob"], "who had approved may do so again");
    assert_eq!(grant.expires_at, after(3000));
    let too_long = Changes { duration: Some(Duration::from_secs(3601)), ..Changes::default() };
    let refused = filed(1).edit(&person("alice", "dev"), too_long, noon());
    assert!(matches!(refused, Err(EditRefused::Refused(RequestRefused::TooLong { .. }))));
}

#[test]
fn a_rule_approves_only_short_requests_that_no_other_rule_speaks_of() {
    let rules = Rules { auto_approve: Some(Duration::from_secs(1800)), ..Rules::default() };
    let grant = |rules: &Rules, seconds: u64| {
        let new = NewRequest { duration: Duration::from_secs(seconds), ..asked() };
        let mut request = ask(&ruled(rules.clone()), new).unwrap();
        request.approve_by_rule(noon())
    };
    let given = grant(&rules, 1800).unwrap();
    assert_eq!((given.origin, given.approvers.len()), (Origin::Rule, 0));
    assert!(grant(&rules, 1801).is_none());
    let labelled = Rules { labels: vec!["pii".into()], ..rules.clone() };
    assert!(grant(&labelled, 60).is_none());
    let ruled = Rules { approval_rules: vec![privacy(&[], Some(600))], ..rules };
    assert!(grant(&ruled, 601).is_none());
    assert!(grant(&ruled, 600).is_some());
    assert!(grant(&Rules::default(), 60).is_none(), "off unless the scope says so");
}

#[test]
fn a_prolonged_grant_ends_so_long_after_the_one_before() {
    let rules = Rules { approval_rules: vec![privacy(&[], Some(2400))], ..Rules::default() };
    let extends = Some(Extension { grant: GrantId::from_text("gr_1"), ends: after(900) });
    let mut request = ask(&ruled(rules), NewRequest { extends, ..asked() }).unwrap();
    assert_eq!(request.requirements.len(), 2, "what is open in all is what the rules look at");
    approve(&mut request, "bob", noon()).unwrap();
    let yes = Ruling::of(Decision::Approve, None);
    let grant = request.decide(&person("pia", "privacy"), yes, noon()).unwrap().unwrap();
    assert_eq!((grant.not_before, grant.expires_at), (noon(), after(900 + 1800)));
}

#[test]
fn tickets_and_uses_are_asked_for_where_they_belong() {
    let scope = ruled(Rules { require_ticket: true, ..Rules::default() });
    assert_eq!(ask(&scope, asked()).unwrap_err(), RequestRefused::NoTicket("orders-read".into()));
    assert!(ask(&scope, NewRequest { ticket: Some(" ".into()), ..asked() }).is_err());
    assert!(ask(&scope, NewRequest { ticket: Some("T-1".into()), ..asked() }).is_ok());
    let twice = NewRequest { uses: Some(2), ..asked() };
    assert_eq!(ask(&ruled(Rules::default()), twice.clone()).unwrap_err(), RequestRefused::Uses);
    assert!(ask(&ruled(Rules::default()), NewRequest { statement: Some("SELECT 1".into()), ..twice }).is_ok());
}

#[test]
fn the_glass_is_broken_by_those_named_alone_and_reviewed_by_others() {
    let emergency = BreakGlass {
        who: vec![Subject::User("alice".into())],
        max_duration: Duration::from_secs(7200),
        alert: Vec::new(),
        review_within: Duration::from_secs(86_400),
    };
    let scope = ruled(Rules { break_glass: Some(emergency), require_ticket: true, ..Rules::default() });
    let open = |name: &str, scope: &Scope, seconds: u64| {
        let new = NewRequest { duration: Duration::from_secs(seconds), ..asked() };
        AccessRequest::break_glass(person(name, "dev"), scope.clone(), new, noon())
    };
    assert!(matches!(open("carl", &scope, 60), Err(RequestRefused::NotBreakGlass(_))));
    assert!(matches!(open("alice", &ruled(Rules::default()), 60), Err(RequestRefused::NotBreakGlass(_))));
    assert!(matches!(open("alice", &scope, 7201), Err(RequestRefused::TooLong { .. })));
    let (request, grant, mut review) = open("alice", &scope, 7200).unwrap();
    assert_eq!((request.state, grant.origin), (RequestState::Approved, Origin::BreakGlass));
    assert_eq!(review.due, after(86_400));
    assert_eq!(review.close(&grant, &person("alice", "dba"), "fine", noon()), Err(ReviewRefused::Own));
    assert!(matches!(review.close(&grant, &person("eve", "dev"), "fine", noon()), Err(ReviewRefused::NotReviewer(_))));
    assert_eq!(review.close(&grant, &person("bob", "dba"), " ", noon()), Err(ReviewRefused::NoNote));
    review.close(&grant, &person("bob", "dba"), "it had to be", noon()).unwrap();
    let again = review.close(&grant, &person("dave", "dba"), "again", noon());
    assert_eq!(again, Err(ReviewRefused::Closed("bob".into())));
}
