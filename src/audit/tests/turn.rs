//! Statements of several sessions that are recorded together.

use std::sync::atomic::Ordering::SeqCst;

use super::disk::{Disk, Limited};
use super::*;
use crate::audit::draft::Allowed;
use crate::audit::reserve::RESERVE_BYTES;

fn allowed(journal: &Journal, session: &str, number: u64, text: &str) -> Vec<Allowed> {
    let record = statement(session, number, text);
    vec![Allowed::of_record(permit(), record, &journal.settings().shelves).unwrap()]
}

async fn admit(turn: &Arc<Turn>, session: &str, number: u64, text: &str) -> Result<u64, JournalError> {
    let seat = Arc::new(Seat::default());
    let joined = turn.join(&seat, allowed(turn.journal(), session, number, text));
    let unsettled = turn.written(&seat, joined).await?;
    let receipts = turn.journal().settle(unsettled).await?;
    Ok(receipts[0].seq())
}

#[tokio::test]
async fn what_comes_together_is_written_together_and_each_gets_its_own_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let turn = Turns::new(Arc::clone(&journal)).here();
    let seats: Vec<_> = (0..5).map(|_| Arc::new(Seat::default())).collect();
    let mut joined = Vec::new();
    for (index, seat) in seats.iter().enumerate() {
        joined.push(turn.join(seat, allowed(&journal, &format!("se_{index}"), 1, "select 1")));
        assert_eq!(journal.last_seq(), 1, "nothing is written before the others had their say");
    }
    for (index, (seat, joined)) in seats.iter().zip(joined).enumerate() {
        let unsettled = turn.written(seat, joined).await.unwrap();
        assert_eq!(unsettled.first_seq(), Some(index as u64 + 2));
        assert_eq!(journal.last_seq(), 6);
        assert_eq!(journal.settle(unsettled).await.unwrap().len(), 1);
    }
    assert_eq!(brief(journal.verify()), good(6));
}

#[tokio::test]
async fn one_that_cannot_be_written_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_free(RESERVE_BYTES + 8192);
    let tuning = Tuning { reserve_pause: std::time::Duration::ZERO, ..Tuning::default() };
    let medium = Limited::boxed(dir.path(), Arc::clone(&disk));
    let journal = Journal::open_on(settings(dir.path(), Durability::Written), medium, tuning).unwrap();
    let turn = Turns::new(Arc::clone(&journal)).here();
    let large = "x".repeat(16 * 1024);
    let (first, refused, last) = tokio::join!(
        admit(&turn, "se_1", 1, "select 1"),
        admit(&turn, "se_2", 1, &large),
        admit(&turn, "se_3", 1, "select 3"),
    );
    assert_eq!((first.unwrap(), last.unwrap()), (2, 3));
    assert!(refused.is_err());
    disk.free.fetch_add(4 * RESERVE_BYTES, SeqCst);
    assert_eq!(admit(&turn, "se_2", 1, &large).await.unwrap(), 4);
    assert_eq!(brief(journal.verify()), good(4));
}

#[tokio::test]
async fn who_leaves_before_it_is_written_has_left_no_record_and_who_leaves_later_learns_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let turn = Turns::new(Arc::clone(&journal)).here();
    let (leaver, stayer) = (Arc::new(Seat::default()), Arc::new(Seat::default()));
    drop(turn.join(&leaver, allowed(&journal, "se_1", 1, "select 1")));
    let stays = turn.join(&stayer, allowed(&journal, "se_2", 1, "select 2"));
    assert_eq!(turn.leave(&leaver), None);
    assert_eq!(turn.written(&stayer, stays).await.unwrap().first_seq(), Some(2));
    assert_eq!(brief(journal.verify()), good(2));

    drop(turn.join(&leaver, allowed(&journal, "se_1", 1, "select 1")));
    tokio::task::yield_now().await;
    assert_eq!(turn.leave(&leaver), Some(3));
    assert_eq!(turn.leave(&leaver), None, "it is told once");
    assert_eq!(brief(journal.verify()), good(3));
}

#[tokio::test]
async fn many_do_not_wait_for_the_end_of_the_turn() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let turn = Turns::new(Arc::clone(&journal)).here();
    let seats: Vec<_> = (0..300).map(|_| Arc::new(Seat::default())).collect();
    for (index, seat) in seats.iter().enumerate() {
        drop(turn.join(seat, allowed(&journal, &format!("se_{index}"), 1, "select 1")));
    }
    assert_eq!(journal.last_seq(), 257);
    tokio::task::yield_now().await;
    assert_eq!(journal.last_seq(), 301);
}
