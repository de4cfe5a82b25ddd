//! What a witness answers and remembers.

use std::fs;

use super::*;
use crate::tlog::Hash;
use crate::witness::{Answer, StateError, Witness};

const NOW: u64 = 1_800_000_000;

fn again(cosigner: &Cosigner) -> Cosigner {
    Cosigner::from_text(&cosigner.to_text().unwrap()).unwrap()
}

fn is_cosigned(answer: &Answer, note: &Note, by: &Witness) -> bool {
    let Answer::Cosigned(line) = answer else { return false };
    let mut note = note.clone();
    note.add_signature_line(&line.to_string()).unwrap();
    note.cosigned_at(&by.verifier()) == Ok(NOW)
}

#[test]
fn a_log_that_grows_is_cosigned_step_by_step() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], dir.path()).unwrap();
    let mut old = 0;
    for size in [1, 2, 255, 256, 300, 1000] {
        let note = log.grow(size);
        let answer = witness.add(&log.submission(old, &note).to_body(), NOW);
        assert!(is_cosigned(&answer, &note, &witness), "{size}: {answer:?}");
        // The same again is cosigned again.
        let answer = witness.add(&log.submission(size, &note).to_body(), NOW);
        assert!(is_cosigned(&answer, &note, &witness), "{size}: {answer:?}");
        old = size;
    }
}

#[test]
fn every_other_submission_is_refused_as_the_specification_says() {
    let dir = TempDir::new().unwrap();
    let (mut log, mut other) = (Log::new("a"), Log::new("b"));
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], dir.path()).unwrap();
    let ten = log.grow(10);
    assert!(is_cosigned(&witness.add(&log.submission(0, &ten).to_body(), NOW), &ten, &witness));
    let twenty = log.grow(20);
    let good = log.submission(10, &twenty);

    let check = |submitted: &AddCheckpoint, expected: &Answer| {
        assert_eq!(&witness.add(&submitted.to_body(), NOW), expected);
    };
    // Another size than it knows, before and behind.
    check(&log.submission(0, &twenty), &Answer::Stale { known: 10 });
    check(&log.submission(11, &twenty), &Answer::Stale { known: 10 });
    check(&log.submission(0, &log.as_it_was(5)), &Answer::Stale { known: 10 });
    // A false proof, a proof of something else, none, too much of it.
    let mut wrong = good.clone();
    wrong.proof[0] = Hash::of(b"another");
    check(&wrong, &Answer::Inconsistent);
    check(&AddCheckpoint { proof: Vec::new(), ..good.clone() }, &Answer::Inconsistent);
    check(
        &AddCheckpoint { proof: [good.proof.as_slice(), &[Hash::of(b"")]].concat(), ..good.clone() },
        &Answer::Inconsistent,
    );
    check(&AddCheckpoint { note: ten.clone(), proof: vec![Hash::of(b"")], old: 10 }, &Answer::Inconsistent);
    // A key that is not the log's, a log that is not known.
    let theirs = other.grow(20);
    check(&other.submission(10, &theirs), &Answer::Untrusted);
    let elsewhere = Checkpoint { origin: "elsewhere".to_owned(), ..Checkpoint::of(&twenty).unwrap() };
    let elsewhere = Note::sign(&elsewhere.to_body(), &[&log.signer]).unwrap();
    check(&AddCheckpoint { note: elsewhere, ..good.clone() }, &Answer::UnknownLog);
    // After all of which the right one is cosigned.
    assert!(is_cosigned(&witness.add(&good.to_body(), NOW), &twenty, &witness));
}

#[test]
fn what_is_no_submission_is_malformed() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], dir.path()).unwrap();
    let note = log.grow(10);
    let good = log.submission(0, &note).to_body();
    let hash = Hash::of(b"").to_base64();
    let not_a_checkpoint = Note::sign("only\nwords\n", &[&log.signer]).unwrap();
    for bad in [
        String::new(),
        "old 0\n".to_owned(),
        "old 0\n\n".to_owned(),
        good.replacen("old 0", "old 00", 1),
        good.replacen("old 0", "old -1", 1),
        good.replacen("old 0", "old  0", 1),
        good.replacen("old 0", "Old 0", 1),
        good.replacen("old 0", "old 11", 1),
        good.replacen("\n\n", "\n", 1),
        good.replacen("\n\n", "\nnot a hash\n\n", 1),
        good.replacen("\n\n", &format!("\n{}\n", format!("{hash}\n").repeat(64)), 1),
        good.replace("\n10\n", "\n010\n"),
        good.trim_end().to_owned(),
        format!("old 0\n\n{not_a_checkpoint}"),
    ] {
        assert!(matches!(witness.add(&bad, NOW), Answer::Malformed(_)), "{bad:?}");
    }
    assert!(matches!(witness.add(&good, NOW), Answer::Cosigned(_)));
}

/// Two histories under one key: what a log must not be able to have cosigned, and what it cannot deny afterwards.
#[test]
fn a_fork_is_not_cosigned_and_both_its_sides_are_kept() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let mut fork = Log::with_key("b", &log.signer);
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], dir.path()).unwrap();
    let ten = log.grow(10);
    assert!(matches!(witness.add(&log.submission(0, &ten).to_body(), NOW), Answer::Cosigned(_)));

    let other_ten = fork.grow(10);
    assert_eq!(witness.add(&fork.submission(10, &other_ten).to_body(), NOW), Answer::Forked { known: 10 });
    assert_eq!(witness.add(&fork.submission(0, &other_ten).to_body(), NOW), Answer::Forked { known: 10 });
    let other_twenty = fork.grow(20);
    assert_eq!(witness.add(&fork.submission(10, &other_twenty).to_body(), NOW), Answer::Inconsistent);
    assert_eq!(witness.add(&fork.submission(10, &other_twenty).to_body(), NOW), Answer::Inconsistent);

    let kept: Vec<_> = fs::read_dir(dir.path().join("evidence")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let texts: Vec<_> = kept.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(texts.len(), 3, "each pair once: the two at ten were asked about from two sizes");
    for other in [&other_ten, &other_twenty] {
        assert!(texts.iter().any(|text| text.contains(ten.body()) && text.contains(&other.to_string())));
    }
    // The log itself goes on.
    let twenty = log.grow(20);
    assert!(matches!(witness.add(&log.submission(10, &twenty).to_body(), NOW), Answer::Cosigned(_)));
}

#[test]
fn what_was_cosigned_is_remembered_by_the_next_process() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let key = cosigner("w");
    let open = || Witness::open(again(&key), vec![log.signer.verifier()], dir.path());
    let witness = open().unwrap();
    assert!(matches!(open().unwrap_err(), StateError::InUse(_)));
    let ten = log.grow(10);
    assert!(matches!(witness.add(&log.submission(0, &ten).to_body(), NOW), Answer::Cosigned(_)));
    drop(witness);

    let open = || Witness::open(again(&key), vec![log.signer.verifier()], dir.path());
    let witness = open().unwrap();
    assert_eq!(witness.add(&log.submission(0, &ten).to_body(), NOW), Answer::Stale { known: 10 });
    drop(witness);

    // Whoever writes another memory into the directory has not the keys that it is signed by.
    let forged = Log::new("b").grow(5);
    let memory = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let memory = memory.into_iter().find(|path| fs::read_to_string(path).unwrap().contains(ORIGIN)).unwrap();
    fs::write(&memory, forged.to_string()).unwrap();
    assert!(matches!(open().unwrap_err(), StateError::Spoilt { .. }));
    fs::write(&memory, "").unwrap();
    assert!(matches!(open().unwrap_err(), StateError::Spoilt { .. }));
}

/// What cannot be remembered is not signed.
#[test]
fn a_witness_that_cannot_write_signs_nothing() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], &dir.path().join("state")).unwrap();
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let ten = log.grow(10);
    let submission = log.submission(0, &ten).to_body();
    assert!(matches!(witness.add(&submission, NOW), Answer::Broken(_)));
    fs::create_dir(dir.path().join("state")).unwrap();
    assert!(matches!(witness.add(&submission, NOW), Answer::Cosigned(_)), "nothing was remembered of the one before");
}

#[test]
fn a_log_that_changed_its_key_is_known_by_either() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let fresh = Signer::generate(ORIGIN).unwrap();
    let witness = Witness::open(cosigner("w"), vec![log.vkey(), fresh.verifier()], dir.path()).unwrap();
    let ten = log.grow(10);
    assert!(matches!(witness.add(&log.submission(0, &ten).to_body(), NOW), Answer::Cosigned(_)));
    log.signer = fresh;
    let twenty = log.grow(20);
    assert!(matches!(witness.add(&log.submission(10, &twenty).to_body(), NOW), Answer::Cosigned(_)));
}

/// However many submit at once, one history is cosigned.
#[test]
fn racing_submissions_never_have_two_histories_cosigned() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::new("a");
    let mut fork = Log::with_key("b", &log.signer);
    let witness = Witness::open(cosigner("w"), vec![log.vkey()], dir.path()).unwrap();
    let bodies: Vec<String> = [log.grow(10), fork.grow(10)]
        .iter()
        .zip([&log, &fork])
        .map(|(note, log)| log.submission(0, note).to_body())
        .collect();
    let cosigned = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|call| {
                scope.spawn({
                    let (witness, body) = (&witness, &bodies[call % 2]);
                    move || witness.add(body, NOW)
                })
            })
            .collect();
        let answers = calls.into_iter().map(|call| call.join().unwrap());
        answers.filter(|answer| matches!(answer, Answer::Cosigned(_))).count()
    });
    assert_eq!(cosigned, 1, "the others start from a size that is not the latest any more");
}

impl Log {
    /// A checkpoint of this log as it was, signed again.
    fn as_it_was(&self, size: u64) -> Note {
        let root = TileReader::new(self.path(), size).root().unwrap();
        Note::sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root }.to_body(), &[&self.signer]).unwrap()
    }
}
