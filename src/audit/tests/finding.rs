//! Finding: what an index answers is what reading everything answers, whatever became of the index.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::access::{Region, RequestId};

/// A log of such records, in segments so small that statements and their ends come apart.
fn write_log(dir: &Path, records: Vec<Record>) {
    write_log_to(settings(dir, Durability::Written), records);
}

fn write_log_to(settings: Settings, records: Vec<Record>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tuning = Tuning { segment_bytes: 4096, ..Tuning::default() };
    let medium = Directory::lock(&settings.dir).unwrap();
    let journal = Journal::open_on(settings, Box::new(medium), tuning).unwrap();
    for batch in records.chunks(7) {
        runtime.block_on(journal.record_all(batch.to_vec())).unwrap();
    }
}

/// A journal whose records of region eu lie in a directory of their own.
fn with_region(dir: &Path) -> Settings {
    let mut settings = settings(&dir.join("main"), Durability::Written);
    let retention = settings.shelves[0].retention.clone();
    settings.signing_key = dir.join("signing.key");
    settings.shelves.push(Shelf { region: Some(Region::new("eu")), dir: Some(dir.join("eu")), retention });
    settings
}

/// Makes the indexes that are missing; answers how many.
fn make_indexes(places: &Places) -> usize {
    let dirs = std::iter::once(&places.main).chain(&places.regions);
    dirs.map(|dir| index::bring_up_to_date(dir).unwrap()).sum()
}

/// What is found by reading every record, with no help.
fn read_all(places: impl Into<Places>, filter: &Filter, visible: impl Fn(&Record) -> bool) -> Vec<u64> {
    let mut reader = Reader::new(places, 1);
    let mut records = Vec::new();
    while let Some(entry) = reader.read().unwrap() {
        records.push(entry.record);
    }
    let is_end = |record: &&Record| record.event == Event::StatementEnd;
    let ends: HashMap<u64, &Record> =
        records.iter().filter(is_end).filter_map(|end| Some((end.statement_seq?, end))).collect();
    let prepared = filter.prepare();
    let end_of = |record: &Record| ends.get(&record.seq).copied().filter(|_| record.event == Event::Statement);
    let found = records.iter().filter(|record| prepared.matches(record, end_of(record)) && visible(record));
    let mut seqs: Vec<u64> = found.map(|record| record.seq).collect();
    seqs.drain(..seqs.len().saturating_sub(filter.limit.unwrap_or(usize::MAX)));
    seqs
}

fn found(finder: &Finder, filter: &Filter, visible: impl Fn(&Record) -> bool) -> Vec<u64> {
    finder.search(filter, visible).unwrap().into_iter().map(|entry| entry.record.seq).collect()
}

fn index_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("index"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "Łukasz \"x\""];
const TEXTS: [&str; 7] = [
    "select id from orders where id = 4711",
    "SELECT * FROM Straße",
    "update customers set name = 'ORDERS'",
    "x",
    "",
    "sélect İstanbul",
    "select o.id, p.name from orders o join products p on p.id = o.product_id",
];
const NEEDLES: [&str; 9] = ["orders", "STRASSE", "straße", "x", "er", "4711", "i̇stanbul", "no such thing", ""];
const TABLES: [&str; 3] = ["public.orders", "eu.orders", "public.a.b"];
const COLUMNS: [&str; 4] = ["id", "*", "email", "b.id"];
const NAMES: [&str; 12] = [
    "public.orders",
    "orders",
    "rders",
    "eu.orders.id",
    "orders.email",
    "email",
    "b.id",
    "id",
    "a.b.id",
    "*",
    "orders.*",
    "b",
];

/// One record but for what it ends; the number says which running statement that is.
fn any_record() -> impl Strategy<Value = (Record, usize)> {
    let who = (select(&PEOPLE[..]), select(vec!["shop", "crm"]), 0..3_u8, select(vec!["us", "eu", "us"]));
    let what = (
        select(vec![
            Event::Statement,
            Event::Statement,
            Event::StatementEnd,
            Event::StatementEnd,
            Event::GrantCreated,
            Event::SessionOpen,
        ]),
        proptest::option::of(select(&TEXTS[..])),
        proptest::collection::vec((select(&TABLES[..]), proptest::collection::vec(select(&COLUMNS[..]), 0..3)), 0..3),
        proptest::option::of(any::<bool>()),
        select(vec!["SELECT", "UPDATE", "CREATE TABLE"]),
    );
    let how = (
        proptest::option::of(select(vec![0, 1, 3, 1000, 1001, u64::MAX])),
        proptest::option::of(select(vec!["42501", "57P01", "0A000"])),
        any::<u8>().prop_map(usize::from),
        0..5_i64,
    );
    (who, what, how).prop_map(
        |((principal, database, number, region), (event, text, relations, allowed, kind), how)| {
            let (rows, sqlstate, which, jitter) = how;
            let mut record = Record::new(Timestamp::from_millisecond(jitter * 1000).unwrap(), event);
            record.principal = Some(principal.to_owned());
            record.session = Some(SessionId::from_text(format!("se_{number}")));
            if event == Event::StatementEnd {
                record.rows = rows;
                record.sqlstate = sqlstate.map(str::to_owned);
                return (record, which);
            }
            record.database = Some(database.to_owned());
            record.client_region = Some(Region::new(region));
            record.upstream_region = Some(Region::new("us"));
            // Its end does not say so: it is kept elsewhere.
            record.data_region = (region == "eu" && which > 99).then(|| Region::new("eu"));
            record.grant = Some(GrantId::from_text(format!("gr_{number}")));
            record.request = Some(RequestId::from_text(format!("req_{number}")));
            record.statement = text.map(str::to_owned);
            record.kind = Some(kind.to_owned());
            record.fingerprint = text.map(|text| format!("fp{}", text.len()));
            record.verdict =
                allowed.map(|allowed| if allowed { RecordedVerdict::Allow } else { RecordedVerdict::Deny });
            record.rule = (allowed == Some(false)).then(|| "scope".to_owned());
            record.relations = relations
                .into_iter()
                .map(|(name, columns)| RecordedRelation {
                    name: name.to_owned(),
                    operation: Operation::Select,
                    columns: columns.into_iter().map(str::to_owned).collect(),
                })
                .collect();
            (record, which)
        },
    )
}

/// Gives the records times that go on, though not strictly, and ends statements that run.
fn any_log() -> impl Strategy<Value = Vec<Record>> {
    proptest::collection::vec(any_record(), 1..150).prop_map(|records| {
        let mut running = Vec::new();
        let mut log = Vec::new();
        for ((mut record, which), seq) in records.into_iter().zip(2_u64..) {
            record.time += jiff::SignedDuration::from_secs(i64::try_from(seq).unwrap());
            if record.event == Event::Statement {
                running.push(seq);
            }
            if record.event == Event::StatementEnd && !running.is_empty() {
                record.statement_seq = Some(running.swap_remove(which % running.len()));
            }
            log.push(record);
        }
        log
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let text = |words: &'static [&'static str]| proptest::option::weighted(0.12, select(words).prop_map(str::to_owned));
    let when =
        || proptest::option::weighted(0.15, (0..160_i64).prop_map(|second| Timestamp::from_second(second).unwrap()));
    let rows = select(vec!["0", ">0", "<3", "1..1000", ">1000", ">=1000"]).prop_map(|text| text.parse().unwrap());
    let names = (
        text(&PEOPLE),
        text(&["shop", "crm", "sho"]),
        text(&["gr_0", "gr_1", "gr_9"]),
        text(&["se_0", "se_2"]),
        text(&["req_1"]),
        text(&NAMES),
        text(&NAMES),
        text(&["select", "Create Table", "DELETE"]),
    );
    let others = (
        text(&["us", "eu", "ap"]),
        proptest::option::weighted(0.15, select(vec![RecordedVerdict::Allow, RecordedVerdict::Deny])),
        proptest::option::weighted(
            0.15,
            select(vec![Event::Statement, Event::StatementEnd, Event::GrantCreated, Event::JournalOpened]),
        ),
        text(&["fp1", "fp37"]),
        text(&["scope"]),
        text(&["42501", "57p01"]),
        proptest::option::weighted(0.2, rows),
        text(&NEEDLES),
    );
    (names, others, when(), when(), proptest::option::weighted(0.3, 0..12_usize)).prop_map(
        |(names, others, since, until, limit)| {
            let (principal, database, grant, session, request, relation, column, kind) = names;
            let (region, verdict, event, fingerprint, rule, sqlstate, rows, text) = others;
            Filter {
                principal,
                database,
                grant,
                session,
                request,
                relation,
                column,
                kind,
                region,
                verdict,
                event,
                fingerprint,
                rule,
                sqlstate,
                rows,
                text,
                since,
                until,
                limit,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn an_index_answers_what_reading_everything_answers(
        log in any_log(),
        filters in proptest::collection::vec(any_filter(), 1..12),
        viewer in proptest::option::of(select(&PEOPLE[..])),
        dropped in any::<u8>(),
        regional in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let settings = if regional { with_region(dir.path()) } else { settings(dir.path(), Durability::Written) };
        let places = settings.places();
        write_log_to(settings, log);
        let visible = |record: &Record| viewer.is_none_or(|viewer| record.concerns(viewer));
        let expected: Vec<_> = filters.iter().map(|filter| read_all(&places, filter, visible)).collect();
        let check = |finder: &Finder, state: &str| {
            for (filter, expected) in filters.iter().zip(&expected) {
                assert_eq!(&found(finder, filter, visible), expected, "{state}: {filter:?}");
            }
        };
        let all_files = || -> Vec<PathBuf> {
            std::iter::once(&places.main).chain(&places.regions).flat_map(|dir| index_files(dir)).collect()
        };
        for file in all_files() {
            fs::remove_file(file).unwrap();
        }
        check(&Finder::new(&places), "without an index");
        let segments_in = |dir: &PathBuf| segment::Segment::list(dir).unwrap().len().saturating_sub(1);
        let finished: usize = std::iter::once(&places.main).chain(&places.regions).map(segments_in).sum();
        prop_assert_eq!(make_indexes(&places), finished);
        let finder = Finder::new(&places);
        check(&finder, "with an index");
        check(&finder, "with an index that is kept");
        if let Some(file) = all_files().get(usize::from(dropped) % finished.max(1)) {
            fs::remove_file(file).unwrap();
            check(&finder, "with one index missing");
        }
    }
}

/// Forty statements and their ends, in several segments.
fn sample(dir: &Path) -> Vec<u64> {
    let log = (0..40_u64).flat_map(|n| {
        let mut one = statement("se_1", 0, &format!("select {n} from orders"));
        one.time = Timestamp::from_second(i64::try_from(n).unwrap()).unwrap();
        let mut end = end("se_1", 0, n * 2 + 2);
        end.rows = Some(n);
        [one, end]
    });
    write_log(dir, log.collect());
    index::bring_up_to_date(dir).unwrap();
    read_all(dir, &orders(), |_| true)
}

fn orders() -> Filter {
    Filter {
        text: Some("FROM ORDERS".to_owned()),
        rows: Some(RowRange { least: 0, most: u64::MAX }),
        ..Filter::default()
    }
}

#[test]
fn a_damaged_index_is_no_loss_and_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let expected = sample(dir.path());
    assert_eq!(expected.len(), 40);
    let files = index_files(dir.path());
    assert!(files.len() > 3);
    let good = fs::read(&files[1]).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&files[1], bad).unwrap();
        assert_eq!(found(&Finder::new(dir.path()), &orders(), |_| true), expected, "byte {at}");
    }
    for length in [0, 10, 24, good.len() / 2, good.len() - 1] {
        fs::write(&files[1], &good[..length]).unwrap();
        let finder = Finder::new(dir.path());
        assert_eq!(found(&finder, &orders(), |_| true), expected, "{length} bytes");
        assert_eq!(finder.volumes()[0].take_suspects().len(), 1, "{length} bytes");
    }
    assert_eq!(index::bring_up_to_date(dir.path()).unwrap(), 1);
    assert_eq!(fs::read(&files[1]).unwrap(), good);
}

#[test]
fn an_index_of_another_segment_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let expected = sample(dir.path());
    let files = index_files(dir.path());
    fs::copy(&files[1], &files[2]).unwrap();
    let finder = Finder::new(dir.path());
    assert_eq!(found(&finder, &orders(), |_| true), expected);
    // Nor is the right one once it was kept in memory, and another file has taken its name.
    assert_eq!(index::bring_up_to_date(dir.path()).unwrap(), 1);
    assert_eq!(found(&finder, &orders(), |_| true), expected);
    let other = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[2]).unwrap();
    fs::write(&files[2], other).unwrap();
    assert_eq!(found(&finder, &orders(), |_| true), expected);
}

/// How many indexes know of a key.
fn speaking_of(dir: &Path, key: &[u8]) -> usize {
    let cache = index::Cache::default();
    let segments = segment::Segment::list(dir).unwrap();
    let (_, finished) = segments.split_last().unwrap();
    let knows = |segment: &&segment::Segment| {
        let mut index = cache.open(dir, segment).unwrap();
        cache.with_terms(&mut index).unwrap();
        index.slot(key).is_some()
    };
    finished.iter().filter(knows).count()
}

/// Destroys the key of the only bucket of statements, but for the records that are held.
fn erase(dir: &Path, held: &[u64]) -> u32 {
    let keys = keys::KeyDirectory::of(dir);
    let buckets = keys.list().unwrap();
    let bucket = buckets.iter().find(|bucket| bucket.kind == Kind::Statement).unwrap();
    keys.destroy(&bucket.without_key(Timestamp::now(), held)).unwrap();
    bucket.number
}

#[test]
fn what_was_erased_is_not_found_and_no_index_goes_on_to_speak_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let all = sample(dir.path());
    let finder = Finder::new(dir.path());
    assert_eq!(found(&finder, &orders(), |_| true), all);
    let held = all[5];
    let bucket = erase(dir.path(), &[held, held + 1]);
    // At once, whatever the indexes say.
    assert_eq!(found(&finder, &orders(), |_| true), [held]);
    assert_eq!(finder.record(all[4]).unwrap(), None);
    assert_eq!(finder.record(held).unwrap().unwrap().record.seq, held);
    let speaking = || index_files(dir.path()).len();
    let before = speaking();
    finder.forget_buckets(dir.path(), &[bucket + 100]).unwrap();
    assert_eq!(speaking(), before, "none speaks of that");
    finder.forget_buckets(dir.path(), &[bucket]).unwrap();
    assert_eq!(speaking(), 0);
    assert!(index::bring_up_to_date(dir.path()).unwrap() > 3);
    assert_eq!(index::bring_up_to_date(dir.path()).unwrap(), 0, "what is held is no reason to make it again and again");
    assert_eq!(speaking_of(dir.path(), &index::key(index::Tag::Relation, "orders")), 1);
    assert_eq!(found(&Finder::new(dir.path()), &orders(), |_| true), [held]);
}

#[test]
fn an_index_of_what_was_erased_without_a_word_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let before = index_files(dir.path()).len();
    erase(dir.path(), &[]);
    assert_eq!(index::bring_up_to_date(dir.path()).unwrap(), before);
    assert_eq!(found(&Finder::new(dir.path()), &orders(), |_| true), Vec::<u64>::new());
}

#[test]
fn the_words_of_a_region_stay_in_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let settings = with_region(dir.path());
    let places = settings.places();
    let log = (0..60).map(|n| {
        let mut record = statement("se_1", 0, &format!("select {n} from orders"));
        record.principal = Some(if n % 2 == 0 { "everybody" } else { "in-europe" }.to_owned());
        record.data_region = (n % 2 == 1).then(|| Region::new("eu"));
        record
    });
    write_log_to(settings, log.collect());
    make_indexes(&places);
    assert!(index_files(&places.main).len() + index_files(&places.regions[0]).len() > 3);
    let speak = |dir: &Path, word: &str| speaking_of(dir, &index::key(index::Tag::Principal, word)) > 0;
    assert!(speak(&places.main, "everybody") && !speak(&places.main, "in-europe"));
    assert!(!speak(&places.regions[0], "everybody") && speak(&places.regions[0], "in-europe"));
    let count = |places: &Places, person: &str| {
        let filter = Filter { principal: Some(person.to_owned()), ..Filter::default() };
        found(&Finder::new(places), &filter, |_| true).len()
    };
    assert_eq!((count(&places, "everybody"), count(&places, "in-europe")), (30, 30));
    let main = Places::from(&places.main);
    assert_eq!((count(&main, "everybody"), count(&main, "in-europe")), (30, 0));
    let region = Places::from(&places.regions[0]);
    assert_eq!((count(&region, "everybody"), count(&region, "in-europe")), (0, 30));
}

#[test]
fn the_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("index")), 0o700);
    assert!(index_files(dir.path()).iter().all(|file| mode(file) == 0o600));
}

#[test]
fn a_forgotten_index_is_gone_and_one_in_the_making_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let finder = Finder::new(dir.path());
    let volume = &finder.volumes()[0];
    let before = volume.forgotten();
    let files = index_files(dir.path());
    let first_seq = segment::Segment::list(dir.path()).unwrap()[1].first_seq;
    finder.forget(dir.path(), first_seq).unwrap();
    assert!(!files[1].exists());
    finder.forget(dir.path(), first_seq).unwrap();
    let late = volume.unless_forgotten(before, &|| panic!("it was forgotten"));
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    volume.unless_forgotten(volume.forgotten(), &|| Ok(())).unwrap();
}

/// The journal's own thread makes every index, removes what belongs to no segment, and repairs what a search complained of.
#[tokio::test]
async fn a_journal_keeps_its_indexes_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("index")).unwrap();
    fs::write(dir.path().join("index/00000000000000000099.idx"), "").unwrap();
    let journal = open_small(dir.path());
    let all = Filter { text: Some("from orders".to_owned()), ..Filter::default() };
    for _ in 0..5 {
        let records = *journal.head().borrow() + 60;
        fill(&journal, records).await;
        assert_eq!(found(journal.finder(), &all, |_| true), read_all(dir.path(), &all, |_| true));
    }
    let settled = |damaged: Option<&Path>| {
        let segments = segment::Segment::list(dir.path()).unwrap();
        let names = segments.iter().rev().skip(1).rev().map(|segment| format!("{:020}.idx", segment.first_seq));
        let expected: Vec<_> = names.map(|name| dir.path().join("index").join(name)).collect();
        index_files(dir.path()) == expected && damaged.is_none_or(|file| fs::metadata(file).unwrap().len() > 10)
    };
    while !settled(None) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let first = index_files(dir.path())[0].clone();
    fs::write(&first, "damaged").unwrap();
    let expected = read_all(dir.path(), &all, |_| true);
    assert_eq!(found(journal.finder(), &all, |_| true), expected);
    while !settled(Some(&first)) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(found(journal.finder(), &all, |_| true), expected);
}

/// A session in which a transaction fails, with a cancel and an end in a later segment.
fn said(dir: &Path) {
    let mut log = vec![of_session("se_1", 0, Event::SessionOpen)];
    let say = |log: &mut Vec<Record>, kind: &str, text: &str, tag: Option<&str>, state: Option<&str>| {
        let mut record = statement("se_1", 0, text);
        record.kind = Some(kind.to_owned());
        let seq = log.len() as u64 + 2;
        log.push(record);
        let mut end = end("se_1", 0, seq);
        end.command_tag = tag.map(str::to_owned);
        end.sqlstate = state.map(str::to_owned);
        end.ended_by = Some(if state.is_some() { EndedBy::Error } else { EndedBy::Completed });
        log.push(end);
    };
    say(&mut log, "BEGIN", "begin", Some("BEGIN"), None);
    say(&mut log, "SELECT", "select 1", Some("SELECT 1"), None);
    say(&mut log, "SELECT", "select 1/0", None, Some("22012"));
    log.push(of_session("se_1", 0, Event::Cancel));
    let mut late = of_session("se_2", 0, Event::Statement);
    late.statement = Some("select of another session".to_owned());
    log.extend(std::iter::repeat_n(late, 30));
    say(&mut log, "ROLLBACK", "rollback", Some("ROLLBACK"), None);
    let mut refused = statement("se_1", 0, "drop table orders");
    refused.verdict = Some(RecordedVerdict::Deny);
    refused.rule = Some("kind".to_owned());
    refused.detail = Some("DROP TABLE is not permitted".to_owned());
    log.push(refused);
    log.push(of_session("se_1", 0, Event::SessionClose));
    write_log(dir, log);
}

#[test]
fn a_session_is_replayed_alike_with_and_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    said(dir.path());
    let replay = || Finder::new(dir.path()).replay(&SessionId::from_text("se_1"), |_| true).unwrap().unwrap();
    index_files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    let read = replay();
    assert!(index::bring_up_to_date(dir.path()).unwrap() > 0);
    assert_eq!(replay(), read);
    let shown: Vec<String> = read
        .steps
        .iter()
        .map(|step| {
            format!("{}|{}|{}", step.prompt.as_deref().unwrap_or_default(), step.output.join("|"), step.notes.join("|"))
        })
        .collect();
    let expected = [
        "shop=>|BEGIN|",
        "shop=*>|(1 row)|",
        "shop=*>|ERROR:  22012: division by zero|",
        "||cancel",
        "shop=!>|ROLLBACK|",
        "shop=>|ERROR:  DROP TABLE is not permitted|DETAIL:  refused by rule kind|",
    ];
    assert_eq!(shown, expected);
    assert!(read.opened.is_some() && read.closed.is_some() && !read.truncated);
    let hidden = Finder::new(dir.path()).replay(&SessionId::from_text("se_1"), |record| record.concerns("carol"));
    assert_eq!(hidden.unwrap(), None);
}

#[test]
fn a_story_is_told_alike_with_and_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Vec::new();
    for (event, request, grant) in [
        (Event::RequestFiled, "req_1", None),
        (Event::RequestFiled, "req_2", None),
        (Event::RequestApproved, "req_1", None),
        (Event::GrantCreated, "req_1", Some("gr_1")),
        (Event::GrantCreated, "req_2", Some("gr_2")),
    ] {
        let mut record = super::event(event);
        record.request = Some(RequestId::from_text(request));
        record.grant = grant.map(GrantId::from_text);
        log.push(record);
    }
    log.push(of_session("se_1", 0, Event::SessionOpen));
    let seq = log.len() as u64 + 2;
    let mut told = statement("se_1", 0, "select 1");
    told.grant = Some(GrantId::from_text("gr_1"));
    log.push(told);
    // The end, and the grant's, come in another segment than the statement.
    log.extend(std::iter::repeat_n(statement("se_2", 0, "select 2"), 40));
    log.push(end("se_1", 0, seq));
    let mut revoked = super::event(Event::GrantRevoked);
    revoked.grant = Some(GrantId::from_text("gr_1"));
    log.push(revoked);
    log.extend(std::iter::repeat_n(statement("se_2", 0, "select 3"), 40));
    write_log(dir.path(), log);
    let tell = |selector: &str| story(dir.path(), &Selector::parse(selector), |_| true).unwrap();
    let selectors = [
        seq.to_string(),
        (seq + 41).to_string(),
        "se_1".to_owned(),
        "se_2".to_owned(),
        "fp8".to_owned(),
        "3".to_owned(),
    ];
    index_files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    let read: Vec<Story> = selectors.iter().map(|selector| tell(selector)).collect();
    assert!(index::bring_up_to_date(dir.path()).unwrap() > 2);
    for (selector, read) in selectors.iter().zip(&read) {
        assert_eq!(&tell(selector), read, "{selector}");
    }
    for story in &read[..3] {
        let events: Vec<Event> = story.access.iter().map(|record| record.event).collect();
        let expected = [Event::RequestFiled, Event::RequestApproved, Event::GrantCreated, Event::GrantRevoked];
        assert_eq!(events, expected);
        assert_eq!((story.statements.len(), story.sessions.len()), (1, 1));
        assert_eq!(story.statements[0].end.as_ref().map(|end| end.seq), Some(seq + 41));
    }
    assert_eq!(read[3].statements.len(), 80);
}
