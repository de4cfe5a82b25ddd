//! Reading: following, searching, stories, exporting.

use std::fs::OpenOptions;
use std::io::Write as _;

use super::*;
use crate::access::RequestId;

#[tokio::test]
async fn a_subscriber_sees_every_record_once_while_segments_turn() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_small(dir.path());
    let mut subscription = journal.subscribe(1);
    let reader = tokio::spawn(async move {
        let mut seqs = Vec::new();
        loop {
            let entries = subscription.next(7).await.unwrap();
            if entries.is_empty() {
                return seqs;
            }
            seqs.extend(entries.into_iter().map(|entry| entry.record.seq));
            if seqs.len() == 300 {
                return seqs;
            }
        }
    });
    fill(&journal, 300).await;
    assert_eq!(reader.await.unwrap(), (1..=300).collect::<Vec<u64>>());
    let mut late = journal.subscribe(299);
    assert_eq!(late.next(10).await.unwrap().len(), 2);
    drop(journal);
    assert!(late.next(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_line_that_is_being_written_does_not_count_yet() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()), 10).await;
    let path = only_segment(dir.path());
    let log = pieces(dir.path());
    let (last, whole) = log.split_last().unwrap();
    std::fs::write(&path, whole.concat()).unwrap();
    let mut reader = Reader::new(dir.path(), 9);
    assert_eq!(reader.read().unwrap().unwrap().record.seq, 9);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let (one, other) = last.split_at(20);
    // The first piece is of another frame, which the writer cut again.
    for piece in [&log[9][..30], one] {
        file.set_len(whole.concat().len() as u64).unwrap();
        file.write_all(piece).unwrap();
        assert_eq!(reader.read().unwrap(), None);
    }
    file.write_all(other).unwrap();
    assert_eq!(reader.read().unwrap().unwrap().record.seq, 10);
    assert_eq!(reader.read().unwrap(), None);
}

#[tokio::test]
async fn what_was_read_ahead_and_cut_again_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()), 10).await;
    let path = only_segment(dir.path());
    let log = pieces(dir.path());
    let mut reader = Reader::new(dir.path(), 9);
    assert_eq!(reader.read().unwrap().unwrap().record.seq, 9);
    // The writer cut record 10 and wrote another one in its place.
    let bytes = log[10][frame::PREFIX_BYTES..].to_vec();
    let bucket = frame::Frame::parse(&bytes).unwrap().bucket;
    let key = keys::KeyDirectory::of(dir.path()).read(bucket).unwrap().unwrap().record_key(10).unwrap();
    let other = Record { seq: 10, principal: Some("carol and others".to_owned()), ..event(Event::Cancel) };
    let mut piece = Vec::new();
    let start = frame::begin(true, 10, bucket, &mut piece);
    let payload = piece.len();
    piece.extend_from_slice(canonical::to_string(&other).as_bytes());
    key.seal(10, bucket, &mut piece, payload).unwrap();
    frame::end(start, &mut piece);
    std::fs::write(&path, [log[..10].concat(), piece].concat()).unwrap();
    reader.forget_ahead().unwrap();
    assert!(reader.read().unwrap().unwrap().record.concerns("carol and others"));
}

/// Two people's sessions under two grants.
async fn world(dir: &Path) -> Arc<Journal> {
    let journal = open_small(dir);
    for (principal, id, table) in [("alice", "1", "public.orders"), ("carol", "2", "eu.people")] {
        let access = |what: Event| {
            let mut record = event(what);
            record.principal = Some(principal.to_owned());
            record.request = Some(RequestId::from_text(format!("req_{id}")));
            record
        };
        journal.record(access(Event::RequestFiled)).await.unwrap();
        journal.record(access(Event::RequestApproved)).await.unwrap();
        let mut created = access(Event::GrantCreated);
        created.grant = Some(GrantId::from_text(format!("gr_{id}")));
        journal.record(created).await.unwrap();
        let session = format!("se_{id}");
        let named = |mut record: Record| {
            record.principal = Some(principal.to_owned());
            record
        };
        journal.record(named(of_session(&session, 1, Event::SessionOpen))).await.unwrap();
        for n in 0..10 {
            let mut record = named(statement(&session, n * 2 + 2, &format!("SELECT {n} FROM Straße")));
            record.relations[0].name = table.to_owned();
            let permit = Permit::for_test(GrantId::from_text(format!("gr_{id}")), None);
            let receipts = journal.admit(vec![(permit, record)]).await.unwrap();
            journal.record(named(end(&session, n * 2 + 3, receipts[0].seq()))).await.unwrap();
        }
        let mut denied = named(statement(&session, 22, "select secret"));
        denied.verdict = Some(RecordedVerdict::Deny);
        journal.record(denied).await.unwrap();
        journal.record(named(of_session(&session, 23, Event::SessionClose))).await.unwrap();
    }
    assert_eq!(brief(journal.verify()).problem, None);
    journal
}

#[tokio::test]
async fn filters_narrow() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = world(dir.path()).await;
    let some = |text: &str| Some(text.to_owned());
    let all = Filter::default;
    let statements = Filter { event: Some(Event::Statement), ..all() };
    let cases = [
        (all(), 53),
        (Filter { principal: some("alice"), ..all() }, 26),
        (Filter { principal: some("ali"), ..all() }, 0),
        (Filter { database: some("shop"), ..all() }, 46),
        (Filter { grant: some("gr_2"), ..all() }, 11),
        (Filter { session: some("se_1"), ..all() }, 23),
        (Filter { request: some("req_1"), ..all() }, 3),
        (Filter { relation: some("eu.people"), ..all() }, 10),
        (Filter { relation: some("people"), ..all() }, 10),
        (Filter { relation: some("eople"), ..all() }, 0),
        (Filter { relation: some("orders"), principal: some("carol"), ..all() }, 1),
        (Filter { verdict: Some(RecordedVerdict::Deny), ..all() }, 2),
        (Filter { text: some("from straße"), ..all() }, 20),
        (Filter { text: some("SECRET"), ..all() }, 2),
        (Filter { since: Some(Timestamp::UNIX_EPOCH), ..statements.clone() }, 22),
        (Filter { until: Some(Timestamp::UNIX_EPOCH), ..statements.clone() }, 0),
        (Filter { limit: Some(3), ..statements.clone() }, 3),
        (Filter { limit: Some(0), ..statements.clone() }, 0),
    ];
    for (filter, expected) in cases {
        let found = search(dir.path(), &filter, |_| true).unwrap();
        assert_eq!(found.len(), expected, "{filter:?}");
        assert!(found.iter().all(|entry| filter.matches(&entry.record)));
        assert!(found.windows(2).all(|pair| pair[0].record.seq < pair[1].record.seq));
    }
    let last = search(dir.path(), &Filter { limit: Some(1), ..statements }, |r| r.concerns("alice")).unwrap();
    assert_eq!(last[0].record.session_seq, Some(22));
    assert_eq!(last[0].record.principal.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_statement_tells_its_story() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = world(dir.path()).await;
    let tell = |selector: &str| story(dir.path(), &Selector::parse(selector), |_| true).unwrap();
    // 1 is the opening, 2 to 4 the access, 5 the session, 6 the first statement, 7 its end.
    for selector in ["6", "7"] {
        let story = tell(selector);
        let seqs = |records: &[Record]| records.iter().map(|record| record.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&story.access), [2, 3, 4]);
        assert_eq!(seqs(&story.sessions), [5, 27]);
        assert_eq!(story.statements.len(), 1);
        assert_eq!(story.statements[0].statement.seq, 6);
        assert_eq!(story.statements[0].end.as_ref().unwrap().seq, 7);
        assert!(story.other.is_empty());
    }
    let session = tell("se_2");
    assert_eq!(session.statements.len(), 11);
    assert_eq!(session.statements.iter().filter(|one| one.end.is_some()).count(), 10);
    assert_eq!(session.sessions.len(), 2);
    assert_eq!(session.access.len(), 3);
    assert_eq!(tell("fp21").statements.len(), 20);
    assert_eq!(tell("3").other.len(), 1);
    assert_eq!(tell("99999"), Story::default());
    let hidden = story(dir.path(), &Selector::Seq(6), |record| record.concerns("carol")).unwrap();
    assert_eq!(hidden, Story::default());
    let hidden = story(dir.path(), &Selector::parse("se_1"), |record| record.concerns("carol")).unwrap();
    assert_eq!(hidden, Story::default());
}

#[tokio::test]
async fn exports_are_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut record = statement("se_1", 1, "=1+1 \"x\",\n\u{1b}[0m\u{202e}");
    record.parameters = Some(vec![Some("a".to_owned()), None]);
    record.principal = Some("@evil".to_owned());
    journal.record(record).await.unwrap();
    let entries =
        search(dir.path(), &Filter { session: Some("se_1".to_owned()), ..Filter::default() }, |_| true).unwrap();
    let mut out = Vec::new();
    export(&entries, Format::JsonLines, &mut out).unwrap();
    assert_eq!(canonical::parse(out.strip_suffix(b"\n").unwrap()).unwrap(), entries[0].record);
    let mut out = Vec::new();
    export(&entries, Format::Csv, &mut out).unwrap();
    let csv = String::from_utf8(out).unwrap();
    let (header, row) = csv.split_once("\r\n").unwrap();
    assert!(header.starts_with("time,seq,event,session,"));
    assert!(row.starts_with("\"1970-01-01T00:00:00Z\",\"2\",\"statement\",\"se_1\",,\"'@evil\","), "{row}");
    assert!(row.contains("\"'=1+1 \"\"x\"\",\\n\\u001b[0m\\u202e\""), "{row}");
    assert!(row.contains("\"[\"\"a\"\",null]\""), "{row}");
    assert_eq!(row.matches('\n').count(), 1);
}
