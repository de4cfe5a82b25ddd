//! A journal written by hand after the page on its format: no code of the journal itself takes part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgward::tlog::{Checkpoint, CheckpointFile, Hash, Note, Signer, TileWriter};
use tempfile::TempDir;

pub const JOURNAL: &str = "00112233445566778899aabbccddeeff";

/// One record: its bucket, its text without the number, and whether its text lies in the region's directory.
#[derive(Clone)]
pub struct Text {
    pub bucket: u32,
    pub json: String,
    pub elsewhere: bool,
}

pub struct Fixture {
    pub root: TempDir,
    pub signer: Signer,
    pub texts: Vec<Text>,
    /// Sealed, by number.
    pub sealed: BTreeMap<u64, Vec<u8>>,
}

/// Statements of two sessions over three buckets, every fifth of them kept in a region.
pub fn texts() -> Vec<Text> {
    let mut texts = vec![Text { bucket: 1, json: "\"event\":\"journal_opened\"".to_owned(), elsewhere: false }];
    let mut numbers = [0, 0];
    for number in 2..=40u64 {
        let which = usize::try_from(number % 2).unwrap();
        numbers[which] += 1;
        let (session, at) = (format!("se_{which}"), numbers[which]);
        let what = if at % 2 == 1 {
            format!("\"event\":\"statement\",\"statement\":\"select {number}\"")
        } else {
            format!("\"event\":\"statement_end\",\"statement_seq\":{}", number - 2)
        };
        let elsewhere = number % 5 == 0;
        texts.push(Text {
            bucket: if elsewhere { 9 } else { 1 + u32::try_from(number / 20).unwrap() },
            json: format!("{what},\"session\":\"{session}\",\"session_seq\":{at}"),
            elsewhere,
        });
    }
    texts
}

pub fn bucket_key(bucket: u32) -> [u8; 32] {
    Hash::of(format!("bucket {bucket}").as_bytes()).0
}

pub fn record_key(bucket: u32, seq: u64) -> [u8; 32] {
    Hash::of(&[b"pgward record\0".as_slice(), &bucket_key(bucket), &seq.to_be_bytes()].concat()).0
}

pub fn key_id(key: &[u8; 32]) -> [u8; 32] {
    Hash::of(&[b"pgward key id\0".as_slice(), key].concat()).0
}

pub fn seal(bucket: u32, seq: u64, json: &str) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &record_key(bucket, seq)).unwrap());
    let mut sealed = json.as_bytes().to_vec();
    let aad = Aad::from([seq.to_be_bytes().as_slice(), &bucket.to_be_bytes()].concat());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), aad, &mut sealed).unwrap();
    sealed
}

pub fn frame(place: u8, seq: u64, bucket: u32, rest: &[u8]) -> Vec<u8> {
    let body = [&[place], seq.to_be_bytes().as_slice(), &bucket.to_be_bytes(), rest].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [length.as_slice(), &crc32fast::hash(&body).to_be_bytes(), &body].concat()
}

pub fn entry(seq: u64, bucket: u32, sealed: &[u8]) -> Vec<u8> {
    let (digest, id) = (Hash::of(sealed).0, key_id(&record_key(bucket, seq)));
    [&[1], seq.to_be_bytes().as_slice(), &bucket.to_be_bytes(), &digest, &id].concat()
}

impl Fixture {
    /// A last record that says that these buckets were erased.
    pub fn purge(buckets: &str) -> Text {
        let json = format!("\"event\":\"records_purged\",\"detail\":\"buckets {buckets}: gone\"");
        Text { bucket: 3, json, elsewhere: false }
    }

    pub fn write(texts: Vec<Text>) -> Self {
        let signer = Signer::generate(&format!("pgward/{JOURNAL}")).unwrap();
        Self::write_by(texts, signer)
    }

    pub fn write_by(texts: Vec<Text>, signer: Signer) -> Self {
        let mut fixture = Self { root: TempDir::new().unwrap(), signer, texts, sealed: BTreeMap::new() };
        for dir in [fixture.dir(), fixture.region()] {
            fs::create_dir_all(dir.join("keys")).unwrap();
        }
        fixture.write_records();
        for bucket in [1, 2, 3] {
            fixture.write_key(&fixture.dir(), bucket, &format!("\"key\":\"{}\"", STANDARD.encode(bucket_key(bucket))));
        }
        let key = format!("\"key\":\"{}\"", STANDARD.encode(bucket_key(9)));
        fixture.write_key(&fixture.region(), 9, &key);
        fs::write(fixture.dir().join("log.vkey"), format!("{}\n", fixture.signer.verifier())).unwrap();
        fixture
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("audit")
    }

    pub fn region(&self) -> PathBuf {
        self.root.path().join("audit-us")
    }

    pub fn vkey(&self) -> String {
        self.signer.verifier().to_string()
    }

    pub fn segment(dir: &Path, first: u64) -> PathBuf {
        dir.join(format!("journal-{first:020}.log"))
    }

    /// Three segments here (from 1, 15 and 30), one in the region; the log and its checkpoint.
    fn write_records(&mut self) {
        let mut writer = TileWriter::open(&self.dir(), 0).unwrap();
        let header = |first: u64| format!("pgward-journal 2 {JOURNAL} {first}\n").into_bytes();
        let mut segments = BTreeMap::from([1, 15, 30].map(|first| (first, header(first))));
        let mut region = Vec::new();
        for (seq, text) in (1..).zip(&self.texts) {
            let json = format!("{{\"time\":\"2026-11-22T00:00:00Z\",\"seq\":{seq},{}}}", text.json);
            let sealed = seal(text.bucket, seq, &json);
            writer.push(&entry(seq, text.bucket, &sealed));
            let segment = segments.range_mut(..=seq).next_back().unwrap().1;
            let here = frame(1, seq, text.bucket, &sealed);
            if text.elsewhere {
                let id = key_id(&record_key(text.bucket, seq));
                segment.extend(frame(2, seq, text.bucket, &[Hash::of(&sealed).0, id].concat()));
                if region.is_empty() {
                    region = header(seq);
                }
                region.extend(here);
            } else {
                segment.extend(here);
            }
            self.sealed.insert(seq, sealed);
        }
        for (first, bytes) in segments {
            fs::write(Self::segment(&self.dir(), first), bytes).unwrap();
        }
        if !region.is_empty() {
            fs::write(Self::segment(&self.region(), 5), region).unwrap();
        }
        writer.flush(false).unwrap();
        let note = self.note(writer.size(), writer.root());
        CheckpointFile::of(&self.dir()).put(&note, false).unwrap();
    }

    pub fn note(&self, size: u64, root: Hash) -> Note {
        let checkpoint = Checkpoint { origin: format!("pgward/{JOURNAL}"), size, root };
        Note::sign(&checkpoint.to_body(), &[&self.signer]).unwrap()
    }

    pub fn write_key(&self, dir: &Path, bucket: u32, rest: &str) {
        let document = |check: &str| {
            format!(
                "{{\"bucket\":{bucket},\"region\":null,\"kind\":\"statement\",\"from\":\"2026-11-22T00:00:00Z\",\"until\":\"2026-11-23T00:00:00Z\",{rest},\"check\":\"{check}\"}}"
            )
        };
        let digest = Hash::of(document("").as_bytes());
        let check: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(dir.join(format!("keys/{bucket:010}.key")), document(&check)).unwrap();
    }
}
