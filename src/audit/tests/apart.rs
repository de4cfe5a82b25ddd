//! What happens apart: a region's disk that fails takes no other records with it, and a crash behind an erasure leaves a log
//! that can be gone on with.

use super::keeping::{in_days, open_as, session, short, texts, with_region};
use super::*;
use crate::access::Region;
use crate::tlog::Checkpoint;

/// Ends that wait to be written, given to the journal as the data path gives them.
fn end_of(journal: &Journal, session: &str, statement_seq: u64, region: Option<&Region>) {
    let id = SessionId::from_text(session);
    let base = of_session(session, 0, Event::SessionOpen);
    journal
        .end(&EndDraft {
            time: Timestamp::now(),
            session: &SessionPart::new(&id, &base),
            data_region: region,
            grant: Some(&GrantId::from_text("gr_1")),
            statement_seq,
            sqlstate: None,
            command_tag: Some("SELECT 1"),
            rows: 1,
            bytes: 10,
            duration_us: Some(5),
            ended_by: EndedBy::Completed,
        })
        .unwrap();
}

fn ends(journal: &Journal) -> Vec<u64> {
    let mut reader = Reader::new(journal.places(), 1);
    let entries = std::iter::from_fn(|| reader.read().unwrap());
    let ends = entries.filter(|entry| entry.record.event == Event::StatementEnd);
    ends.filter_map(|entry| entry.record.statement_seq).collect()
}

/// Three statements, the second of a region whose directory then goes away, and their ends; `write` has them written. Answers
/// the texts that are in the journal after it.
async fn with_a_region_that_fails(write: impl AsyncFn(&Journal)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let eu = Region::new("eu");
    // Each batch begins a segment, so that what is missing is missed at once.
    let journal = open_as(with_region(dir.path()), 1);
    let mut seqs = Vec::new();
    for (number, region) in [(1, None), (2, Some(&eu)), (3, None)] {
        let mut record = statement("se_1", number, "select 1");
        record.time = Timestamp::now();
        record.data_region = region.cloned();
        seqs.push(journal.admit(vec![(permit(), record)]).await.unwrap()[0].seq());
    }
    let (place, away) = (dir.path().join("eu"), dir.path().join("away"));
    std::fs::rename(&place, &away).unwrap();
    for (seq, region) in seqs.iter().zip([None, Some(&eu), None]) {
        end_of(&journal, "se_1", *seq, region);
    }
    write(&journal).await;
    assert!(!place.exists());
    std::fs::rename(&away, &place).unwrap();
    assert_eq!(ends(&journal), [seqs[0], seqs[2]], "the others' ends are there");
    let written = texts(&journal);

    // The disk is back, and so is the region.
    session(&journal, "se_2", &["select 2"], |record| record.data_region = Some(eu.clone())).await;
    assert_eq!(ends(&journal).len(), 3);
    let report = journal.verify();
    assert!(report.ok && report.unread == 0, "{report:?}");
    journal.close().await.unwrap();
    drop(journal);
    assert!(open_as(with_region(dir.path()), 1 << 20).verify().ok);
    written
}

#[tokio::test]
async fn a_regions_failing_disk_takes_no_other_regions_ends_with_it() {
    let texts = with_a_region_that_fails(async |journal| journal.flush().unwrap()).await;
    assert_eq!(texts, ["select 1"; 3]);
}

#[tokio::test]
async fn what_is_written_behind_such_ends_is_written_too() {
    let texts = with_a_region_that_fails(async |journal| {
        let mut next = statement("se_1", 4, "select next");
        next.time = Timestamp::now();
        journal.admit(vec![(permit(), next)]).await.unwrap();
    })
    .await;
    assert_eq!(texts, ["select 1", "select 1", "select 1", "select next"]);
}

/// A journal with an erasure, copied as it stood when the machine stopped: nothing was closed.
async fn stopped_after_an_erasure(copy: &Path) -> Checkpoint {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_as(short(dir.path()), 1 << 14);
    for number in 0..100 {
        session(&journal, &format!("se_{number}"), &["select 1"], |_| {}).await;
    }
    let kept = keys::KeyDirectory::of(dir.path()).list().unwrap();
    let purged = journal.purge(in_days(12)).await.unwrap();
    assert!(!purged.buckets.is_empty() && purged.buckets.len() < kept.len(), "{purged:?}");
    session(&journal, "se_after", &["select 3"], |_| {}).await;
    let checkpoint = journal.checkpoint().borrow().clone().unwrap();
    copy_tree(dir.path(), copy);
    checkpoint
}

#[tokio::test]
async fn a_crash_after_an_erasure_leaves_a_log_that_verifies_and_goes_on() {
    let copy = tempfile::tempdir().unwrap();
    let checkpoint = stopped_after_an_erasure(copy.path()).await;
    // What the machine may have lost of the tree's hashes: nothing, some levels, all. The entries of what was erased were on
    // disk before any key went.
    for lost in [&[][..], &["0"], &["1"], &["0", "1"]] {
        let again = tempfile::tempdir().unwrap();
        copy_tree(copy.path(), again.path());
        for level in lost {
            let _ = std::fs::remove_dir_all(again.path().join("tile").join(level));
        }
        let journal = open_as(short(again.path()), 1 << 14);
        let report = journal.verify();
        assert!(report.ok && report.erased == 200, "{lost:?}: {report:?}");
        session(&journal, "se_new", &["select 4"], |_| {}).await;
        assert_eq!(texts(&journal), ["select 3", "select 4"], "{lost:?}");
        journal.close().await.unwrap();
        drop(journal);
        let known = Expected { checkpoint: Some(checkpoint.clone()), ..Expected::default() };
        let report = verify_against(again.path(), &known);
        assert!(report.ok, "what was signed before the crash holds: {lost:?}: {report:?}");
    }
}

#[tokio::test]
async fn entries_that_are_gone_with_their_keys_are_not_made_up() {
    let copy = tempfile::tempdir().unwrap();
    stopped_after_an_erasure(copy.path()).await;
    std::fs::remove_dir_all(copy.path().join("tile/entries")).unwrap();
    // What was erased cannot be read, so that nothing can say any more what the log held of it.
    match Journal::open(short(copy.path())) {
        Err(_) => {}
        Ok(journal) => assert!(!journal.verify().ok),
    }
}
