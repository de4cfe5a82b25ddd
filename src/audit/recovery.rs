//! Finds where a journal ended, so that a new writer goes on from there. Cuts a torn tail at the last whole record, and
//! refuses a journal that is not what its log commits to.
//!
//! What the last checkpoint covers was on disk before it was signed, so nothing of that may be missing or changed. What came
//! after it may have been lost with the machine: there, the first frame that is not whole is where the journal ends.

mod cuts;
mod ends;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cuts::Cuts;
pub(super) use cuts::{Cut, forget_cuts};
use ends::{MainEnd, RegionEnd};

use super::JournalError;
use super::frame::Entry;
use super::intake::Intake;
use super::keys::KeyDirectory;
use super::reader::Places;
use super::segment::{Header, MAX_HEADER_BYTES, Segment};
use super::signing::{Signing, read_checkpoint};
use crate::tlog::{self, Checkpoint, TileReader, TileWriter};

/// Where a journal ended, and what was cut to get there.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) journal_id: String,
    pub(super) records: u64,
    /// The segment to go on with: its first `seq` and its length.
    pub(super) main: Option<(u64, u64)>,
    /// The same for each region's directory.
    pub(super) regions: Vec<Option<(u64, u64)>>,
    pub(super) cuts: Vec<Cut>,
    /// The tree, at the size of the last checkpoint.
    pub(super) tiles: TileWriter,
    pub(super) signing: Signing,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Reads the end of the journal in `places`, which the caller has locked.
pub(super) fn recover(places: &Places, signing_key: &Path, origin: Option<&str>) -> Result<Recovered, JournalError> {
    known_regions(places)?;
    let mut cuts = Cuts::load(&places.main)?;
    for dir in std::iter::once(&places.main).chain(&places.regions) {
        let failed = |error| unreadable(dir, &error);
        KeyDirectory::of(dir).create().map_err(failed)?;
        KeyDirectory::of(dir).recover().map_err(failed)?;
        drop_headless(dir, &mut cuts).map_err(failed)?;
    }
    let journal_id = match Segment::list(&places.main).map_err(|error| unreadable(&places.main, &error))?.last() {
        Some(last) => header_of(last)?.journal_id,
        None => uuid::Uuid::now_v7().simple().to_string(),
    };
    let is_signed = places.main.join("checkpoint").exists();
    let signing = Signing::load(signing_key, origin.unwrap_or(&format!("pgward/{journal_id}")), is_signed)?;
    if origin.is_some_and(|origin| origin != signing.origin()) {
        let (key, name) = (signing_key.display(), signing.origin());
        return Err(JournalError(format!("{key} is the key of the log `{name}`, which `audit.origin` does not name")));
    }
    let checkpoint = trusted_checkpoint(&places.main, &signing)?;
    let size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    goes_on(&signing, checkpoint.as_ref())?;
    let tree = TileReader::new(&places.main, size);
    has_every_bucket(places, &tree)?;
    let tiles = restore_tiles(&places.main, checkpoint.as_ref())?;
    let ends = places.regions.iter().map(|dir| RegionEnd::scan(dir, &tree)).collect::<Result<Vec<_>, _>>()?;
    let end = MainEnd::scan(&places.main, size, &ends)?;
    if end.records < size {
        let says = format!("the log has {size} records, but the segments end with record {}", end.records);
        return Err(JournalError(says));
    }
    let main = end.cut(&places.main, &mut cuts)?;
    let mut regions = Vec::new();
    for (dir, region) in places.regions.iter().zip(&ends) {
        regions.push(region.cut(dir, end.records, &mut cuts)?);
    }
    let cuts = cuts.made;
    Ok(Recovered { journal_id, records: end.records, main, regions, cuts, tiles, signing, checkpoint })
}

/// Whether every directory is there that a region's records were ever kept in: one that is not mounted looks like an empty one,
/// and records would be taken for lost.
fn known_regions(places: &Places) -> Result<(), JournalError> {
    let file = places.main.join("regions.json");
    let failed = |error: std::io::Error| unreadable(&file, &error);
    let mut known: BTreeSet<PathBuf> = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.into()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => return Err(failed(error)),
    };
    for dir in &known {
        if !places.regions.contains(dir) {
            let says = "records lie there, and no [regions.*.audit] names it any more";
            return Err(JournalError(format!("{}: {says}; name it again", dir.display())));
        }
        if !KeyDirectory::of(dir).exists() {
            return Err(JournalError(format!("{}: a region's records are not there; is it mounted?", dir.display())));
        }
    }
    let before = known.len();
    for dir in &places.regions {
        KeyDirectory::of(dir).create().map_err(|error| unreadable(dir, &error))?;
        known.insert(dir.clone());
    }
    if known.len() == before {
        return Ok(());
    }
    let fresh = file.with_extension("new");
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
    let text = serde_json::to_vec_pretty(&known).map_err(|error| failed(error.into()))?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, &file).map_err(failed)
}

/// The last checkpoint, if this log's own key signed it.
fn trusted_checkpoint(dir: &Path, signing: &Signing) -> Result<Option<Checkpoint>, JournalError> {
    let says = |what: &str| JournalError(format!("{}: {what}; `pgward audit verify` tells more", dir.display()));
    let Some((checkpoint, note)) = read_checkpoint(dir).map_err(|what| says(&what))? else { return Ok(None) };
    if checkpoint.origin != signing.origin() || !signing.signed(&note) {
        return Err(says("the checkpoint is not signed by this log's key"));
    }
    Ok(Some(checkpoint))
}

/// Whether the file of every bucket is there. Buckets are numbered without gaps, and their files outlive their keys: where one
/// is missing its records would look erased, and its number would be given again.
fn has_every_bucket(places: &Places, tree: &TileReader) -> Result<(), JournalError> {
    let mut there = BTreeSet::new();
    for dir in std::iter::once(&places.main).chain(&places.regions) {
        let buckets = KeyDirectory::of(dir).numbers().map_err(|error| unreadable(dir, &error))?;
        there.extend(buckets);
    }
    let newest = tree.entries(tree.size().saturating_sub(LOOKED_AT)).map_while(Result::ok);
    let named = newest.filter_map(|(_, bytes)| Entry::parse(&bytes)).map(|entry| entry.bucket).max();
    let last = named.max(there.last().copied()).unwrap_or(0);
    match (1..=last).find(|number| !there.contains(number)) {
        Some(number) => {
            let says =
                format!("the file of bucket {number}, keys/{number:010}.key, is missing; put it back from a copy");
            Err(JournalError(format!("{}: {says}", places.main.display())))
        }
        None => Ok(()),
    }
}

/// Newest entries of the log in which the last bucket's number is looked for.
const LOOKED_AT: u64 = 4096;

/// Whether the directory holds what the key signed last: an earlier state of it, or another journal, is not gone on with.
fn goes_on(signing: &Signing, checkpoint: Option<&Checkpoint>) -> Result<(), JournalError> {
    let Some(last) = signing.remembered()? else { return Ok(()) };
    let (size, root) = checkpoint.map_or((0, None), |checkpoint| (checkpoint.size, Some(checkpoint.root)));
    if size > last.size || (size == last.size && root == Some(last.root)) {
        return Ok(());
    }
    let memory = signing.memory();
    Err(JournalError(format!(
        "{}: the key has signed {} records of this log, but the directory holds another log, or {size} records of it; put back \
         what is missing, or give the new log a key of its own",
        memory.display(),
        last.size
    )))
}

/// The tree as the checkpoint has it. Tiles that were lost all the same are made again.
fn restore_tiles(dir: &Path, checkpoint: Option<&Checkpoint>) -> Result<TileWriter, JournalError> {
    let says = |what: &dyn std::fmt::Display| JournalError(format!("{}: the log: {what}", dir.display()));
    let settled = tlog::settled(dir).map_err(|error| says(&error))?;
    let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    let Some(checkpoint) = checkpoint else {
        tlog::set_settled(dir, 0).map_err(|error| says(&error))?;
        return TileWriter::open(dir, 0).map_err(|error| says(&error));
    };
    match settled {
        // What was flushed since the tiles were last brought to disk may have been lost with the machine.
        Some(settled) => {
            for keeps_entries in [true, false] {
                if let Some(tiles) = remake(dir, checkpoint, Some(settled.min(size)), keeps_entries) {
                    return Ok(tiles);
                }
            }
        }
        None => match TileWriter::open(dir, size) {
            Ok(tiles) if tiles.root() == checkpoint.root => {
                tlog::set_settled(dir, size).map_err(|error| says(&error))?;
                return Ok(tiles);
            }
            Ok(_) | Err(_) => {}
        },
    }
    for keeps_entries in [true, false] {
        if let Some(tiles) = remake(dir, checkpoint, None, keeps_entries) {
            tlog::set_settled(dir, size).map_err(|error| says(&error))?;
            return Ok(tiles);
        }
    }
    let what = "its tiles are not what the checkpoint says, and cannot be made again from the segments";
    Err(says(&format!("{what}; `pgward audit verify` tells more")))
}

/// Makes the tiles again that follow the first `settled` entries' full ones, or all, and leaves those as they are that are right.
/// Entries of records whose segments or keys are gone stand in the bundles alone; where these are lost, too, or wrong, all is made
/// of the segments. `None` where that does not give the tree of the checkpoint.
fn remake(dir: &Path, checkpoint: &Checkpoint, settled: Option<u64>, keeps_entries: bool) -> Option<TileWriter> {
    let mut tiles = match settled {
        Some(settled) => TileWriter::resume(dir, settled).ok()?,
        None => TileWriter::open(dir, 0).ok()?,
    };
    if keeps_entries {
        let there = TileReader::new(dir, checkpoint.size);
        for (index, entry) in there.entries(tiles.size()).map_while(Result::ok) {
            if Entry::parse(&entry).is_none_or(|entry| entry.seq != index + 1) {
                break;
            }
            tiles.push(&entry);
        }
    }
    let mut intake = Intake::new(dir, tiles);
    if intake.take_up_to(checkpoint.size).is_err() || intake.tiles().root() != checkpoint.root {
        return None;
    }
    intake.tiles().flush(settled.is_none()).ok()?;
    TileWriter::open(dir, checkpoint.size).ok()
}

/// Removes the last segment where not even its header was written: the writer had just made it.
fn drop_headless(dir: &Path, cuts: &mut Cuts) -> std::io::Result<()> {
    let Some(last) = Segment::list(dir)?.pop() else { return Ok(()) };
    let mut bytes = Vec::new();
    File::open(&last.path)?.take(MAX_HEADER_BYTES).read_to_end(&mut bytes)?;
    if bytes.contains(&b'\n') || bytes.len() as u64 == MAX_HEADER_BYTES {
        return Ok(());
    }
    cuts.cut(&last.path, 0)?;
    std::fs::remove_file(&last.path)
}

fn header_of(segment: &Segment) -> Result<Header, JournalError> {
    let mut bytes = Vec::new();
    let file = File::open(&segment.path).map_err(|error| unreadable(&segment.path, &error))?;
    file.take(MAX_HEADER_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(&segment.path, &error))?;
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(EARLIER_FORMAT) {
        let what = "an earlier build made this journal; keep it, and begin a new directory";
        return Err(JournalError(format!("{}: {what}", segment.path.display())));
    }
    let header = Header::parse(line).filter(|header| header.first_seq == segment.first_seq);
    header.ok_or_else(|| broken(&segment.path, segment.first_seq, "the header of its segment is damaged"))
}

const EARLIER_FORMAT: &[u8] = b"pgward-journal 1 ";

fn broken(path: &Path, seq: u64, what: &str) -> JournalError {
    JournalError(format!("{}: record {seq}: {what}; `pgward audit verify` tells more", path.display()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError(format!("{}: {error}", path.display()))
}
