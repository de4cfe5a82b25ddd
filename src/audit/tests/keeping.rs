//! Keeping and erasing: texts go when their time ends while every proof holds, holds keep what they name, and a region keeps
//! its own.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::access::Region;

const DAY: Duration = Duration::from_secs(86_400);

/// Statements for ten days, all else for a year.
pub(super) fn short(dir: &Path) -> Settings {
    let mut settings = settings(dir, Durability::Written);
    settings.shelves[0].retention = Retention { statement: 10 * DAY, ..Retention::all(365 * DAY) };
    settings
}

pub(super) fn open_as(settings: Settings, segment_bytes: u64) -> Arc<Journal> {
    let medium = Directory::lock(&settings.dir).unwrap();
    let tuning = Tuning { segment_bytes, ..Tuning::default() };
    Journal::open_on(settings, Box::new(medium), tuning).unwrap()
}

pub(super) fn in_days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

fn now(mut record: Record) -> Record {
    record.time = Timestamp::now();
    record
}

/// One session with a statement for each text, and its end.
pub(super) async fn session(journal: &Journal, id: &str, texts: &[&str], adorn: impl Fn(&mut Record)) {
    let adorned = |record: Record| {
        let mut record = now(record);
        adorn(&mut record);
        record
    };
    journal.record(adorned(of_session(id, 0, Event::SessionOpen))).await.unwrap();
    for text in texts {
        let receipts = journal.admit(vec![(permit(), adorned(statement(id, 0, text)))]).await.unwrap();
        journal.record(adorned(end(id, 0, receipts[0].seq()))).await.unwrap();
    }
    journal.record(adorned(of_session(id, 0, Event::SessionClose))).await.unwrap();
}

fn events(journal: &Journal) -> Vec<(Event, Option<String>)> {
    let mut reader = Reader::new(journal.places(), 1);
    std::iter::from_fn(|| reader.read().unwrap()).map(|entry| (entry.record.event, entry.record.statement)).collect()
}

pub(super) fn texts(journal: &Journal) -> Vec<String> {
    events(journal).into_iter().filter_map(|(_, text)| text).collect()
}

#[tokio::test]
async fn texts_go_when_their_time_ends_and_every_proof_holds() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1", "select 2"], |_| {}).await;
    let before = journal.checkpoint().borrow().clone();
    assert_eq!(journal.purge(in_days(9)).await.unwrap(), Purged::default());
    assert_eq!(texts(&journal), ["select 1", "select 2"]);

    let purged = journal.purge(in_days(12)).await.unwrap();
    assert_eq!((purged.buckets.len(), purged.held), (1, 0));
    assert_eq!(journal.purge(in_days(12)).await.unwrap(), Purged::default(), "once is enough");
    let left: Vec<_> = events(&journal).into_iter().map(|(event, _)| event).collect();
    assert_eq!(left, [Event::JournalOpened, Event::SessionOpen, Event::SessionClose, Event::RecordsPurged]);
    let report = journal.verify();
    assert_eq!((report.ok, report.records, report.erased), (true, 8, 4), "{report:?}");
    let known = Expected { checkpoint: before, ..Expected::default() };
    assert!(verify_against(dir.path(), &known).ok, "what was signed before the purge still holds");
    // The key is nowhere any more.
    let bucket = keys::KeyDirectory::of(dir.path()).read(purged.buckets[0]).unwrap().unwrap();
    assert!(bucket.key().is_none() && bucket.destroyed.is_some());
    journal.close().await.unwrap();
    drop(journal);
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_2", &["select 3"], |_| {}).await;
    assert_eq!(texts(&journal), ["select 3"]);
    assert!(journal.verify().ok);
}

#[tokio::test]
async fn a_hold_keeps_what_it_names_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select secret", "select 2"], |_| {}).await;
    let filter = Filter { text: Some("secret".to_owned()), ..Filter::default() };
    let hold = journal.place_hold(filter, "case 7".to_owned(), "carol".to_owned()).await.unwrap();
    let purged = journal.purge(in_days(12)).await.unwrap();
    assert_eq!((purged.buckets.len(), purged.held), (1, 2), "the statement and its end");
    assert_eq!(texts(&journal), ["select secret"]);
    assert!(journal.verify().ok);
    assert_eq!(journal.purge(in_days(13)).await.unwrap(), Purged::default());

    assert!(journal.release_hold("ho_0", "over", "carol").await.is_err());
    journal.release_hold(&hold.id, "over", "carol").await.unwrap();
    assert_eq!(journal.purge(in_days(13)).await.unwrap().buckets, purged.buckets);
    assert!(texts(&journal).is_empty());
    let told: Vec<_> = events(&journal).into_iter().map(|(event, _)| event).skip(3).collect();
    assert_eq!(told, [Event::HoldPlaced, Event::RecordsPurged, Event::HoldReleased, Event::RecordsPurged]);
    assert!(journal.verify().ok);
}

#[tokio::test]
async fn segments_in_which_nothing_can_be_read_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = short(dir.path());
    settings.shelves[0].retention = Retention { service: 365 * DAY, ..Retention::all(10 * DAY) };
    let journal = open_as(settings.clone(), 2048);
    let records = journal.last_seq();
    for number in 0..40 {
        session(&journal, &format!("se_{number}"), &["select 1"], |_| {}).await;
    }
    let segments = segment::Segment::list(dir.path()).unwrap().len();
    assert!(segments > 10 && journal.last_seq() > records);
    // The opening is kept for a year, and with it the first segment.
    let first = journal.purge(in_days(12)).await.unwrap();
    assert_eq!(first.segments, 0);
    let second = journal.purge(in_days(400)).await.unwrap();
    assert!(second.segments > 10, "{second:?}");
    let left = segment::Segment::list(dir.path()).unwrap();
    assert!(left.len() + 10 < segments && left[0].first_seq > 100, "{left:?}");
    let report = journal.verify();
    assert!(report.ok && report.erased > 150, "{report:?}");
    let mut reader = Reader::new(dir.path(), 1);
    assert!(std::iter::from_fn(|| reader.read().unwrap()).all(|entry| entry.record.seq >= left[0].first_seq));
    journal.close().await.unwrap();
    drop(journal);
    assert!(open_as(settings, 2048).verify().ok);
}

#[tokio::test]
async fn an_erasure_that_nobody_recorded_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1"], |_| {}).await;
    journal.close().await.unwrap();
    drop(journal);
    let directory = keys::KeyDirectory::of(dir.path());
    let bucket = directory.list().unwrap().into_iter().find(|bucket| bucket.kind == Kind::Statement).unwrap();
    directory.destroy(&bucket.without_key(Timestamp::now(), &[])).unwrap();
    let report = verify(dir.path());
    assert_eq!((report.ok, report.first_bad), (false, Some(3)), "{report:?}");
    assert!(report.problem.unwrap().contains("no record says so"));
    // Nor may a key simply be lost.
    std::fs::remove_file(dir.path().join(format!("keys/{:010}.key", bucket.number))).unwrap();
    assert!(verify(dir.path()).problem.unwrap().contains("is missing"));
}

/// A journal whose region `eu` keeps its own.
pub(super) fn with_region(dir: &Path) -> Settings {
    let mut settings = short(&dir.join("main"));
    settings.shelves.push(Shelf {
        region: Some(Region::new("eu")),
        dir: Some(dir.join("eu")),
        retention: Retention::all(3 * DAY),
    });
    settings
}

#[tokio::test]
async fn a_region_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let settings = with_region(dir.path());
    let journal = open_as(settings.clone(), 2048);
    let of_eu = |record: &mut Record| record.data_region = Some(Region::new("eu"));
    for number in 0..10 {
        session(&journal, &format!("se_u{number}"), &["select 1"], |_| {}).await;
        session(&journal, &format!("se_e{number}"), &["select name from eu.people"], of_eu).await;
    }
    assert_eq!(texts(&journal).len(), 20);
    let report = journal.verify();
    assert_eq!((report.ok, report.unread), (true, 0), "{report:?}");
    // What lies in the journal's own directory neither holds nor opens the region's texts.
    let mut central = Reader::new(settings.dir.as_path(), 1);
    let readable: Vec<_> = std::iter::from_fn(|| central.read().unwrap()).collect();
    assert!(readable.iter().all(|entry| entry.record.data_region.is_none()));
    let report = super::super::verify(settings.dir.as_path());
    assert_eq!((report.ok, report.unread), (true, 40), "{report:?}");
    // Records are found in any order, and one by one.
    let mut reader = Reader::new(journal.places(), 1);
    let mut located = Vec::new();
    while let Some(entry) = reader.read().unwrap() {
        located.push((reader.location().unwrap(), entry));
    }
    for (location, entry) in located.iter().rev().chain(&located) {
        assert_eq!(reader.read_at(*location).unwrap().as_ref(), Some(entry));
    }
    // The region's texts go by the region's time.
    journal.purge(in_days(5)).await.unwrap();
    assert_eq!(texts(&journal), vec!["select 1"; 10]);
    assert!(journal.verify().ok);
    assert!(segment::Segment::list(&dir.path().join("eu")).unwrap().len() == 1);
}

#[tokio::test]
async fn a_change_where_a_region_keeps_its_own_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let settings = with_region(dir.path());
    let journal = open_as(settings.clone(), 1 << 20);
    session(&journal, "se_1", &["select 1"], |record| record.data_region = Some(Region::new("eu"))).await;
    journal.close().await.unwrap();
    drop(journal);
    let path = only_segment(&dir.path().join("eu"));
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(31) {
        let mut changed = bytes.clone();
        changed[at] ^= 2;
        std::fs::write(&path, changed).unwrap();
        assert!(!verify(settings.places()).ok, "byte {at}");
    }
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(!verify(settings.places()).ok);
    std::fs::write(&path, &bytes).unwrap();
    assert!(verify(settings.places()).ok);
}

#[tokio::test]
async fn a_crash_between_the_two_directories_is_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = with_region(dir.path());
    let journal = open_as(settings.clone(), 1 << 20);
    let of_eu = |record: &mut Record| record.data_region = Some(Region::new("eu"));
    session(&journal, "se_1", &["select 1", "select 2"], of_eu).await;
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), copy.path());
    drop(journal);
    let whole = std::fs::read(only_segment(&copy.path().join("main"))).unwrap();
    let region = std::fs::read(only_segment(&copy.path().join("eu"))).unwrap();
    let lengths = |bytes: &[u8]| (bytes.len() - 40..bytes.len()).step_by(7).collect::<Vec<_>>();
    for (main, eu) in lengths(&whole)
        .into_iter()
        .map(|length| (length, region.len()))
        .chain(lengths(&region).into_iter().map(|length| (whole.len(), length)))
    {
        let again = tempfile::tempdir().unwrap();
        copy_tree(copy.path(), again.path());
        // It names the directory that was copied.
        std::fs::remove_file(again.path().join("main/regions.json")).unwrap();
        std::fs::write(only_segment(&again.path().join("main")), &whole[..main]).unwrap();
        std::fs::write(only_segment(&again.path().join("eu")), &region[..eu]).unwrap();
        let journal = open_as(with_region(again.path()), 1 << 20);
        session(&journal, "se_2", &["select 3"], of_eu).await;
        let report = journal.verify();
        assert!(report.ok && report.unread == 0, "{main} {eu}: {report:?}");
        assert!(events(&journal).iter().any(|(event, _)| *event == Event::JournalRecovered));
    }
}

#[tokio::test]
async fn what_a_checkpoint_covers_is_never_cut_in_a_regions_directory() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(with_region(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1"], |record| record.data_region = Some(Region::new("eu"))).await;
    journal.close().await.unwrap();
    drop(journal);
    let path = only_segment(&dir.path().join("eu"));
    let bytes = std::fs::read(&path).unwrap();
    let mut damaged = bytes.clone();
    damaged[200] ^= 1;
    for changed in [&damaged[..], &bytes[..bytes.len() - 5], &bytes[..60]] {
        std::fs::write(&path, changed).unwrap();
        let error = Journal::open(with_region(dir.path())).unwrap_err();
        assert!(error.0.contains("where its region keeps it"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), changed, "nothing was touched");
    }
    // Nor is a directory that is not mounted taken for an empty one.
    std::fs::rename(dir.path().join("eu"), dir.path().join("elsewhere")).unwrap();
    assert!(Journal::open(with_region(dir.path())).unwrap_err().0.contains("mounted"));
    std::fs::remove_dir_all(dir.path().join("eu")).unwrap();
    std::fs::rename(dir.path().join("elsewhere"), dir.path().join("eu")).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert!(Journal::open(short(&dir.path().join("main"))).unwrap_err().0.contains("no [regions.*.audit] names it"));
    assert!(open_as(with_region(dir.path()), 1 << 20).verify().ok);
}

#[tokio::test]
async fn tiles_that_the_machine_lost_are_made_again_after_an_erasure() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    for number in 0..100 {
        session(&journal, &format!("se_{number}"), &["select 1"], |_| {}).await;
    }
    journal.purge(in_days(12)).await.unwrap();
    journal.close().await.unwrap();
    drop(journal);
    // Hashes of every level are gone; the entries, which are needed for what was erased, are there.
    for level in ["0", "1"] {
        let _ = std::fs::remove_dir_all(dir.path().join("tile").join(level));
    }
    assert!(open_as(short(dir.path()), 1 << 20).verify().ok);
}

#[tokio::test]
async fn an_invented_bucket_does_not_hide_an_erasure() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1"], |_| {}).await;
    journal.close().await.unwrap();
    drop(journal);
    let directory = keys::KeyDirectory::of(dir.path());
    let stretch = retention::Stretch::holding(Timestamp::now(), DAY);
    let invented = keys::Bucket::new(4_000_000_000, None, Kind::Service, stretch).unwrap();
    directory.write(&invented.without_key(Timestamp::now(), &[])).unwrap();
    let bucket = directory.list().unwrap().into_iter().find(|bucket| bucket.kind == Kind::Statement).unwrap();
    directory.destroy(&bucket.without_key(Timestamp::now(), &[])).unwrap();
    assert!(verify(dir.path()).problem.unwrap().contains("no record says so"));
}

#[tokio::test]
async fn an_erasure_is_told_of_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1"], |_| {}).await;
    journal.purge(in_days(12)).await.unwrap();
    // The first record of a purge is erased itself.
    journal.purge(in_days(400)).await.unwrap();
    let report = journal.verify();
    assert!(report.ok && report.erased > 4, "{report:?}");
}

#[tokio::test]
async fn a_held_record_that_is_damaged_is_neither_cut_nor_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(with_region(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select keep"], |record| record.data_region = Some(Region::new("eu"))).await;
    let filter = Filter { region: Some("eu".to_owned()), ..Filter::default() };
    let hold = journal.place_hold(filter, "case 7".to_owned(), "carol".to_owned()).await.unwrap();
    assert_eq!(journal.purge(in_days(5)).await.unwrap().held, 4, "a hold by the data's region");
    journal.close().await.unwrap();
    drop(journal);
    let path = only_segment(&dir.path().join("eu"));
    let bytes = std::fs::read(&path).unwrap();
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(Journal::open(with_region(dir.path())).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    std::fs::write(&path, &bytes).unwrap();
    let journal = open_as(with_region(dir.path()), 1 << 20);
    // Nor does a lost list of holds let anything go.
    let list = dir.path().join("main/holds.json");
    let kept = std::fs::read(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    assert!(journal.purge(in_days(500)).await.unwrap_err().0.contains(&hold.id));
    std::fs::write(&list, kept).unwrap();
    journal.purge(in_days(500)).await.unwrap();
    assert_eq!(texts(&journal), ["select keep"]);
    journal.release_hold(&hold.id, "over", "carol").await.unwrap();
    journal.purge(in_days(500)).await.unwrap();
    assert!(texts(&journal).is_empty() && journal.verify().ok);
}

#[tokio::test]
async fn every_bucket_has_a_file_and_the_key_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 20);
    session(&journal, "se_1", &["select 1"], |_| {}).await;
    journal.close().await.unwrap();
    drop(journal);
    let directory = keys::KeyDirectory::of(dir.path());
    let last = directory.numbers().unwrap().pop().unwrap();
    let file = dir.path().join(format!("keys/{last:010}.key"));
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = Journal::open(short(dir.path())).unwrap_err();
    assert!(error.0.contains(&format!("the file of bucket {last}")), "{error}");
    std::fs::write(&file, kept).unwrap();
    let key = dir.path().join("signing.key");
    std::fs::rename(&key, dir.path().join("away")).unwrap();
    assert!(Journal::open(short(dir.path())).unwrap_err().0.contains("put it back"));
    assert!(!key.exists());
    std::fs::rename(dir.path().join("away"), &key).unwrap();
    std::fs::write(dir.path().join("signing.key.last"), "").unwrap();
    assert!(Journal::open(short(dir.path())).unwrap_err().0.contains("what the key signed last"));
}
