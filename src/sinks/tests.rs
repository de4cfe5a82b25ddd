//! What can be seen without a receiver: which records are whose, how far behind is too far, what a position survives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::position::{Position, PositionFile};
use super::progress::Progress;
use super::selection::{Regions, Selection};
use super::settings::{Archive, ArchivePlace, Kind, Settings, Start};
use super::watch::Watched;
use crate::access::Region;
use crate::audit::{Entry, Event, Record, canonical};

fn entry(event: Event, data: Option<&str>, upstream: Option<&str>) -> Entry {
    let mut record = Record::new(Timestamp::UNIX_EPOCH, event);
    record.data_region = data.map(Region::new);
    record.upstream_region = upstream.map(Region::new);
    let canonical = canonical::to_string(&record).into_bytes();
    Entry { record, canonical }
}

#[test]
fn a_regions_records_go_where_its_data_may() {
    let regions = |names: &[&str]| names.iter().map(|name| Region::new(*name)).collect::<Vec<_>>();
    let all = [Regions::AllBut(vec![]), Regions::AllBut(regions(&["eu"])), Regions::Only(regions(&["eu", "ch"]))];
    for (data, upstream, expected) in [
        (None, None, [true, true, true]),
        (None, Some("eu"), [true, false, true]),
        (None, Some("us"), [true, true, false]),
        (Some("eu"), Some("us"), [true, false, true]),
        (Some("us"), Some("eu"), [true, true, false]),
    ] {
        let taken = all.clone().map(|regions| {
            let selection = Selection { regions, events: None };
            selection.takes(&entry(Event::Statement, data, upstream))
        });
        assert_eq!(taken, expected, "{data:?} {upstream:?}");
    }
}

#[test]
fn events_narrow() {
    let selection = Selection { regions: Regions::AllBut(vec![]), events: Some(vec![Event::LoginDenied]) };
    assert!(selection.takes(&entry(Event::LoginDenied, None, None)));
    assert!(!selection.takes(&entry(Event::Statement, None, None)));
}

fn settings(alarm_after: Duration) -> Settings {
    Settings {
        name: "s".into(),
        selection: Selection { regions: Regions::AllBut(vec![]), events: None },
        start: Start::Oldest,
        batch_records: 1,
        batch_bytes: 1,
        alarm_after,
        kind: Kind::Archive(Archive { place: ArchivePlace::Directory("/x".into()), prefix: String::new() }),
    }
}

#[test]
fn only_a_record_that_waits_too_long_raises_an_alarm() {
    let (progress, metrics) = (Arc::new(Progress::default()), Metrics::default());
    let mut watched = Watched::new(Arc::new(settings(Duration::from_secs(10))), Arc::clone(&progress));
    let begun = Instant::now();
    let mut look = |seconds: u64, head: u64| watched.look(head, begun + Duration::from_secs(seconds), &metrics);
    // Always something left, never for long: a busy journal is no alarm.
    for second in 0..60 {
        progress.passed(second * 10);
        assert_eq!(look(second, second * 10 + 50), [""; 0]);
    }
    // From second 59 on nothing moves; 591 to 640 were there by then, the first of them since second 55.
    assert_eq!(look(65, 2000), [""; 0]);
    let news = look(66, 3000);
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(news[0].contains("2410 records were not delivered, the oldest for 11 s"), "{news:?}");
    assert_eq!(look(80, 3001), [""; 0], "told once");
    progress.passed(3001);
    assert_eq!(look(81, 3001), ["sink \"s\": it has caught up"]);
}

#[test]
fn what_is_refused_or_missing_is_told() {
    let (progress, metrics) = (Arc::new(Progress::default()), Metrics::default());
    let mut watched = Watched::new(Arc::new(settings(Duration::from_secs(10))), Arc::clone(&progress));
    progress.passed(10);
    progress.missed(4);
    progress.refused(2, "too old".into());
    let news = watched.look(10, Instant::now(), &metrics);
    assert_eq!(news.len(), 2, "{news:?}");
    assert!(news[0].contains("4 records were not in this journal any more"), "{news:?}");
    assert!(news[1].contains("refused 2 records for good: too old"), "{news:?}");
    progress.give_up();
    assert!(watched.look(10, Instant::now(), &metrics)[0].contains("wants no more"));
}

#[tokio::test]
async fn a_position_is_whole_or_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = PositionFile::of(dir.path(), "sinks", "s").unwrap();
    assert_eq!(file.read("j"), None);
    let mut position = Position { seq: 7, ..Position::none("j") };
    file.write(position.clone()).await.unwrap();
    assert_eq!(file.read("j"), Some(position.clone()));
    assert_eq!(file.read("k"), None, "of another journal");
    // What a crash leaves beside it is not read.
    std::fs::write(dir.path().join("sinks/s.json.new"), "{").unwrap();
    position.seq = 8;
    file.write(position.clone()).await.unwrap();
    assert_eq!(file.read("j"), Some(position));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("sinks"), mode("sinks/s.json")), (0o700, 0o600));
}

#[test]
fn a_mark_tells_configurations_apart_and_no_secret() {
    let one = settings(Duration::from_secs(1));
    let mut other = one.clone();
    other.alarm_after = Duration::from_secs(2);
    assert_eq!(one.mark(), other.mark(), "the receiver is the same");
    other.kind = Kind::Archive(Archive { place: ArchivePlace::Directory("/y".into()), prefix: String::new() });
    assert_ne!(one.mark(), other.mark());
}

#[tokio::test]
async fn a_journal_that_lost_its_end_is_read_from_where_it_still_holds() {
    use crate::audit::{Durability, Journal, Reader, Settings};

    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path().join("audit"), Durability::Written);
    let places = settings.places();
    let journal = Journal::open(settings).unwrap();
    for _ in 0..9 {
        journal.record(Record::new(Timestamp::UNIX_EPOCH, Event::LoginDenied)).await.unwrap();
    }
    let mark = |seq: u64| super::position::Mark::of(&Reader::new(&places, seq).read().unwrap().unwrap());
    let mut position = Position::none("j");
    position.advance(mark(4));
    position.advance(mark(10));
    assert!(!position.go_back(&places, 10));
    assert_eq!(position.seq, 10);
    // Its number was given to another record, or to none yet.
    for (seq, digest) in [(10, mark(9).digest), (12, mark(10).digest)] {
        let mut lost = position.clone();
        lost.marks.pop_back();
        lost.advance(super::position::Mark { seq, digest });
        assert!(lost.go_back(&places, 10));
        assert_eq!((lost.seq, lost.marks.len()), (4, 1));
    }
    let mut ahead = Position { seq: 11, ..Position::none("j") };
    assert!(ahead.go_back(&places, 10));
    assert_eq!(ahead.seq, 0);
}
