//! Writing: numbers, receipts, rotation, reopening, full and broken disks, group commit, many tasks.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::disk::{Disk, Limited};
use super::*;
use crate::audit::reserve::RESERVE_BYTES;

fn open_limited(dir: &Path, disk: &Arc<Disk>, durability: Durability) -> Arc<Journal> {
    let tuning = Tuning { reserve_pause: Duration::ZERO, ..Tuning::default() };
    Journal::open_on(settings(dir, durability), Limited::boxed(dir, Arc::clone(disk)), tuning).unwrap()
}

#[tokio::test]
async fn records_are_numbered_and_receipts_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut record = of_session("se_1", 1, Event::SessionOpen);
    record.seq = 99;
    assert_eq!(journal.record(record).await.unwrap(), 2);
    let items = vec![(permit(), statement("se_1", 2, "select 1")), (permit(), statement("se_1", 3, "select 2"))];
    let receipts = journal.admit(items).await.unwrap();
    let seen: Vec<_> = receipts.iter().map(|r| (r.seq(), r.grant().as_str(), r.guards().row_limit)).collect();
    assert_eq!(seen, [(3, "gr_1", Some(10)), (4, "gr_1", Some(10))]);
    assert_eq!(journal.record_all(vec![end("se_1", 4, 3), end("se_1", 5, 4)]).await.unwrap(), 5);
    assert_eq!(*journal.head().borrow(), 6);
    journal.close().await.unwrap();
    assert_eq!(verify(dir.path()), good(7));
    let counters = journal.counters();
    assert_eq!((counters.records, counters.failures), (6, 0));
}

#[tokio::test]
async fn what_is_admitted_is_recorded_as_its_permit_says() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut record = statement("se_1", 1, "select 1");
    record.verdict = Some(RecordedVerdict::Deny);
    record.grant = Some(GrantId::from_text("gr_other"));
    let _ = journal.admit(vec![(permit(), record)]).await.unwrap();
    let found = search(dir.path(), &Filter { event: Some(Event::Statement), ..Filter::default() }, |_| true).unwrap();
    let record = &found[0].record;
    assert_eq!(
        (record.verdict, record.grant.clone()),
        (Some(RecordedVerdict::Allow), Some(GrantId::from_text("gr_1")))
    );
}

#[tokio::test]
async fn sessions_are_numbered_by_what_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(RESERVE_BYTES + 65536);
    let journal = open_limited(dir.path(), &disk, Durability::Written);
    let record = |id: &str, what| journal.record(of_session(id, 77, what));
    record("se_1", Event::SessionOpen).await.unwrap();
    record("se_2", Event::SessionOpen).await.unwrap();
    let large = "x".repeat(100_000);
    assert!(journal.admit(vec![(permit(), statement("se_1", 77, &large))]).await.is_err());
    let batch = vec![statement("se_1", 1, "a"), statement("se_2", 1, "b"), statement("se_1", 1, "c")];
    let _ = journal.admit(batch.into_iter().map(|record| (permit(), record)).collect()).await.unwrap();
    record("se_1", Event::SessionClose).await.unwrap();
    record("se_1", Event::SessionKilled).await.unwrap();
    record("se_3", Event::LoginDenied).await.unwrap();
    record("se_2", Event::SessionClose).await.unwrap();
    let found = search(dir.path(), &Filter::default(), |record| record.session.is_some()).unwrap();
    let numbers: Vec<_> =
        found.iter().map(|entry| (entry.record.session.as_ref().unwrap().as_str(), entry.record.session_seq)).collect();
    let expected = [
        ("se_1", Some(1)),
        ("se_2", Some(1)),
        ("se_1", Some(2)),
        ("se_2", Some(2)),
        ("se_1", Some(3)),
        ("se_1", Some(4)),
        ("se_1", None),
        ("se_3", Some(1)),
        ("se_2", Some(3)),
    ];
    assert_eq!(numbers, expected);
    assert_eq!(brief(journal.verify()), good(10));
}

#[tokio::test]
async fn nothing_admitted_is_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    assert!(journal.admit(Vec::new()).await.unwrap().is_empty());
    assert_eq!(*journal.head().borrow(), 1);
}

#[tokio::test]
async fn files_are_private_and_one_writer_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/audit");
    let journal = open(&path);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    journal.record(event(Event::Cancel)).await.unwrap();
    let (mut folders, mut files) = (vec![path.clone()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                assert_eq!(mode(&entry.path()) & 0o077, 0, "{entry:?}");
                folders.push(entry.path());
            } else {
                files += 1;
                assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
            }
        }
    }
    assert!(files > 6);
    let second = Journal::open(settings(&path, Durability::Written)).unwrap_err();
    assert!(second.0.contains("in use by another pgward"), "{second}");
    journal.close().await.unwrap();
    assert!(journal.record(event(Event::Cancel)).await.is_err());
    drop(open(&path));
    drop(open(&path));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let shared = Journal::open(settings(&path, Durability::Written)).unwrap_err();
    assert!(shared.0.contains("may be written by others"), "{shared}");
}

#[tokio::test]
async fn reopening_goes_on_with_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let journal = open_small(dir.path());
        let records = *journal.head().borrow();
        fill(&journal, records + 40).await;
        journal.close().await.unwrap();
    }
    assert!(segment::Segment::list(dir.path()).unwrap().len() > 5);
    let journal = open(dir.path());
    let records = journal.last_seq();
    assert_eq!(verify(dir.path()), good(records));
    assert_eq!(brief(journal.verify()), good(records));
}

#[tokio::test]
async fn a_log_that_falls_behind_reads_what_it_was_not_handed() {
    for handover_bytes in [0, 1000, 10_000] {
        let dir = tempfile::tempdir().unwrap();
        let tuning = Tuning { handover_bytes, segment_bytes: 8192, ..Tuning::default() };
        let medium = Directory::lock(dir.path()).unwrap();
        let journal = Journal::open_on(settings(dir.path(), Durability::Written), Box::new(medium), tuning).unwrap();
        for round in 0..10 {
            let batch = (0..=round * 5).map(|_| event(Event::Cancel)).collect();
            journal.record_all(batch).await.unwrap();
            if round % 3 == 0 {
                journal.bring_to_log().await.unwrap();
            }
        }
        journal.bring_to_log().await.unwrap();
        let records = journal.last_seq();
        assert_eq!(journal.checkpoint().borrow().as_ref().map(|checkpoint| checkpoint.size), Some(records));
        assert_eq!(verify(dir.path()), good(records), "{handover_bytes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_share_one_chain() {
    for durability in [Durability::Written, Durability::Synced] {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(settings(dir.path(), durability)).unwrap();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move {
                    let mut seqs = Vec::new();
                    let id = format!("se_{task}");
                    for batch in 0..20 {
                        let items = (0..3).map(|n| (permit(), statement(&id, batch * 3 + n + 1, "select 1"))).collect();
                        let receipts = journal.admit(items).await.unwrap();
                        let batch: Vec<u64> = receipts.iter().map(Receipt::seq).collect();
                        assert!(batch.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                        seqs.extend(batch);
                    }
                    seqs
                })
            })
            .collect();
        let mut seqs = Vec::new();
        for task in tasks {
            seqs.extend(task.await.unwrap());
        }
        seqs.sort_unstable();
        assert_eq!(seqs, (2..=961).collect::<Vec<u64>>());
        assert_eq!(brief(journal.verify()), good(961));
    }
}

#[tokio::test]
async fn a_full_disk_admits_nothing_but_records_endings_from_the_reserve() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(RESERVE_BYTES + 8192);
    let journal = open_limited(dir.path(), &disk, Durability::Written);
    let mut number = 0;
    let mut admitted = Vec::new();
    let refused = loop {
        number += 1;
        match journal.admit(vec![(permit(), statement("se_1", number, "select 1"))]).await {
            Ok(receipts) => admitted.extend(receipts),
            Err(error) => break error,
        }
    };
    assert!(refused.0.contains("bytes could be written") || refused.0.contains("no storage"), "{refused}");
    assert!(journal.healthy().is_err());
    // The refused statement left nothing behind: its number in the session is free.
    for receipt in &admitted {
        journal.record(end("se_1", number, receipt.seq())).await.unwrap();
        number += 1;
    }
    let mut denied = statement("se_1", number, "select 2");
    denied.verdict = Some(RecordedVerdict::Deny);
    journal.record(denied).await.unwrap();
    assert!(journal.record(of_session("se_2", 1, Event::SessionOpen)).await.is_err());
    let more = journal.admit(vec![(permit(), statement("se_1", number + 1, "select 3"))]).await;
    assert!(more.is_err(), "nothing is admitted on the reserve");
    assert!(journal.healthy().is_err());

    disk.free.fetch_add(4 * RESERVE_BYTES, SeqCst);
    assert!(journal.healthy().is_ok());
    let _ = journal.admit(vec![(permit(), statement("se_1", number + 1, "select 3"))]).await.unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("reserve")).unwrap().len(), RESERVE_BYTES);
    assert!(journal.counters().failures >= 2);
    let records = journal.last_seq();
    assert_eq!(brief(journal.verify()), good(records));
}

#[tokio::test]
async fn a_batch_is_recorded_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(RESERVE_BYTES + 4096);
    let journal = open_limited(dir.path(), &disk, Durability::Written);
    let batch = |count: u64| (1..=count).map(|n| (permit(), statement("se_1", n, "select 1"))).collect::<Vec<_>>();
    assert!(journal.admit(batch(50)).await.is_err());
    assert_eq!(brief(journal.verify()), good(1));
    assert_eq!(journal.admit(batch(2)).await.unwrap().len(), 2);
    assert_eq!(brief(journal.verify()), good(3));
}

#[tokio::test]
async fn a_piece_that_cannot_be_cut_stops_everything_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(RESERVE_BYTES + 600);
    let journal = open_limited(dir.path(), &disk, Durability::Written);
    disk.cut_fails.store(true, SeqCst);
    let large = "x".repeat(4000);
    assert!(journal.admit(vec![(permit(), statement("se_1", 1, &large))]).await.is_err());
    assert!(!verify(dir.path()).ok);
    assert!(journal.record(of_session("se_1", 1, Event::Cancel)).await.is_err());
    assert!(journal.healthy().is_err());
    disk.cut_fails.store(false, SeqCst);
    journal.record(of_session("se_1", 1, Event::Cancel)).await.unwrap();
    assert_eq!(brief(journal.verify()), good(2));
}

#[tokio::test]
async fn a_failed_sync_refuses_what_waits_and_all_that_follows_until_it_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(u64::MAX / 2);
    let journal = open_limited(dir.path(), &disk, Durability::Synced);
    let _ = journal.admit(vec![(permit(), statement("se_1", 1, "select 1"))]).await.unwrap();
    disk.sync_fails.store(true, SeqCst);
    assert!(journal.admit(vec![(permit(), statement("se_1", 2, "select 1"))]).await.is_err());
    assert!(journal.record(of_session("se_1", 3, Event::SessionClose)).await.is_err());
    assert!(journal.healthy().is_err());
    // What was written is written anew when the disk works again, and everything goes on, also for who was reading.
    let mut subscription = journal.subscribe(1);
    assert_eq!(subscription.next(2).await.unwrap().len(), 2);
    disk.sync_fails.store(false, SeqCst);
    while journal.healthy().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = journal.record(of_session("se_1", 3, Event::SessionClose)).await.unwrap();
    let mut seen = 2;
    while seen < last {
        seen = subscription.next(100).await.unwrap().last().unwrap().record.seq;
    }
    journal.close().await.unwrap();
    assert!(verify(dir.path()).ok);
}

#[tokio::test]
async fn another_hand_at_the_files_stops_everything() {
    type Hand = fn(&Path);
    let hands: [Hand; 3] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "").unwrap(),
        |path| std::fs::write(path, [std::fs::read(path).unwrap(), b"x".to_vec()].concat()).unwrap(),
    ];
    for hand in hands {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        assert!(journal.healthy().is_ok());
        hand(&only_segment(dir.path()));
        assert!(journal.healthy().is_err());
        assert!(journal.record(event(Event::Cancel)).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sync_serves_all_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(u64::MAX / 2);
    let journal = open_limited(dir.path(), &disk, Durability::Synced);
    let before = disk.syncs.load(SeqCst);
    let gate = disk.sync_gate.lock().unwrap();
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move { journal.record(event(Event::Cancel)).await.unwrap() })
        })
        .collect();
    let mut head = journal.head();
    tokio::task::block_in_place(|| {
        while *head.borrow_and_update() < 33 {
            std::thread::yield_now();
        }
    });
    assert!(tasks.iter().all(|task| !task.is_finished()));
    drop(gate);
    for task in tasks {
        task.await.unwrap();
    }
    // The round that was held at the gate, the one for all that came meanwhile, and those of the log's own thread.
    assert!(disk.syncs.load(SeqCst) - before <= 5);
}
