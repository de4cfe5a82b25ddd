//! Both verifiers against edits of a journal: every changed byte, dropped, swapped and doubled record and truncation is found
//! by each, and the place is named.
//!
//! `PGWARD_TAMPER_RECORDS` says how long the log is (default 2,000), `PGWARD_TAMPER_EDITS` how many random edits both verifiers
//! see (default 60). `PGWARD_TAMPER_EVERY_BYTE=1` has every byte of every file changed for the first of them, too; with 2, every
//! second byte from `PGWARD_TAMPER_OFFSET` on, so that several processes share the work. `PGWARD_TAMPER_OURS=1` leaves the second
//! verifier out, which takes minutes over a million records.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "a test")]

mod log;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use log::{Log, Piece};
use pgward::audit::{Expected, Report, verify_against};
use serde_json::Value;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A generator that gives the same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn ours(log: &Log) -> Report {
    verify_against(log.dir(), &Expected { verifier: Some(log.verifier.clone()), ..Expected::default() })
}

fn theirs(log: &Log) -> Value {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_journal.py");
    let mut command = Command::new("/usr/bin/python3");
    let output = command.arg(tool).arg(log.dir()).args(["--vkey", &log.verifier.to_string()]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// One edit: what was done, to which file, what it holds then, and the record that is bad at first, where one is.
struct Edit {
    what: String,
    file: PathBuf,
    bytes: Vec<u8>,
    first_bad: Option<u64>,
}

fn edit(log: &Log, dice: &mut Dice) -> Edit {
    let segment = &log.segments[dice.below(log.segments.len())];
    let pieces = &segment.pieces;
    let at = 1 + dice.below(pieces.len() - 1);
    let made = |what: &str, pieces: Vec<&Piece>, first_bad: u64| Edit {
        what: format!("{what} record {}", segment.pieces[at].seq),
        file: segment.path.clone(),
        bytes: pieces.iter().flat_map(|piece| piece.bytes.clone()).collect(),
        first_bad: Some(first_bad),
    };
    let mut changed: Vec<&Piece> = pieces.iter().collect();
    match dice.below(6) {
        0 => {
            changed.remove(at);
            made("dropped", changed, pieces[at].seq)
        }
        1 if pieces.len() > 2 => {
            let other = 1 + dice.below(pieces.len() - 1);
            let other = if other == at { 1 + at % (pieces.len() - 1) } else { other };
            changed.swap(at, other);
            made("swapped", changed, pieces[at].seq.min(pieces[other].seq))
        }
        2 => {
            changed.insert(at + 1, &pieces[at]);
            made("doubled", changed, pieces[at].seq + 1)
        }
        3 => {
            let kept = dice.below(pieces[at].bytes.len());
            let mut edit = made("cut in", changed[..at].to_vec(), pieces[at].seq);
            edit.bytes.extend_from_slice(&pieces[at].bytes[..kept]);
            edit
        }
        _ => {
            let files = log.files();
            let file = files[dice.below(files.len())].clone();
            let mut bytes = fs::read(&file).unwrap();
            let place = dice.below(bytes.len());
            bytes[place] ^= u8::try_from(1 + dice.below(255)).unwrap();
            let first_bad = log.record_at(&file, place);
            Edit { what: format!("changed byte {place} of {}", file.display()), file, bytes, first_bad }
        }
    }
}

/// Does the edit, asks, and undoes it.
fn with<T>(edit: &Edit, ask: impl FnOnce() -> T) -> T {
    let before = fs::read(&edit.file).unwrap();
    fs::write(&edit.file, &edit.bytes).unwrap();
    let answer = ask();
    fs::write(&edit.file, before).unwrap();
    answer
}

#[test]
fn both_verifiers_find_every_edit_and_name_the_place() {
    let log = Log::make(number("PGWARD_TAMPER_RECORDS", 2000));
    assert!(ours(&log).ok);
    if number("PGWARD_TAMPER_OURS", 0) == 0 {
        let whole = theirs(&log);
        assert!(whole["ok"] == true, "{whole}");
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let edits = number("PGWARD_TAMPER_EDITS", 60);
    for _ in 0..edits {
        let edit = edit(&log, &mut dice);
        if number("PGWARD_TAMPER_OURS", 0) == 1 {
            let ours = with(&edit, || ours(&log));
            assert!(!ours.ok && ours.problem.is_some(), "{}: {ours:?}", edit.what);
            assert!(edit.first_bad.is_none() || ours.first_bad == edit.first_bad, "{}: {ours:?}", edit.what);
            continue;
        }
        let (ours, theirs) = with(&edit, || (ours(&log), theirs(&log)));
        assert!(!ours.ok && theirs["ok"] == false, "{}: {ours:?} {theirs}", edit.what);
        assert!(ours.problem.is_some() && theirs["problem"].is_string(), "{}", edit.what);
        if edit.first_bad.is_some() {
            assert_eq!(ours.first_bad, edit.first_bad, "{}: {ours:?}", edit.what);
            assert_eq!(theirs["first_bad"].as_u64(), edit.first_bad, "{}: {theirs}", edit.what);
        }
    }
    println!("{edits} edits of a log of {} records: all found", log.records);
}

#[test]
fn every_single_byte_counts() {
    let stride = usize::try_from(number("PGWARD_TAMPER_EVERY_BYTE", 0)).unwrap();
    let offset = usize::try_from(number("PGWARD_TAMPER_OFFSET", 0)).unwrap();
    if stride == 0 {
        return;
    }
    let log = Log::make(number("PGWARD_TAMPER_RECORDS", 2000));
    let mut changed = 0_u64;
    for file in log.files() {
        let before = fs::read(&file).unwrap();
        for place in (offset..before.len()).step_by(stride) {
            let mut bytes = before.clone();
            bytes[place] ^= u8::try_from(1 + place % 255).unwrap();
            let first_bad = log.record_at(&file, place);
            let edit =
                Edit { what: format!("byte {place} of {}", file.display()), file: file.clone(), bytes, first_bad };
            let report = with(&edit, || ours(&log));
            assert!(!report.ok && report.problem.is_some(), "{}", edit.what);
            assert!(first_bad.is_none() || report.first_bad == first_bad, "{}: {report:?}", edit.what);
            changed += 1;
        }
    }
    println!("{changed} single bytes of a log of {} records: each found", log.records);
}
