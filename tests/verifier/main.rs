//! The second verifier, `tools/verify_journal.py`: it passes what is whole and names what is not. Needs Debian's Python with
//! its `cryptography`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod fixture;

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixture::{Fixture, Text, frame, record_key, seal, texts};
use pgward::tlog::{CheckpointFile, Cosigner, Hash, TileReader};
use serde_json::{Value, json};

const COUNT: u64 = 40;

fn run(arguments: &[&str]) -> Value {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_journal.py");
    let output = Command::new("/usr/bin/python3").arg(tool).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let code = if answer["ok"] == json!(true) { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{said}");
    answer
}

fn verify(fixture: &Fixture) -> Value {
    let (dir, region) = (fixture.dir(), fixture.region());
    run(&[dir.to_str().unwrap(), "--region", region.to_str().unwrap(), "--vkey", &fixture.vkey()])
}

fn is_whole(answer: &Value) {
    is_whole_to(COUNT, answer);
}

fn is_whole_to(records: u64, answer: &Value) {
    assert_eq!(answer, &json!({ "ok": true, "records": records, "first_bad": null, "problem": null }));
}

/// The records, and one more that says that these buckets were erased.
fn purged(mut texts: Vec<Text>, buckets: &str) -> Vec<Text> {
    texts.push(Fixture::purge(buckets));
    texts
}

fn is_bad(answer: &Value, first_bad: Option<u64>, problem: &str) {
    assert_eq!(answer["ok"], json!(false));
    assert_eq!(answer["first_bad"], json!(first_bad), "{answer}");
    assert!(answer["problem"].as_str().unwrap().contains(problem), "{answer}");
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The number of the record that the byte at `at` of the segment from `first` belongs to.
fn record_at(bytes: &[u8], first: u64, at: usize) -> u64 {
    let mut start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut seq = first;
    while start <= at {
        let end = start + 8 + u32::from_be_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
        if at < end {
            return seq;
        }
        (start, seq) = (end, seq + 1);
    }
    first
}

#[test]
fn what_is_whole_passes() {
    let fixture = Fixture::write(texts());
    is_whole(&verify(&fixture));
    let dir = fixture.dir();
    is_whole(&run(&[dir.to_str().unwrap(), "--vkey", &fixture.vkey()]));
    is_whole(&run(&[dir.to_str().unwrap()]));
}

#[test]
fn every_changed_bit_of_a_segment_is_found_where_it_is() {
    let fixture = Fixture::write(texts());
    for (first, step) in [(1, 97), (15, 113), (30, 151)] {
        let path = Fixture::segment(&fixture.dir(), first);
        let good = fs::read(&path).unwrap();
        for bit in (3..good.len() * 8).step_by(step * 8 + 3) {
            change(&path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let answer = verify(&fixture);
            assert_eq!(answer["ok"], json!(false), "bit {bit} of segment {first}");
            // A length that was changed may swallow what follows it; the record itself is the first bad one all the same.
            assert_eq!(answer["first_bad"], json!(record_at(&good, first, bit / 8)), "{answer} bit {bit} of {first}");
            fs::write(&path, &good).unwrap();
        }
    }
    is_whole(&verify(&fixture));
}

#[test]
fn the_log_s_own_files_are_held_to_the_root_that_is_signed() {
    let fixture = Fixture::write(texts());
    for (name, at) in [("tile/0/000.p/40", 333), ("tile/entries/000.p/40", 790 + 30), ("tile/entries/000.p/40", 0)] {
        let path = fixture.dir().join(name);
        change(&path, |bytes| bytes[at] ^= 4);
        assert_eq!(verify(&fixture)["ok"], json!(false), "{name}");
        change(&path, |bytes| bytes[at] ^= 4);
    }
    let checkpoint = fixture.dir().join("checkpoint");
    let good = fs::read_to_string(&checkpoint).unwrap();
    for bad in [good.replace("\n40\n", "\n39\n"), good.replace("pgward/0", "pgward/1"), good.replace("— ", "- ")] {
        fs::write(&checkpoint, bad).unwrap();
        is_bad(&verify(&fixture), None, "checkpoint");
    }
}

/// Whoever may write everything may sign everything anew: with a key that nobody knows.
#[test]
fn a_journal_written_anew_passes_for_who_believes_the_keys_beside_it_and_for_nobody_else() {
    let (first, anew) = (Fixture::write(texts()), Fixture::write(texts()));
    let (dir, region) = (anew.dir(), anew.region());
    let arguments = [dir.to_str().unwrap(), "--region", region.to_str().unwrap()];
    is_whole(&run(&arguments));
    is_bad(&run(&[&arguments[..], &["--vkey", &first.vkey()]].concat()), None, "not signed by a known key");
}

#[test]
fn a_text_that_was_exchanged_is_not_the_one_that_was_committed_to() {
    let fixture = Fixture::write(texts());
    let path = Fixture::segment(&fixture.dir(), 1);
    // As whoever has the keys would: sealed anew, its checksum right.
    let json =
        "{\"time\":\"2026-11-22T00:00:00Z\",\"seq\":7,\"event\":\"statement\",\"session\":\"se_1\",\"session_seq\":3}";
    replace_frame(&path, 1, 7, &frame(1, 7, 1, &seal(1, 7, json)));
    is_bad(&verify(&fixture), Some(7), "not what the log committed to");
}

fn replace_frame(path: &Path, first: u64, seq: u64, with: &[u8]) {
    change(path, |bytes| {
        let mut start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for _ in first..seq {
            start += 8 + u32::from_be_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
        }
        let end = start + 8 + u32::from_be_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
        bytes.splice(start..end, with.iter().copied());
    });
}

#[test]
fn records_that_were_dropped_moved_or_cut_off_are_missed() {
    for (first, seq, with, problem) in [
        (1, 7, Vec::new(), "record 8 stands in its place"),
        (1, 8, frame(1, 7, 1, b"0123456789abcdef"), "record 7 stands where it comes next"),
        (1, 14, Vec::new(), "missing, though"),
        (15, 20, Vec::new(), "record 21 stands in its place"),
        (30, 39, Vec::new(), "record 40 stands in its place"),
        (30, 40, Vec::new(), "missing from the journal's last segment"),
    ] {
        let fixture = Fixture::write(texts());
        replace_frame(&Fixture::segment(&fixture.dir(), first), first, seq, &with);
        is_bad(&verify(&fixture), Some(seq), problem);
    }
    let fixture = Fixture::write(texts());
    fs::remove_file(Fixture::segment(&fixture.dir(), 15)).unwrap();
    is_bad(&verify(&fixture), Some(16), "missing, though");
}

#[test]
fn what_was_destroyed_is_gone_and_all_else_still_proved() {
    let fixture = Fixture::write(purged(texts(), "1, 9"));
    let destroyed = "\"destroyed\":\"2026-12-24T00:00:00Z\"";
    fixture.write_key(&fixture.dir(), 1, destroyed);
    is_whole_to(COUNT + 1, &verify(&fixture));
    // A record under legal hold stays readable, by its own key.
    let held = format!("{destroyed},\"held\":{{\"7\":\"{}\"}}", STANDARD.encode(record_key(1, 7)));
    fixture.write_key(&fixture.dir(), 1, &held);
    is_whole_to(COUNT + 1, &verify(&fixture));
    let other = format!("{destroyed},\"held\":{{\"7\":\"{}\"}}", STANDARD.encode(record_key(1, 8)));
    fixture.write_key(&fixture.dir(), 1, &other);
    is_bad(&verify(&fixture), Some(7), "not the one that the log committed to");
    // Its segment may go, too; the one behind it has other keys.
    fixture.write_key(&fixture.dir(), 1, destroyed);
    fs::remove_file(Fixture::segment(&fixture.dir(), 1)).unwrap();
    is_whole_to(COUNT + 1, &verify(&fixture));
    // A key that is simply gone is no destruction.
    fs::remove_file(fixture.dir().join("keys/0000000002.key")).unwrap();
    is_bad(&verify(&fixture), Some(21), "nothing says that it was destroyed");
}

#[test]
fn what_lies_in_a_region_is_held_to_the_same_log() {
    let fixture = Fixture::write(purged(texts(), "1, 9"));
    let path = Fixture::segment(&fixture.region(), 5);
    let good = fs::read(&path).unwrap();
    change(&path, |bytes| bytes[90] ^= 1);
    is_bad(&verify(&fixture), Some(5), "damaged");
    fs::remove_file(&path).unwrap();
    is_bad(&verify(&fixture), Some(5), "missing, though");
    fixture.write_key(&fixture.region(), 9, "\"destroyed\":\"2026-12-24T00:00:00Z\"");
    is_whole_to(COUNT + 1, &verify(&fixture));
    // What lies beyond the journal's end was being written when it was copied.
    let stray = [good.as_slice(), &frame(1, 42, 9, b"0123456789abcdef")].concat();
    fs::write(&path, stray).unwrap();
    is_whole_to(COUNT + 1, &verify(&fixture));
}

#[test]
fn an_erasure_that_no_record_tells_of_is_found() {
    for (buckets, first_bad) in [("1", None), ("2, 1, 7", None), ("2", Some(1)), ("11", Some(1))] {
        let fixture = Fixture::write(purged(texts(), buckets));
        fixture.write_key(&fixture.dir(), 1, "\"destroyed\":\"2026-12-24T00:00:00Z\"");
        match first_bad {
            None => is_whole_to(COUNT + 1, &verify(&fixture)),
            Some(seq) => is_bad(&verify(&fixture), Some(seq), "no record says so"),
        }
    }
}

#[test]
fn sessions_have_no_gaps_and_ends_have_statements() {
    let plain = |json: &str| Text { bucket: 1, json: json.to_owned(), elsewhere: false };
    let session = |at: u64| plain(&format!("\"event\":\"cancel\",\"session\":\"s\",\"session_seq\":{at}"));
    let end = |of: u64, at: u64| {
        plain(&format!("\"event\":\"statement_end\",\"statement_seq\":{of},\"session\":\"s\",\"session_seq\":{at}"))
    };
    let statement = |at: u64| plain(&format!("\"event\":\"statement\",\"session\":\"s\",\"session_seq\":{at}"));
    for (texts, first_bad) in [
        (vec![session(1), session(2), session(3)], None),
        (vec![session(1), session(3)], Some(2)),
        (vec![session(2)], Some(1)),
        (vec![session(1), session(1)], Some(2)),
        (vec![statement(1), end(1, 2)], None),
        (vec![statement(1), end(1, 2), end(1, 3)], Some(3)),
        (vec![session(1), end(1, 2)], Some(2)),
        (vec![statement(1), plain("\"event\":\"journal_opened\""), end(1, 2)], Some(3)),
    ] {
        let fixture = Fixture::write(texts);
        let answer = verify(&fixture);
        assert_eq!((&answer["ok"], &answer["first_bad"]), (&json!(first_bad.is_none()), &json!(first_bad)), "{answer}");
    }
    // The missing one may be among those that nobody can read any more.
    let texts = purged(vec![session(1), Text { bucket: 2, ..session(2) }, session(3)], "2");
    let fixture = Fixture::write(texts);
    fixture.write_key(&fixture.dir(), 2, "\"destroyed\":\"2026-12-24T00:00:00Z\"");
    assert_eq!(verify(&fixture)["ok"], json!(true));
}

#[test]
fn a_kept_checkpoint_shows_that_the_end_was_cut_off_or_all_of_it_written_anew() {
    let whole = Fixture::write(texts());
    let witness = Cosigner::generate("w").unwrap();
    let kept = CheckpointFile::of(whole.root.path());
    let root = TileReader::new(&whole.dir(), COUNT).root().unwrap();
    let mut note = whole.note(COUNT, root);
    note.replace_signature(witness.cosign(&note, 1_800_000_000).unwrap()).unwrap();
    kept.put(&note, false).unwrap();
    let file = whole.root.path().join("checkpoint");
    let vkey = witness.verifier().to_string();
    let verify = |fixture: &Fixture| {
        let (dir, region) = (fixture.dir(), fixture.region());
        let arguments = [dir.to_str().unwrap(), "--region", region.to_str().unwrap(), "--vkey", &fixture.vkey()];
        run(&[&arguments[..], &["--witness", &vkey, "--checkpoint", file.to_str().unwrap()]].concat())
    };
    is_whole(&verify(&whole));
    let signer = || pgward::tlog::Signer::from_text(&whole.signer.to_text().unwrap()).unwrap();
    let cut = Fixture::write_by(texts().into_iter().take(35).collect(), signer());
    is_bad(&verify(&cut), Some(36), "the journal's end was cut off");
    let mut other = texts();
    other[1].json = other[1].json.replace("select 2", "select 3");
    other.push(Text { bucket: 1, json: "\"event\":\"journal_closed\"".to_owned(), elsewhere: false });
    is_bad(&verify(&Fixture::write_by(other, signer())), None, "written anew");
    let (dir, region) = (whole.dir(), whole.region());
    let alone = [dir.to_str().unwrap(), "--region", region.to_str().unwrap(), "--witness", &vkey];
    is_bad(&run(&alone), None, "cosigned by w");
}

#[test]
fn a_tail_behind_the_checkpoint_is_read_and_may_be_torn() {
    let fixture = Fixture::write(texts());
    let path = Fixture::segment(&fixture.dir(), 30);
    let json = "{\"time\":\"2026-11-22T00:00:00Z\",\"seq\":41,\"event\":\"journal_closed\"}";
    let next = frame(1, 41, 1, &seal(1, 41, json));
    let good = fs::read(&path).unwrap();
    fs::write(&path, [good.as_slice(), &next].concat()).unwrap();
    assert_eq!(verify(&fixture)["records"], json!(41));
    for length in [1, 7, 8, 30, next.len() - 1] {
        fs::write(&path, [good.as_slice(), &next[..length]].concat()).unwrap();
        is_whole(&verify(&fixture));
    }
    fs::write(&path, [good.as_slice(), &frame(1, 41, 1, &seal(1, 42, json))].concat()).unwrap();
    is_bad(&verify(&fixture), Some(41), "does not open");
}

#[test]
fn a_bundle_proves_one_record() {
    let fixture = Fixture::write(texts());
    let (_, note) = CheckpointFile::of(&fixture.dir()).read().unwrap().unwrap();
    let reader = TileReader::new(&fixture.dir(), COUNT);
    let (seq, bucket) = (7, 1);
    let proof: Vec<_> = reader.inclusion(seq - 1).unwrap().iter().map(Hash::to_base64).collect();
    let record = format!("{{\"time\":\"2026-11-22T00:00:00Z\",\"seq\":{seq},{}}}", fixture.texts[6].json);
    let bundle = json!({
        "format": "pgward-proof-1", "vkey": fixture.vkey(), "checkpoint": note.to_string(), "index": seq - 1,
        "entry": STANDARD.encode(reader.entry(seq - 1).unwrap()), "proof": proof,
        "sealed": STANDARD.encode(&fixture.sealed[&seq]), "key": STANDARD.encode(record_key(bucket, seq)), "record": record,
    });
    let file = fixture.root.path().join("bundle.json");
    let check = |bundle: &Value, arguments: &[&str]| {
        fs::write(&file, bundle.to_string()).unwrap();
        run(&[&["--bundle", file.to_str().unwrap()], arguments].concat())
    };
    let with = |name: &str, value: Value| {
        let mut other = bundle.clone();
        other[name] = value;
        other
    };
    let vkey = fixture.vkey();
    assert_eq!(
        check(&bundle, &["--vkey", &vkey]),
        json!({ "ok": true, "records": 1, "first_bad": null, "problem": null })
    );
    for name in ["sealed", "key", "record"] {
        assert_eq!(check(&with(name, Value::Null), &[])["ok"], json!(name == "record"), "without {name}");
    }
    let mut hidden = bundle.clone();
    for name in ["sealed", "key", "record"] {
        hidden[name] = Value::Null;
    }
    assert_eq!(
        check(&hidden, &["--vkey", &vkey])["ok"],
        json!(true),
        "that there is such a record is proved without it"
    );

    let stranger = Fixture::write(texts()).vkey();
    is_bad(&check(&bundle, &["--vkey", &stranger]), None, "not signed by a known key");
    is_bad(&check(&with("index", json!(7)), &[]), Some(8), "says that it is record 7");
    is_bad(&check(&with("index", json!(40)), &[]), None, "outside of the log");
    is_bad(&check(&with("record", json!(record.replace('7', "8"))), &[]), Some(7), "not the one");
    is_bad(&check(&with("key", json!(STANDARD.encode(record_key(1, 8)))), &[]), Some(7), "not the one");
    is_bad(&check(&with("sealed", json!(STANDARD.encode(&fixture.sealed[&8]))), &[]), Some(7), "not what the log");
    let entry = STANDARD.encode(fixture::entry(7, 2, &fixture.sealed[&7]));
    is_bad(&check(&with("entry", json!(entry)), &[]), Some(7), "does not lead to the root");
    is_bad(&check(&with("proof", json!(proof[1..])), &[]), None, "too short");
    let longer: Vec<_> = proof.iter().chain(&proof[..1]).collect();
    assert_eq!(check(&with("proof", json!(longer)), &[])["ok"], json!(false));
    is_bad(&check(&with("format", json!("pgward-proof-2")), &[]), None, "not a proof");
}

/// What pgward itself writes: two pages of hand-made files prove nothing about it.
#[tokio::test]
async fn a_journal_of_pgward_s_own_passes_and_its_damage_is_found() {
    use pgward::access::SessionId;
    use pgward::audit::{Durability, Event, Journal, Record, RecordedVerdict, Settings};
    let root = tempfile::TempDir::new().unwrap();
    let dir = root.path().join("audit");
    let journal = Journal::open(Settings::new(dir.clone(), Durability::Written)).unwrap();
    let vkey = journal.verifier().to_string();
    for number in 1..=600 {
        let mut record = Record::new(jiff::Timestamp::now(), Event::Statement);
        record.session = Some(SessionId::from_text("se_1"));
        record.statement = Some(format!("select {number} -- \u{202e}\"\n"));
        record.verdict = Some(RecordedVerdict::Deny);
        journal.record(record).await.unwrap();
    }
    journal.close().await.unwrap();
    drop(journal);
    let path = dir.to_str().unwrap();
    let whole = json!({ "ok": true, "records": 602, "first_bad": null, "problem": null });
    assert_eq!(run(&[path, "--vkey", &vkey]), whole);
    assert_eq!(run(&[path]), whole);
    let segment = Fixture::segment(&dir, 1);
    let good = fs::read(&segment).unwrap();
    for at in (100..good.len()).step_by(good.len() / 7) {
        change(&segment, |bytes| bytes[at] ^= 1);
        is_bad(&run(&[path, "--vkey", &vkey]), Some(record_at(&good, 1, at)), "");
        fs::write(&segment, &good).unwrap();
    }
}

/// Erased, held and kept in a region: what pgward makes of its files, both verifiers take for whole, and its damage for damage.
#[tokio::test]
async fn both_verifiers_judge_an_erased_journal_alike() {
    use std::time::Duration;

    use pgward::access::Region;
    use pgward::audit::{Durability, Event, Filter, Journal, Record, Retention, Settings, Shelf, prove, verify};
    const DAY: Duration = Duration::from_secs(86_400);
    let root = tempfile::TempDir::new().unwrap();
    let (dir, eu) = (root.path().join("main"), root.path().join("eu"));
    let mut settings = Settings::new(dir.clone(), Durability::Written);
    settings.shelves[0].retention = Retention { access: 10 * DAY, ..Retention::all(365 * DAY) };
    let retention = Retention::all(3 * DAY);
    settings.shelves.push(Shelf { region: Some(Region::new("eu")), dir: Some(eu.clone()), retention });
    let journal = Journal::open(settings.clone()).unwrap();
    let vkey = journal.verifier().to_string();
    for number in 0..30 {
        let event = if number % 3 == 0 { Event::CredentialMinted } else { Event::ConfigReloaded };
        let mut record = Record::new(jiff::Timestamp::now(), event);
        record.detail = Some(format!("number {number}"));
        record.principal = Some(if number == 9 { "alice" } else { "bob" }.to_owned());
        record.data_region = (number % 5 == 0).then(|| Region::new("eu"));
        journal.record(record).await.unwrap();
    }
    let filter = Filter { principal: Some("alice".to_owned()), ..Filter::default() };
    journal.place_hold(filter, "case 7".to_owned(), "carol".to_owned()).await.unwrap();
    let purged = journal.purge(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 20)).await.unwrap();
    assert!(purged.buckets.len() > 1 && purged.held == 1, "{purged:?}");
    journal.close().await.unwrap();
    let records = journal.last_seq();
    drop(journal);

    let arguments = [dir.to_str().unwrap(), "--region", eu.to_str().unwrap(), "--vkey", &vkey];
    let alike = || {
        let (ours, theirs) = (verify(settings.places()), run(&arguments));
        assert_eq!(json!(ours.ok), theirs["ok"], "{ours:?} {theirs}");
        ours.ok
    };
    assert!(alike());
    assert_eq!(run(&arguments)["records"], json!(records));
    // Record 2 is the first of them, number 0: erased. Number 9 is held.
    let (erased, record) = prove(settings.places(), 2).unwrap();
    assert!(record.is_none() && erased.record.is_none());
    let (held, record) = prove(settings.places(), 11).unwrap();
    assert_eq!(record.unwrap().detail.as_deref(), Some("number 9"));
    for bundle in [erased, held] {
        let file = root.path().join("proof.json");
        fs::write(&file, serde_json::to_string(&bundle).unwrap()).unwrap();
        assert_eq!(run(&["--bundle", file.to_str().unwrap(), "--vkey", &vkey])["ok"], json!(true));
    }
    for path in fs::read_dir(dir.join("keys")).unwrap().chain(fs::read_dir(eu.join("keys")).unwrap()) {
        let path = path.unwrap().path();
        if path.is_file() {
            let good = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            assert!(!alike(), "without {}", path.display());
            fs::write(&path, good).unwrap();
        }
    }
    let segment = Fixture::segment(&dir, 1);
    let good = fs::read(&segment).unwrap();
    for at in (60..good.len()).step_by(good.len() / 9) {
        change(&segment, |bytes| bytes[at] ^= 1);
        assert!(!alike(), "byte {at}");
        fs::write(&segment, &good).unwrap();
    }
    assert!(alike());
}

/// Both verifiers, on proofs that pgward hands out and on what somebody might make of them: they say the same.
#[tokio::test]
async fn both_verifiers_judge_a_proof_alike() {
    use pgward::audit::{Bundle, Durability, Event, Journal, Record, Settings, prove};
    let root = tempfile::TempDir::new().unwrap();
    let dir = root.path().join("audit");
    let journal = Journal::open(Settings::new(dir.clone(), Durability::Written)).unwrap();
    let verifier = journal.verifier().clone();
    for number in 1..=20 {
        let mut record = Record::new(jiff::Timestamp::now(), Event::ConfigReloaded);
        record.detail = Some(format!("{number} \u{202e} grüße"));
        journal.record(record).await.unwrap();
    }
    journal.close().await.unwrap();
    let (bundle, record) = prove(&dir, 7).unwrap();
    assert_eq!(record.unwrap().seq, 7);
    let good = serde_json::to_value(&bundle).unwrap();
    let file = root.path().join("proof.json");
    let agree = |value: &Value| {
        fs::write(&file, value.to_string()).unwrap();
        let theirs = run(&["--bundle", file.to_str().unwrap(), "--vkey", &verifier.to_string()]);
        let ours = Bundle::parse(value.to_string().as_bytes());
        let ours = ours.and_then(|bundle| bundle.verify(std::slice::from_ref(&verifier), &[]));
        assert_eq!(theirs["ok"], json!(ours.is_ok()), "{theirs} {ours:?} {value}");
        ours.is_ok()
    };
    assert!(agree(&good));
    for seq in [1, 8, 22] {
        assert!(agree(&serde_json::to_value(prove(&dir, seq).unwrap().0).unwrap()));
    }
    prove(&dir, 0).unwrap_err();
    prove(&dir, 23).unwrap_err();

    let other = serde_json::to_value(prove(&dir, 8).unwrap().0).unwrap();
    for name in ["checkpoint", "index", "entry", "proof", "sealed", "key", "record", "format"] {
        let mut changed = good.clone();
        changed[name] = other[name].clone();
        assert_eq!(agree(&changed), other[name] == good[name], "{name} of another");
        changed[name] = Value::Null;
        // Without the record's text the rest still proves that there is such a record.
        assert_eq!(agree(&changed), name == "record", "no {name}");
        let Value::String(text) = &good[name] else { continue };
        let middle = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
        let mut letters = text.clone();
        let put = if text[middle..].starts_with('A') { "B" } else { "A" };
        letters.replace_range(middle..middle + text[middle..].chars().next().unwrap().len_utf8(), put);
        changed[name] = json!(letters);
        assert!(!agree(&changed), "{name}: {letters}");
    }
    let mut bare = good.clone();
    for name in ["sealed", "key", "record"] {
        bare[name] = Value::Null;
    }
    assert!(agree(&bare));
}
