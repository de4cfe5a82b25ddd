//! Tampering: every change is found, and the first bad record is named. Torn tails: every cut recovers.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// A closed journal of 201 records.
fn good_log() -> &'static Path {
    static LOG: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = LOG.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let journal = open(dir.path());
            fill(&journal, 200).await;
            journal.close().await.unwrap();
        });
        assert_eq!(super::super::verify(dir.path()), Report { signed: 201, ..good(201) });
        dir
    });
    dir.path()
}

/// A copy of the good journal whose segment is made of these pieces.
fn with_pieces(pieces: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(good_log(), dir.path());
    fs::write(only_segment(dir.path()), pieces.concat()).unwrap();
    dir
}

const OWN: [&str; 6] =
    ["lock", "signing.key", "signing.key.last", "signing.key.last.new", "tiles.settled", "checkpoint.new"];

#[track_caller]
fn check_bad(pieces: &[Vec<u8>], first_bad: u64) {
    let report = verify(with_pieces(pieces).path());
    assert_eq!((report.ok, report.first_bad, report.records), (false, Some(first_bad), first_bad - 1), "{report:?}");
    assert!(report.problem.is_some());
}

/// Everything that proves the journal: the segment, the log's tiles and entries, what is signed and by whom, the keys. What the
/// writer keeps for itself does not: how far tiles are on disk, and the file that the next checkpoint is written into.
fn proof_files(dir: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false if OWN.contains(&name.as_str()) => {}
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_changed_byte_of_a_record_is_named(
        piece in 0..=201usize, at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let mut pieces = pieces(good_log());
        let at = at.index(pieces[piece].len());
        pieces[piece][at] ^= flip;
        let report = verify(with_pieces(&pieces).path());
        // A header speaks for the first record of its segment.
        prop_assert_eq!((report.ok, report.first_bad), (false, Some(piece.max(1) as u64)), "{:?}", report.problem);
    }

    #[test]
    fn one_changed_byte_of_any_file_is_found(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(good_log(), dir.path());
        let files = proof_files(dir.path());
        prop_assert!(files.len() >= 7);
        let file = &files[file.index(files.len())];
        let mut bytes = fs::read(file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(file, bytes).unwrap();
        let report = verify(dir.path());
        prop_assert!(!report.ok && report.problem.is_some(), "byte {} of {}", at, file.display());
    }

    #[test]
    fn a_dropped_record_is_named(piece in 1..=201usize) {
        let mut pieces = pieces(good_log());
        pieces.remove(piece);
        check_bad(&pieces, piece as u64);
    }

    #[test]
    fn a_doubled_record_is_named(piece in 1..=201usize, to in any::<prop::sample::Index>()) {
        let mut pieces = pieces(good_log());
        let to = piece + 1 + to.index(pieces.len() - piece);
        pieces.insert(to, pieces[piece].clone());
        check_bad(&pieces, to as u64);
    }

    #[test]
    fn swapped_records_are_named(a in 1..=201usize, b in 1..=201usize) {
        prop_assume!(a != b);
        let mut pieces = pieces(good_log());
        pieces.swap(a, b);
        check_bad(&pieces, a.min(b) as u64);
    }

    #[test]
    fn a_truncation_is_named(piece in 1..=201usize, keep in any::<prop::sample::Index>()) {
        let mut pieces = pieces(good_log());
        let keep = keep.index(pieces[piece].len());
        pieces[piece].truncate(keep);
        pieces.truncate(piece + 1);
        check_bad(&pieces, piece as u64);
    }

    #[test]
    fn a_cut_in_the_middle_is_named(piece in 1..201usize, keep in any::<prop::sample::Index>()) {
        let mut pieces = pieces(good_log());
        let keep = keep.index(pieces[piece].len());
        pieces[piece].truncate(keep);
        check_bad(&pieces, piece as u64);
    }
}

#[test]
fn every_bit_of_one_record_counts() {
    let log = pieces(good_log());
    for at in 0..log[100].len() {
        let mut pieces = log.clone();
        pieces[100][at] ^= 1 << (at % 8);
        check_bad(&pieces, 100);
    }
}

#[test]
fn a_record_forged_with_its_key_is_not_what_the_log_has() {
    let mut pieces = pieces(good_log());
    let bytes = pieces[50][frame::PREFIX_BYTES..].to_vec();
    let frame = frame::Frame::parse(&bytes).unwrap();
    let frame::Content::Here(sealed) = frame.content else { panic!("a payload") };
    let bucket = keys::KeyDirectory::of(good_log()).read(frame.bucket).unwrap().unwrap();
    let key = bucket.record_key(frame.seq).unwrap();
    let mut sealed = sealed.to_vec();
    let text = String::from_utf8(key.open(frame.seq, frame.bucket, &mut sealed).unwrap().to_vec()).unwrap();
    let forged = text.replace("alice", "mallo");
    assert_ne!(text, forged);
    let mut piece = Vec::new();
    let start = frame::begin(true, frame.seq, frame.bucket, &mut piece);
    let payload = piece.len();
    piece.extend_from_slice(forged.as_bytes());
    key.seal(frame.seq, frame.bucket, &mut piece, payload).unwrap();
    frame::end(start, &mut piece);
    pieces[50] = piece;
    check_bad(&pieces, 50);
}

#[test]
fn a_log_that_was_written_anew_is_not_the_one_that_is_known() {
    let known = Expected {
        verifier: signing::known_verifiers(good_log()).unwrap().pop(),
        checkpoint: signing::read_checkpoint(good_log()).unwrap().map(|(checkpoint, _)| checkpoint),
        records: 201,
        keys: true,
    };
    assert!(verify_against(good_log(), &known).ok);
    // By another key.
    let other = tempfile::tempdir().unwrap();
    write_raw(other.path(), (0..300).map(|_| event(Event::Cancel)).collect());
    assert_eq!(verify(other.path()), good(300));
    assert!(!verify_against(other.path(), &Expected { checkpoint: None, ..known.clone() }).ok);
    // By the same key.
    let other = tempfile::tempdir().unwrap();
    fs::copy(good_log().join("signing.key"), other.path().join("signing.key")).unwrap();
    for (records, says) in [(300, "written anew"), (100, "cut back")] {
        write_raw(other.path(), (0..records).map(|_| event(Event::Cancel)).collect());
        assert_eq!(verify(other.path()), good(records));
        let report = verify_against(other.path(), &Expected { records: 0, ..known.clone() });
        assert!(!report.ok && report.problem.as_ref().unwrap().contains(says), "{report:?}");
    }
}

#[test]
fn nothing_signed_is_nothing_proved() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(good_log(), dir.path());
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    assert!(!verify(dir.path()).ok);
}

#[tokio::test]
async fn torn_tails_at_every_byte_recover_and_say_so() {
    let source = tempfile::tempdir().unwrap();
    let journal = open(source.path());
    fill(&journal, 20).await;
    // As the process leaves it when it is killed: the last checkpoint is older than the last record.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(source.path(), copy.path());
    drop(journal);
    let (signed, _) = signing::read_checkpoint(copy.path()).unwrap().unwrap();
    let log = pieces(copy.path());
    let (last, whole) = log.split_last().unwrap();
    assert!((signed.size as usize) < log.len() - 1, "{}", signed.size);
    let records = log.len() as u64 - 1;
    for kept in 1..last.len() {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(copy.path(), dir.path());
        let path = only_segment(dir.path());
        fs::write(&path, [&whole.concat()[..], &last[..kept]].concat()).unwrap();
        if kept == 1 {
            let report = verify(dir.path());
            assert_eq!((report.ok, report.first_bad), (false, Some(records)));
        }
        let journal = open(dir.path());
        assert_eq!(brief(journal.verify()), good(records + 1), "{kept}");
        let records = search(dir.path(), &Filter { limit: Some(2), ..Filter::default() }, |_| true).unwrap();
        let [recovered, opened] = &records[..] else { panic!("two records") };
        assert_eq!(recovered.record.event, Event::JournalRecovered);
        assert_eq!(recovered.record.bytes, Some(kept as u64));
        assert_eq!(opened.record.event, Event::JournalOpened);
    }
}

#[test]
fn a_torn_header_recovers_in_the_segment_before() {
    let log = pieces(good_log());
    let journal_id = segment::Header::parse(&log[0]).unwrap().journal_id;
    let header = segment::Header { journal_id, first_seq: 202 }.render().into_bytes();
    for kept in 0..=header.len() {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(good_log(), dir.path());
        fs::write(segment::Segment::of(dir.path(), 202).path, &header[..kept]).unwrap();
        let journal = open(dir.path());
        let cut = kept > 0 && kept < header.len();
        assert_eq!(brief(journal.verify()), good(if cut { 203 } else { 202 }), "{kept}");
    }
}

#[test]
fn a_changed_record_is_not_opened() {
    let mut pieces = pieces(good_log());
    let at = pieces[120].len() - 5;
    pieces[120][at] ^= 1;
    let dir = with_pieces(&pieces);
    let error = Journal::open(settings(dir.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("record 120: its checksum does not hold"), "{error}");
    assert_eq!(fs::read(only_segment(dir.path())).unwrap(), pieces.concat(), "and nothing was touched");
}

#[test]
fn a_cut_behind_the_checkpoint_is_not_opened() {
    let pieces = pieces(good_log());
    let dir = with_pieces(&pieces[..190]);
    let error = Journal::open(settings(dir.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("the log has 201 records, but the segments end with record 189"), "{error}");
}

#[tokio::test]
async fn the_key_goes_on_with_nothing_but_what_it_signed_last() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    fill(&journal, 20).await;
    journal.close().await.unwrap();
    drop(journal);
    let earlier = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), earlier.path());
    drop(open(dir.path()));
    let (key, memory) = (dir.path().join("signing.key"), dir.path().join("signing.key.last"));
    // An earlier state of the directory, another journal, or none at all: the key remembers what it signed.
    fs::copy(&memory, earlier.path().join("signing.key.last")).unwrap();
    let error = Journal::open(settings(earlier.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("the key has signed 22 records"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    fs::copy(&key, empty.path().join("signing.key")).unwrap();
    fs::copy(&memory, empty.path().join("signing.key.last")).unwrap();
    assert!(Journal::open(settings(empty.path(), Durability::Written)).is_err());
    // Records that were sealed anew, without the checkpoint that says what they were.
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    assert!(Journal::open(settings(dir.path(), Durability::Written)).is_err());
}

#[tokio::test]
async fn segments_that_came_to_disk_out_of_order_end_where_the_first_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_small(dir.path());
    fill(&journal, 60).await;
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), copy.path());
    drop(journal);
    let (signed, _) = signing::read_checkpoint(copy.path()).unwrap().unwrap();
    let segments = segment::Segment::list(copy.path()).unwrap();
    let torn = segments.iter().rev().nth(1).unwrap();
    assert!(signed.size < torn.first_seq);
    let whole = fs::read(&torn.path).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2, 60, 30, 0] {
        let again = tempfile::tempdir().unwrap();
        copy_tree(copy.path(), again.path());
        fs::write(again.path().join(torn.path.file_name().unwrap()), &whole[..kept]).unwrap();
        for _ in 0..2 {
            let journal = open(again.path());
            fill(&journal, journal.last_seq() + 5).await;
            let report = journal.verify();
            assert!(report.ok, "{kept}: {report:?}");
        }
    }
}

#[test]
fn lost_tiles_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(good_log(), dir.path());
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    assert!(!verify(dir.path()).ok);
    let journal = open(dir.path());
    assert_eq!(brief(journal.verify()), good(202));
}

#[tokio::test]
async fn tiles_that_a_crash_took_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.record_all((0..700).map(|_| event(Event::Cancel)).collect()).await.unwrap();
    journal.close().await.unwrap();
    drop(journal);
    let files = ["tile/entries/001", "tile/0/001", "tile/1/000.p/2"];
    for (lost, left) in files.into_iter().flat_map(|lost| [(lost, 0), (lost, 40)]) {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let path = copy.path().join(lost);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..left]).unwrap();
        assert!(!verify(copy.path()).ok, "{lost}");
        assert_eq!(brief(open(copy.path()).verify()), good(703), "{lost}");
    }
}

#[tokio::test]
async fn lost_and_foreign_segments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_small(dir.path());
    fill(&journal, 200).await;
    journal.close().await.unwrap();
    let segments = segment::Segment::list(dir.path()).unwrap();
    for (index, lost) in segments.iter().enumerate() {
        let kept = fs::read(&lost.path).unwrap();
        fs::remove_file(&lost.path).unwrap();
        assert_eq!(verify(dir.path()).first_bad, Some(lost.first_seq), "{index}");
        fs::write(&lost.path, kept).unwrap();
    }
    assert_eq!(verify(dir.path()), good(201));
    // The last segment of another journal, with the same numbers.
    let other = tempfile::tempdir().unwrap();
    fill(&open_small(other.path()), 200).await;
    let last = segments.last().unwrap();
    let foreign = segment::Segment::list(other.path()).unwrap().pop().unwrap();
    assert_eq!(foreign.first_seq, last.first_seq);
    fs::copy(&foreign.path, &last.path).unwrap();
    assert_eq!(verify(dir.path()).first_bad, Some(last.first_seq));
    let error = Journal::open(settings(dir.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("not what the log commits to"), "{error}");
}

#[test]
fn records_that_were_never_made_leave_gaps() {
    let open_1 = || of_session("se_1", 1, Event::SessionOpen);
    let close_1 = |number| of_session("se_1", number, Event::SessionClose);
    let unnumbered = Record { session_seq: None, ..of_session("se_1", 1, Event::SessionKilled) };
    let cases: [(&str, Vec<Record>, Option<u64>); 10] = [
        ("good", vec![open_1(), statement("se_1", 2, "x"), end("se_1", 3, 2), close_1(4)], None),
        ("good, and killed too late", vec![open_1(), close_1(2), unnumbered], None),
        ("good after a crash", vec![open_1(), event(Event::JournalOpened), open_1()], None),
        ("starts late", vec![of_session("se_1", 2, Event::SessionOpen)], Some(1)),
        ("gap", vec![open_1(), statement("se_1", 3, "x")], Some(2)),
        ("twice", vec![open_1(), statement("se_1", 1, "x")], Some(2)),
        ("end of nothing", vec![open_1(), end("se_1", 2, 1)], Some(2)),
        ("end of another session's", vec![statement("se_2", 1, "x"), open_1(), end("se_1", 2, 1)], Some(3)),
        ("second end", vec![statement("se_1", 1, "x"), end("se_1", 2, 1), end("se_1", 3, 1)], Some(3)),
        ("after the close", vec![open_1(), close_1(2), statement("se_1", 3, "x")], Some(3)),
    ];
    for (name, records, first_bad) in cases {
        let dir = tempfile::tempdir().unwrap();
        write_raw(dir.path(), records);
        assert_eq!(verify(dir.path()).first_bad, first_bad, "{name}");
    }
}

#[test]
fn a_missing_journal_is_not_good() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!verify(dir.path()).ok);
    assert!(!verify(&dir.path().join("missing")).ok);
}
