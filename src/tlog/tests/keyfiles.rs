//! Keys in files, and the newest checkpoint in its.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::tlog::keyfile::{self, KeyFileError};
use crate::tlog::{Checkpoint, CheckpointFile, Cosigner, Note, Signer};

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("deep/audit.key");
    let made = keyfile::create(&path, "pgward/1").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read(&path).unwrap();
    assert!(matches!(keyfile::create(&path, "pgward/1").unwrap_err(), KeyFileError::Exists { .. }));
    assert_eq!(fs::read(&path).unwrap(), text);
    let loaded = keyfile::load(&path).unwrap();
    assert_eq!(loaded.current.verifier(), made.verifier());
    assert!(loaded.retiring.is_none());

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(keyfile::load(&path).unwrap_err(), KeyFileError::Open { mode: 0o640, .. }));
}

#[test]
fn after_a_rotation_both_keys_sign_until_the_old_one_retires() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.key");
    let first = keyfile::create(&path, "pgward/1").unwrap().verifier();
    // Left by a rotation that was cut short.
    fs::write(dir.path().join("audit.key.new"), "half").unwrap();
    let second = keyfile::rotate(&path).unwrap().current.verifier();
    assert_eq!(second.name(), first.name());
    assert_ne!(second, first);
    let keys = keyfile::load(&path).unwrap();
    let note = Note::sign("text\n", &keys.all()).unwrap();
    note.verified_by(&first).unwrap();
    note.verified_by(&second).unwrap();
    // A second rotation would lose the proof of the first.
    assert!(matches!(keyfile::rotate(&path).unwrap_err(), KeyFileError::Rotating { .. }));
    keyfile::retire(&path).unwrap();
    keyfile::retire(&path).unwrap();
    let keys = keyfile::load(&path).unwrap();
    assert_eq!((keys.current.verifier(), keys.retiring.is_none()), (second, true));
    keyfile::rotate(&path).unwrap();
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.key");
    assert!(matches!(keyfile::load(&path).unwrap_err(), KeyFileError::File { .. }));
    keyfile::create_cosigner(&path, "w").unwrap();
    let error = keyfile::load(&path).unwrap_err();
    let secret = fs::read_to_string(&path).unwrap();
    assert!(!error.to_string().contains(secret.rsplit('+').next().unwrap().trim()));
    keyfile::load_cosigner(&path).unwrap();
}

#[test]
fn cosignatures_come_to_the_checkpoint_that_they_are_of_and_to_no_other() {
    let dir = TempDir::new().unwrap();
    let (log, witness) = (Signer::generate("log").unwrap(), Cosigner::generate("w").unwrap());
    let file = CheckpointFile::of(dir.path());
    assert!(file.read().unwrap().is_none());
    let note = |size| {
        let checkpoint = Checkpoint { origin: "log".to_owned(), size, root: Hash::of(b"root") };
        Note::sign(&checkpoint.to_body(), &[&log]).unwrap()
    };
    let (one, two) = (note(1), note(2));
    file.put(&one, true).unwrap();
    for time in [5, 6] {
        assert!(file.clone().cosign(one.body(), &[witness.cosign(&one, time).unwrap()]).unwrap());
    }
    let (checkpoint, cosigned) = file.read().unwrap().unwrap();
    assert_eq!((checkpoint.size, cosigned.cosigned_at(&witness.verifier())), (1, Ok(6)));
    assert_eq!(cosigned.signatures().len(), 2);
    file.put(&two, false).unwrap();
    assert!(!file.cosign(one.body(), &[witness.cosign(&one, 7).unwrap()]).unwrap());
    assert_eq!(file.read().unwrap().unwrap().1, two);
    file.put_witnessed(&cosigned).unwrap();
    assert_eq!(file.read_witnessed().unwrap().unwrap().1, cosigned);
}
