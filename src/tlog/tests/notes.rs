//! Keys, notes, checkpoints and cosignatures.

use proptest::prelude::*;

use super::*;
use crate::tlog::{Algorithm, Checkpoint, Cosigner, KeyError, Note, NoteError, Signer, Verifier};

/// The example in the documentation of Go's golang.org/x/mod/sumdb/note.
const PETER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETERS_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETERS_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETERS_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "pgward/0123".to_owned(), size: 42, root: Hash::of(b"root") }
}

#[test]
fn keys_and_signatures_are_those_of_the_go_implementation() {
    let signer = Signer::from_text(PETER).unwrap();
    assert_eq!(signer.to_text().unwrap().as_str(), PETER);
    assert_eq!(signer.verifier().to_string(), PETERS_VKEY);
    let note = Note::sign(PETERS_TEXT, &[&signer]).unwrap();
    assert_eq!(note.to_string(), format!("{PETERS_TEXT}\n{PETERS_LINE}\n"));
    note.verified_by(&Verifier::parse(PETERS_VKEY).unwrap()).unwrap();
}

#[test]
fn a_note_verifies_by_its_signers_alone() {
    let (first, second, other) =
        (Signer::generate("a").unwrap(), Signer::generate("a").unwrap(), Signer::generate("a").unwrap());
    let note = Note::sign("text\n\nmore\n", &[&first, &second]).unwrap();
    let note = Note::parse(&note.to_string()).unwrap();
    assert_eq!(note.body(), "text\n\nmore\n");
    assert_eq!(note.verified_by(&first.verifier()), Ok(()));
    assert_eq!(note.verified_by(&second.verifier()), Ok(()));
    assert_eq!(note.verified_by(&other.verifier()), Err(NoteError::Unsigned("a".to_owned())));
    // The same signatures over another text.
    let forged = Note::parse(&note.to_string().replace("more", "less")).unwrap();
    assert_eq!(forged.verified_by(&first.verifier()), Err(NoteError::Forged("a".to_owned())));
}

/// One good signature does not make up for a false one in the same name and id.
#[test]
fn a_false_line_in_a_known_key_s_name_spoils_the_note() {
    let signer = Signer::generate("a").unwrap();
    let mut note = Note::sign("text\n", &[&signer]).unwrap();
    let false_line = Note::sign("other\n", &[&signer]).unwrap().signatures()[0].to_string();
    note.add_signature_line(&false_line).unwrap();
    assert_eq!(note.verified_by(&signer.verifier()), Err(NoteError::Forged("a".to_owned())));
}

#[test]
fn every_one_bit_change_of_a_note_is_seen() {
    let signer = Signer::generate("a").unwrap();
    let text = Note::sign(&checkpoint().to_body(), &[&signer]).unwrap().to_string();
    for at in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        let read = String::from_utf8(bytes).ok().and_then(|text| Note::parse(&text).ok());
        let verified = read.is_some_and(|note| note.verified_by(&signer.verifier()).is_ok());
        assert!(!verified, "bit {at}");
    }
}

#[test]
fn only_notes_are_read() {
    let good = format!("text\n\n{PETERS_LINE}\n");
    Note::parse(&good).unwrap();
    let many = |count| format!("text\n\n{}", format!("{PETERS_LINE}\n").repeat(count));
    Note::parse(&many(64)).unwrap();
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        format!("text\n{PETERS_LINE}\n"),
        format!("text\n\n{PETERS_LINE}"),
        format!("text\n\n{PETERS_LINE}\n\n"),
        format!("te\rxt\n\n{PETERS_LINE}\n"),
        format!("te\0xt\n\n{PETERS_LINE}\n"),
        format!("text\n\n{PETERS_LINE}\nmore\n"),
        good.replace("— ", "- "),
        good.replace("— ", "—"),
        good.replace("PeterNeumann ", "PeterNeumann  "),
        good.replace("PeterNeumann", "Peter+Neumann"),
        good.replace("PeterNeumann", ""),
        good.replace("BwJnAM=", "BwJnAM"),
        good.replace("BwJnAM=", "BwJnAN="),
        "text\n\n— a AAAAAA==\n".to_owned(),
        many(65),
        format!("{}\n\n{PETERS_LINE}\n", "x".repeat(70_000)),
    ] {
        assert!(matches!(Note::parse(&bad), Err(NoteError::Malformed(_))), "{bad:?}");
    }
    let signer = Signer::from_text(PETER).unwrap();
    Note::sign("no newline", &[&signer]).unwrap_err();
    Note::sign("a\ttab\n", &[&signer]).unwrap_err();
    Note::sign("text\n", &[]).unwrap_err();
}

/// The key of a witness that runs, as the Go implementation of cosignatures has it in its tests.
#[test]
fn the_key_of_another_witness_is_read() {
    let vkey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let verifier = Verifier::parse(vkey).unwrap();
    assert_eq!((verifier.name(), verifier.algorithm()), ("remora.n621.de", Algorithm::CosignatureV1));
    assert_eq!(verifier.to_string(), vkey);
}

proptest! {
    /// Nothing that is read is read in two ways, and nothing makes a reader panic.
    #[test]
    fn a_note_that_is_read_is_the_text_that_was_read(
        text in "[a-z\\n\u{2014} +=]{0,40}(\n\n(\u{2014} [a-z]{1,3} [A-Za-z0-9+/]{8,12}={0,2}\n){0,3})?",
        any in any::<String>(),
    ) {
        for text in [text, any] {
            if let Ok(note) = Note::parse(&text) {
                prop_assert_eq!(note.to_string(), text.clone());
            }
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_body(), text.clone());
            }
            if let Ok(verifier) = Verifier::parse(&text) {
                prop_assert_eq!(verifier.to_string(), text);
            }
        }
    }
}

#[test]
fn only_keys_are_read() {
    for (bad, why) in [
        ("", KeyError::VerifierForm),
        ("PeterNeumann", KeyError::VerifierForm),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Id),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::VerifierForm),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10S", KeyError::VerifierForm),
        ("PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Type),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
    ] {
        assert_eq!(Verifier::parse(bad).unwrap_err(), why, "{bad:?}");
    }
    for bad in [PETERS_VKEY, "PRIVATE+KEY+", "PRIVATE+KEY+PeterNeumann+c74f20a3", ""] {
        Signer::from_text(bad).unwrap_err();
    }
    assert_eq!(Signer::from_text(&PETER.replace("c74f20a3", "c74f20a4")).unwrap_err(), KeyError::Id);
    Signer::generate("with space").unwrap_err();
}

#[test]
fn no_secret_is_shown() {
    let signer = Signer::from_text(PETER).unwrap();
    let shown = format!("{signer:?} {:?}", Signer::from_text(&PETER.replace("c74f", "c74e")).unwrap_err());
    assert!(!shown.contains("AYEKFALVF"), "{shown}");
}

#[test]
fn a_checkpoint_has_one_text() {
    let body = checkpoint().to_body();
    assert_eq!(body.lines().collect::<Vec<_>>()[..2], ["pgward/0123", "42"]);
    assert_eq!(Checkpoint::parse(&body), Ok(checkpoint()));
    let root = checkpoint().root.to_base64();
    for bad in [
        String::new(),
        format!("\n42\n{root}\n"),
        format!("pgward/0123\n42\n{root}"),
        format!("pgward/0123\n042\n{root}\n"),
        format!("pgward/0123\n+42\n{root}\n"),
        format!("pgward/0123\n 42\n{root}\n"),
        format!("pgward/0123\n\n{root}\n"),
        format!("pgward/0123\n9223372036854775808\n{root}\n"),
        format!("pgward/0123\n42\n{}\n", &root[..40]),
        format!("pgward/0123\n42\n{root}\nmore\n"),
        format!("pgward/0123\n42\n{root}\n\n"),
    ] {
        Checkpoint::parse(&bad).expect_err(&bad);
    }
    let extended = format!("{body}one\ntwo\n");
    assert_eq!(Checkpoint::parse_extended(&extended).unwrap(), (checkpoint(), "one\ntwo\n"));
    for bad in [format!("{body}\n"), format!("{body}one"), format!("{body}one\n\ntwo\n")] {
        Checkpoint::parse_extended(&bad).expect_err(&bad);
    }
}

#[test]
fn a_cosignature_holds_for_its_checkpoint_and_its_time() {
    let (log, witness, other) =
        (Signer::generate("log").unwrap(), Cosigner::generate("w1").unwrap(), Cosigner::generate("w1").unwrap());
    let mut note = Note::sign(&checkpoint().to_body(), &[&log]).unwrap();
    for time in [1_679_315_147, 1_679_315_140] {
        let line = witness.cosign(&note, time).unwrap();
        note.add_signature_line(&format!("{line}\n")).unwrap();
        note.add_signature_line(&line.to_string()).unwrap();
    }
    assert_eq!(note.signatures().len(), 3);
    let note = Note::parse(&note.to_string()).unwrap();
    assert_eq!(note.cosigned_at(&witness.verifier()), Ok(1_679_315_147));
    assert_eq!(note.verified_by(&witness.verifier()), Ok(()));
    assert_eq!(note.verified_by(&log.verifier()), Ok(()));
    assert_eq!(note.cosigned_at(&other.verifier()), Err(NoteError::Unsigned("w1".to_owned())));
    assert_eq!(note.cosigned_at(&log.verifier()), Err(NoteError::Key(KeyError::Type)));
    let elsewhere = Note::parse(&note.to_string().replace("\n42\n", "\n43\n")).unwrap();
    assert_eq!(elsewhere.cosigned_at(&witness.verifier()), Err(NoteError::Forged("w1".to_owned())));
    witness.cosign(&note, u64::MAX).unwrap_err();
}

/// The message of the specification, signed by hand.
#[test]
fn a_cosignature_signs_the_message_of_the_specification() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let (log, witness) = (Signer::generate("log").unwrap(), Cosigner::generate("w1").unwrap());
    let body = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let line = witness.cosign(&Note::sign(body, &[&log]).unwrap(), 1_679_315_147).unwrap().to_string();
    let data = STANDARD.decode(line.strip_prefix("— w1 ").unwrap()).unwrap();
    assert_eq!(data[4..12], 1_679_315_147_u64.to_be_bytes());
    let vkey = witness.verifier().to_string();
    let public = STANDARD.decode(vkey.splitn(3, '+').last().unwrap()).unwrap();
    assert_eq!(public[0], 4);
    let message = format!("cosignature/v1\ntime 1679315147\n{body}");
    UnparsedPublicKey::new(&ED25519, &public[1..]).verify(message.as_bytes(), &data[12..]).unwrap();
}

#[test]
fn a_log_s_key_is_no_witness_s_key() {
    let (log, witness) = (Signer::generate("a").unwrap(), Cosigner::generate("a").unwrap());
    assert_eq!(Cosigner::from_text(&log.to_text().unwrap()).unwrap_err(), KeyError::Type);
    assert_eq!(Signer::from_text(&witness.to_text().unwrap()).unwrap_err(), KeyError::Type);
    let again = Cosigner::from_text(&witness.to_text().unwrap()).unwrap();
    assert_eq!(again.verifier(), witness.verifier());
    assert_eq!(Verifier::parse(&witness.verifier().to_string()), Ok(witness.verifier()));
}
