//! The keys of the sealed payloads, one file per bucket: making, finding and destroying them.
//!
//! A bucket holds the records of one kind and region that were made in one stretch of time. Its file, once the key is
//! destroyed, goes on to say what the bucket was, when its key was destroyed, and the keys of single records that a legal
//! hold keeps.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::appender::Place;
use super::retention::{Kind, Stretch};
use super::seal::{BucketKey, RecordKey, sha256};
use crate::access::Region;

/// What a bucket's file says.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    #[serde(rename = "bucket")]
    pub(super) number: u32,
    pub(super) region: Option<Region>,
    pub(super) kind: Kind,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Encoded>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destroyed: Option<Timestamp>,
    /// By `seq`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<u64, Encoded>,
    /// SHA-256 of the document without this line, so that a damaged one is not believed.
    #[serde(default)]
    check: String,
}

/// Key bytes in base64.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Encoded(Zeroizing<String>);

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Encoded {
    fn of(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(STANDARD.encode(key)))
    }

    fn decode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(STANDARD.decode(self.0.as_bytes()).unwrap_or_default())
    }
}

impl Bucket {
    pub(super) fn new(number: u32, region: Option<Region>, kind: Kind, stretch: Stretch) -> io::Result<Self> {
        let key = Some(Encoded::of(BucketKey::generate()?.as_bytes()));
        let Stretch { from, until } = stretch;
        Ok(Self {
            number,
            region,
            kind,
            from,
            until,
            key,
            destroyed: None,
            held: BTreeMap::new(),
            check: String::new(),
        })
    }

    /// What [`Self::check`] should say.
    fn digest(&self) -> String {
        let bare = Self { check: String::new(), ..self.clone() };
        let text = Zeroizing::new(serde_json::to_vec(&bare).unwrap_or_default());
        sha256(&text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn key(&self) -> Option<BucketKey> {
        self.key.as_ref().and_then(|key| BucketKey::from_bytes(&key.decode()))
    }

    /// The key of record `seq`, if it still exists.
    pub(super) fn record_key(&self, seq: u64) -> Option<RecordKey> {
        match self.key() {
            Some(key) => Some(key.record_key(seq)),
            None => self.held.get(&seq).and_then(|key| RecordKey::from_bytes(&key.decode())),
        }
    }

    /// The records whose own keys are held although the bucket's is destroyed.
    pub(super) fn held(&self) -> impl Iterator<Item = u64> {
        self.held.keys().copied()
    }

    /// The same bucket without its key, but with those of the records in `held`, where they still exist.
    pub(super) fn without_key(&self, at: Timestamp, held: &[u64]) -> Self {
        let keys = held.iter().filter_map(|seq| Some((*seq, Encoded::of(self.record_key(*seq)?.as_bytes()))));
        Self { key: None, destroyed: Some(self.destroyed.unwrap_or(at)), held: keys.collect(), ..self.clone() }
    }
}

/// The directory with the buckets' files.
#[derive(Clone, Debug)]
pub(super) struct KeyDirectory {
    path: PathBuf,
}

impl KeyDirectory {
    /// That of a journal, or of a region's directory.
    pub(super) fn of(dir: &Path) -> Self {
        Self { path: dir.join("keys") }
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// The number of every bucket that was ever made here.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".key"));
            numbers.extend(stem.and_then(|digits| digits.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Every bucket that was ever made here.
    pub(super) fn list(&self) -> io::Result<Vec<Bucket>> {
        let mut buckets = Vec::new();
        for number in self.numbers()? {
            buckets.extend(self.read(number)?);
        }
        Ok(buckets)
    }

    /// `None` where there is no such bucket.
    pub(super) fn read(&self, number: u32) -> io::Result<Option<Bucket>> {
        let path = self.file(number);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => Zeroizing::new(text?),
        };
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let bucket: Bucket = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if bucket.number != number || bucket.check != bucket.digest() {
            return Err(damaged("it is not as it was written".to_owned()));
        }
        Ok(Some(bucket))
    }

    /// Makes the directory, if need be; nobody else may look into it.
    pub(super) fn create(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mode = std::fs::metadata(&self.path)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %self.path.display(), "others could look into the directory of the journal's keys: closed");
            std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Writes the bucket's file; it is on disk when this returns.
    pub(super) fn write(&self, bucket: &Bucket) -> io::Result<()> {
        self.create()?;
        let path = self.file(bucket.number);
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        let checked = Bucket { check: bucket.digest(), ..bucket.clone() };
        let text = Zeroizing::new(serde_json::to_vec(&checked).map_err(io::Error::other)?);
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // An empty file says nothing wrong; what matters is the error.
            let _ = std::fs::remove_file(&fresh);
            return Err(error);
        }
        std::fs::rename(&fresh, &path)?;
        File::open(&self.path)?.sync_all()
    }

    /// Destroys the bucket's key: its bytes are overwritten on disk before the file without it takes their place. `bucket`
    /// is what stays.
    pub(super) fn destroy(&self, bucket: &Bucket) -> io::Result<()> {
        // First what stays is made sure of, under another name: a crash in between must not lose a held record's key.
        let path = self.file(bucket.number);
        let spare = Self { path: self.path.join("held") };
        spare.write(bucket)?;
        let mut file = OpenOptions::new().write(true).open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        file.write_all(&vec![0; length])?;
        file.sync_all()?;
        std::fs::rename(spare.file(bucket.number), &path)?;
        File::open(&self.path)?.sync_all()
    }

    /// Ends what a crash in the middle of [`Self::destroy`] left.
    pub(super) fn recover(&self) -> io::Result<()> {
        let spare = Self { path: self.path.join("held") };
        for bucket in spare.list()? {
            self.finish(&bucket, &spare)?;
        }
        Ok(())
    }

    fn finish(&self, bucket: &Bucket, spare: &Self) -> io::Result<()> {
        if let Ok(mut file) = OpenOptions::new().write(true).open(self.file(bucket.number)) {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
            file.write_all(&vec![0; length])?;
            file.sync_all()?;
        }
        std::fs::rename(spare.file(bucket.number), self.file(bucket.number))?;
        File::open(&self.path)?.sync_all()
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:010}.key"))
    }
}

/// How long keys are remembered that were read.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Keys as a reader finds them: each bucket's file is read once in a while.
#[derive(Debug)]
pub(super) struct KeyReader {
    directory: KeyDirectory,
    buckets: AHashMap<u32, Known>,
    /// When the oldest of them was read.
    since: Instant,
}

#[derive(Debug)]
enum Known {
    Key(BucketKey),
    /// Destroyed: some records may be held.
    Destroyed(Box<Bucket>),
}

impl Known {
    fn record_key(&self, seq: u64) -> Option<RecordKey> {
        match self {
            Self::Key(key) => Some(key.record_key(seq)),
            Self::Destroyed(bucket) => bucket.record_key(seq),
        }
    }
}

impl KeyReader {
    pub(super) fn of(dir: &Path) -> Self {
        Self { directory: KeyDirectory::of(dir), buckets: AHashMap::new(), since: Instant::now() }
    }

    /// `None` where the key was destroyed, or is not kept here.
    pub(super) fn record_key(&mut self, bucket: u32, seq: u64) -> io::Result<Option<RecordKey>> {
        // A key that is destroyed must not live on in whoever reads for days.
        if self.since.elapsed() > REMEMBERED {
            self.buckets.clear();
            self.since = Instant::now();
        }
        if let Some(known) = self.buckets.get(&bucket) {
            return Ok(known.record_key(seq));
        }
        // A bucket that is not there may be a moment later, so that is not remembered.
        let Some(found) = self.directory.read(bucket)? else { return Ok(None) };
        let known = found.key().map_or_else(|| Known::Destroyed(Box::new(found)), Known::Key);
        let key = known.record_key(seq);
        self.buckets.insert(bucket, known);
        Ok(key)
    }

    /// Whether the bucket's key is known to have been destroyed.
    pub(super) fn is_destroyed(&self, bucket: u32) -> bool {
        matches!(self.buckets.get(&bucket), Some(Known::Destroyed(_)))
    }
}

/// The keys that the writer seals under now.
#[derive(Debug)]
pub(super) struct OpenBuckets {
    next_number: u32,
    open: HashMap<(usize, Kind), OpenBucket>,
}

#[derive(Debug)]
struct OpenBucket {
    number: u32,
    key: BucketKey,
    stretch: Stretch,
}

impl OpenBuckets {
    /// Takes up the buckets that earlier writers left, by shelf.
    pub(super) fn load(places: &[Place]) -> io::Result<Self> {
        let mut buckets = Self { next_number: 1, open: HashMap::new() };
        for (shelf, place) in places.iter().enumerate() {
            for bucket in place.keys.list()? {
                buckets.next_number = buckets.next_number.max(bucket.number.saturating_add(1));
                if let Some(key) = bucket.key().filter(|_| bucket.region == place.shelf.region) {
                    let stretch = Stretch { from: bucket.from, until: bucket.until };
                    let open = OpenBucket { number: bucket.number, key, stretch };
                    buckets.open.insert((shelf, bucket.kind), open);
                }
            }
        }
        Ok(buckets)
    }

    /// Seals nothing more under these buckets' keys.
    pub(super) fn forget(&mut self, numbers: &[u32]) {
        self.open.retain(|_, bucket| !numbers.contains(&bucket.number));
    }

    /// The bucket for a record of that shelf and kind made at `time`, and the record's key.
    pub(super) fn choose(
        &mut self,
        shelf: usize,
        kind: Kind,
        time: Timestamp,
        seq: u64,
        make: impl FnOnce(u32) -> io::Result<Bucket>,
    ) -> io::Result<(u32, RecordKey)> {
        let place = (shelf, kind);
        // A time before the bucket's own is of a record that was overtaken, or of a clock that was set back: it is kept a
        // little longer, and no bucket is made for it.
        if let Some(open) = self.open.get(&place).filter(|open| time < open.stretch.until) {
            return Ok((open.number, open.key.record_key(seq)));
        }
        let bucket = make(self.next_number)?;
        let key = bucket.key().ok_or_else(|| io::Error::other("a new bucket has no key"))?;
        self.next_number = self.next_number.saturating_add(1);
        let record_key = key.record_key(seq);
        let stretch = Stretch { from: bucket.from, until: bucket.until };
        self.open.insert(place, OpenBucket { number: bucket.number, key, stretch });
        Ok((bucket.number, record_key))
    }
}
