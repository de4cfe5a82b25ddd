//! Tampering: every change is found, and the first bad record is named. Torn tails: every cut recovers.

use std::fs;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// The lines of a good journal of 200 records.
fn good_log() -> &'static [Vec<u8>] {
    static LOG: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let journal = open(dir.path());
            fill(&journal, 200).await;
        });
        assert_eq!(verify(dir.path()), good(200));
        lines(dir.path())
    })
}

/// Verifies a journal of these lines, the header first.
fn verify_lines(lines: &[Vec<u8>]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    fs::write(segment::Segment::of(dir.path(), 1).path, lines.concat()).unwrap();
    verify(dir.path())
}

#[track_caller]
fn check_bad(lines: &[Vec<u8>], first_bad: u64) {
    let report = verify_lines(lines);
    assert_eq!((report.ok, report.first_bad, report.records), (false, Some(first_bad), first_bad - 1), "{report:?}");
    assert!(report.problem.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_changed_byte_is_named(line in 0..=200usize, at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut lines = good_log().to_vec();
        let at = at.index(lines[line].len());
        lines[line][at] ^= flip;
        let report = verify_lines(&lines);
        // A header speaks for the first record of its segment.
        prop_assert_eq!((report.ok, report.first_bad), (false, Some(line.max(1) as u64)));
    }

    #[test]
    fn a_dropped_line_is_named(line in 1..200usize) {
        let mut lines = good_log().to_vec();
        lines.remove(line);
        check_bad(&lines, line as u64);
    }

    #[test]
    fn a_doubled_line_is_named(line in 1..=200usize, to in any::<prop::sample::Index>()) {
        let mut lines = good_log().to_vec();
        let to = line + 1 + to.index(lines.len() - line);
        lines.insert(to, lines[line].clone());
        check_bad(&lines, to as u64);
    }

    #[test]
    fn swapped_lines_are_named(a in 1..=200usize, b in 1..=200usize) {
        prop_assume!(a != b);
        let mut lines = good_log().to_vec();
        lines.swap(a, b);
        check_bad(&lines, a.min(b) as u64);
    }

    #[test]
    fn a_cut_in_the_middle_is_named(line in 1..200usize, keep in any::<prop::sample::Index>()) {
        let mut lines = good_log().to_vec();
        let keep = keep.index(lines[line].len());
        lines[line].truncate(keep);
        check_bad(&lines, line as u64);
    }
}

#[test]
fn every_bit_of_one_record_counts() {
    let log = good_log();
    for at in 0..log[100].len() {
        for bit in 0..8 {
            let mut lines = log.to_vec();
            lines[100][at] ^= 1 << bit;
            lines.truncate(103);
            check_bad(&lines, 100);
        }
    }
}

#[test]
fn a_record_forged_with_its_head_breaks_the_next() {
    let mut lines = good_log().to_vec();
    let (_, canonical) = segment::split_line(&lines[50][..lines[50].len() - 1]).unwrap();
    let before = Head::from_hex(&lines[49][..64]).unwrap();
    let forged = String::from_utf8(canonical.to_vec()).unwrap().replace("alice", "mallo");
    let mut line = Vec::new();
    segment::push_line(before.after(forged.as_bytes()), forged.as_bytes(), &mut line);
    assert_ne!(lines[50], line);
    lines[50] = line;
    check_bad(&lines, 51);
}

#[test]
fn what_is_missing_at_the_end_shows_against_a_kept_position() {
    let log = good_log();
    let dir = tempfile::tempdir().unwrap();
    let kept = (200, Head::from_hex(&log[200][..64]).unwrap());
    let path = segment::Segment::of(dir.path(), 1).path;
    fs::write(&path, log.concat()).unwrap();
    assert_eq!(verify_up_to(dir.path(), Some(kept)), good(200));
    assert!(!verify_up_to(dir.path(), Some((200, Head::genesis("other")))).ok);
    fs::write(&path, log[..=150].concat()).unwrap();
    assert_eq!(verify(dir.path()), good(150));
    assert_eq!(verify_up_to(dir.path(), Some(kept)).first_bad, Some(151));
}

#[test]
fn torn_tails_at_every_byte_recover_and_say_so() {
    let log = good_log();
    let whole = log[..200].concat();
    let last = &log[200];
    for kept in 1..last.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = segment::Segment::of(dir.path(), 1).path;
        fs::write(&path, [&whole[..], &last[..kept]].concat()).unwrap();
        if kept == 1 {
            let report = verify(dir.path());
            assert_eq!((report.ok, report.first_bad), (false, Some(200)));
        }
        let journal = open(dir.path());
        assert_eq!(journal.verify(), good(201), "{kept}");
        let records = search(dir.path(), &Filter { limit: Some(2), ..Filter::default() }, |_| true).unwrap();
        let [recovered, opened] = &records[..] else { panic!("two records") };
        assert_eq!(recovered.record.event, Event::JournalRecovered);
        assert_eq!(recovered.record.bytes, Some(kept as u64));
        assert_eq!(opened.record.event, Event::JournalOpened);
    }
}

#[test]
fn a_torn_header_recovers_in_the_segment_before() {
    let log = good_log();
    let next = segment::Header {
        journal_id: segment::Header::parse(&log[0][..log[0].len() - 1]).unwrap().journal_id,
        first_seq: 201,
        before: Head::from_hex(&log[200][..64]).unwrap(),
    };
    let header = format!("{}\n", next.render()).into_bytes();
    for kept in 0..=header.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(segment::Segment::of(dir.path(), 1).path, log.concat()).unwrap();
        fs::write(segment::Segment::of(dir.path(), 201).path, &header[..kept]).unwrap();
        let journal = open(dir.path());
        let cut = kept > 0 && kept < header.len();
        assert_eq!(journal.verify(), good(if cut { 202 } else { 201 }), "{kept}");
    }
}

#[test]
fn a_broken_chain_is_not_opened() {
    let mut lines = good_log().to_vec();
    let at = lines[120].len() - 5;
    lines[120][at] ^= 1;
    let dir = tempfile::tempdir().unwrap();
    let path = segment::Segment::of(dir.path(), 1).path;
    fs::write(&path, lines.concat()).unwrap();
    let error = Journal::open(settings(dir.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("record 120: the chain does not hold"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), lines.concat(), "and nothing was touched");
}

#[tokio::test]
async fn lost_and_foreign_segments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open_small(dir.path()), 200).await;
    let segments = segment::Segment::list(dir.path()).unwrap();
    for (index, lost) in segments.iter().enumerate().take(segments.len() - 1) {
        let kept = fs::read(&lost.path).unwrap();
        fs::remove_file(&lost.path).unwrap();
        assert_eq!(verify(dir.path()).first_bad, Some(lost.first_seq), "{index}");
        fs::write(&lost.path, kept).unwrap();
    }
    assert_eq!(verify(dir.path()), good(200));
    // The last segment of another journal, with the same numbers.
    let other = tempfile::tempdir().unwrap();
    fill(&open_small(other.path()), 200).await;
    let last = segments.last().unwrap();
    let foreign = segment::Segment::list(other.path()).unwrap().pop().unwrap();
    assert_eq!(foreign.first_seq, last.first_seq);
    fs::copy(&foreign.path, &last.path).unwrap();
    assert_eq!(verify(dir.path()).first_bad, Some(last.first_seq));
    let error = Journal::open(settings(dir.path(), Durability::Written)).unwrap_err();
    assert!(error.0.contains("does not follow"), "{error}");
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
