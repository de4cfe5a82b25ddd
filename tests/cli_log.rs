//! The journal's key and a witness, as the binary has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pgward::tlog::{Algorithm, Checkpoint, Hash, Note, Verifier, keyfile};
use tempfile::TempDir;

fn pgward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgward"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["PGWARD_URL", "PGWARD_TOKEN", "PGWARD_CA"] {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    pgward(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

/// All that was printed must be free of the secret.
fn secret(file: &Path) -> String {
    fs::read_to_string(file).unwrap().trim().rsplit('+').next().unwrap().to_owned()
}

#[test]
fn the_signing_key_is_made_shown_and_changed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("audit.key");
    let path = file.to_str().unwrap();
    let made = run(&["audit", "key", "--file", path, "--origin", "pgward/1"]);
    let vkey = text(&made.stdout).trim().to_owned();
    let first = Verifier::parse(&vkey).unwrap();
    assert_eq!((first.name(), first.algorithm()), ("pgward/1", Algorithm::Ed25519));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ok(&["audit", "key", "--file", path, "--show"]), vkey);
    let shown: serde_json::Value =
        serde_json::from_str(&ok(&["audit", "key", "--file", path, "--show", "-o", "json"])).unwrap();
    assert_eq!((shown["vkey"].as_str(), shown["file"].as_str()), (Some(vkey.as_str()), Some(path)));

    let again = run(&["audit", "key", "--file", path, "--origin", "pgward/1"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("never written over") && text(&again.stderr).contains("--rotate"));

    let second = Verifier::parse(&ok(&["audit", "key", "--file", path, "--rotate"])).unwrap();
    assert_eq!((second.name(), second == first), ("pgward/1", false));
    let keys = keyfile::load(&file).unwrap();
    assert_eq!((keys.current.verifier(), keys.retiring.unwrap().verifier()), (second, first));
    let twice = run(&["audit", "key", "--file", path, "--rotate"]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(text(&twice.stderr).contains("start pgward"));

    for output in [made, again, twice] {
        assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(&secret(&file)));
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = run(&["audit", "key", "--file", path, "--show"]);
    assert_eq!(open.status.code(), Some(1));
    assert!(text(&open.stderr).contains("chmod 600"));
    let nameless = dir.path().join("none.key");
    assert_eq!(run(&["audit", "key", "--file", nameless.to_str().unwrap()]).status.code(), Some(1));
}

/// A witness process, ended with the test.
struct Witness(Child);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_witness_makes_its_key_says_it_and_cosigns() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let log = keyfile::create(&dir.path().join("log.key"), "pgward/1").unwrap();
    let vkey = log.verifier().to_string();
    let announced = ok(&["witness", "--key", &path("w.key"), "--name", "w.example", "--show"]);

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = ["witness", "--listen", &port, "--key", &path("w.key"), "--log", &vkey, "--state", &path("state")];
    let mut child = pgward(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let _witness = Witness(child);
    assert_eq!(lines.next().unwrap().unwrap(), announced);
    let witness = Verifier::parse(&announced).unwrap();
    assert_eq!((witness.name(), witness.algorithm()), ("w.example", Algorithm::CosignatureV1));
    assert!(said.next().unwrap().unwrap().contains("witnessing"));

    let checkpoint = Checkpoint { origin: "pgward/1".to_owned(), size: 1, root: Hash::of(b"root") };
    let note = Note::sign(&checkpoint.to_body(), &[&log]).unwrap();
    let body = format!("old 0\n\n{note}");
    let mut stream = TcpStream::connect(&port).unwrap();
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut note = note;
    note.add_signature_line(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    note.cosigned_at(&witness).unwrap();
}

#[test]
fn a_witness_does_not_start_on_what_it_cannot_be() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let vkey = keyfile::create(&dir.path().join("log.key"), "pgward/1").unwrap().verifier().to_string();
    let start = |listen: &str, log: &str, key: &str| {
        let output = run(&["witness", "--listen", listen, "--key", key, "--log", log, "--state", &path("state")]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(start("0.0.0.0:0", &vkey, &path("w.key")).contains("wants TLS"));
    assert!(start("127.0.0.1:0", "nonsense", &path("w.key")).contains("not a verifier key"));
    let own = ok(&["witness", "--key", &path("w.key"), "--show"]);
    assert!(start("127.0.0.1:0", &own, &path("w.key")).contains("a witness's key"));
    assert!(start("127.0.0.1:0", &vkey, &path("log.key")).contains("cannot be used here"));
}

/// Who knows the first key alone comes to the newest, and to no key that was only named.
#[tokio::test]
async fn a_journal_that_changed_its_key_twice_is_known_by_the_first() {
    use pgward::audit::{Durability, Journal, Settings, verify};
    let root = TempDir::new().unwrap();
    let dir = root.path().join("audit");
    let settings = Settings::new(dir.clone(), Durability::Written);
    let key = settings.signing_key.to_str().unwrap().to_owned();
    let open_and_close = async || {
        let journal = Journal::open(settings.clone()).unwrap();
        let vkey = journal.verifier().to_string();
        journal.close().await.unwrap();
        vkey
    };
    let first = open_and_close().await;
    let (mut newest, mut before) = (first.clone(), first.clone());
    for _ in 0..2 {
        before.clone_from(&newest);
        ok(&["audit", "key", "--file", &key, "--rotate"]);
        newest = open_and_close().await;
        assert!(!root.path().join("audit.key.old").exists(), "the key before has signed its last");
    }
    assert_ne!(first, newest);
    assert!(verify(&dir).ok);
    let path = dir.to_str().unwrap();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_journal.py");
    let passes = |vkey: &str| {
        let output = run(&["audit", "verify", "--dir", path, "--vkey", vkey]);
        let ours = output.status.success();
        let theirs = Command::new("/usr/bin/python3").arg(&tool).args([path, "--vkey", vkey]).output().unwrap();
        assert_eq!(ours, theirs.status.success(), "{} {}", text(&output.stderr), text(&theirs.stdout));
        ours
    };
    assert!(passes(&first) && passes(&newest));
    // Never back: whoever has an old key cannot sign for those who know a newer one.
    let published = pgward::tlog::CheckpointFile::of(&dir);
    let follow = |vkey: &str| published.follow(Verifier::parse(vkey).unwrap()).to_string();
    assert_eq!([follow(&first), follow(&before), follow(&newest)], [newest.as_str(); 3]);
    // Named by whoever can write there, and proved by nothing.
    let stranger = pgward::tlog::Signer::generate("pgward/other").unwrap().verifier().to_string();
    let named = fs::read_to_string(dir.join("log.vkey")).unwrap();
    fs::write(dir.join("log.vkey"), format!("{named}{stranger}\n")).unwrap();
    assert!(!passes(&stranger));
    fs::write(dir.join("log.vkey"), named).unwrap();
    for rotation in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
        if rotation.to_str().unwrap().contains("rotation-") {
            fs::remove_file(rotation).unwrap();
        }
    }
    assert!(!passes(&first) && passes(&newest));
}
