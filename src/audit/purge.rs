//! Erasing texts whose time has ended: the keys of their buckets are destroyed, and segments in which nothing can be read any
//! more are removed. Entries and tiles of the log stay, so that every proof holds. What is destroyed is recorded first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::frame::Entry;
use super::frames::{Frames, Step};
use super::hold::{Hold, holds};
use super::keys::{Bucket, KeyDirectory};
use super::reader::Reader;
use super::retention::{Kind, Shelf};
use super::search::Filter;
use super::segment::Segment;
use super::{Event, Journal, JournalError, Record, Settings};
use crate::tlog::{self, TileReader};

/// What a purge did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Purged {
    /// Buckets whose keys were destroyed.
    pub buckets: Vec<u32>,
    /// Records among them that a legal hold keeps.
    pub held: usize,
    /// Segments that were removed.
    pub segments: usize,
}

impl Journal {
    /// Erases what is due, as of `now`.
    ///
    /// # Errors
    /// Where it could not be recorded or done; what is left is done the next time.
    pub async fn purge(self: &Arc<Self>, now: Timestamp) -> Result<Purged, JournalError> {
        let _turn = self.housekeeping().lock().await;
        // The log needs a record's key to take it up.
        self.bring_to_log().await?;
        let (settings, journal) = (self.settings().clone(), Arc::clone(self));
        let asked = Arc::clone(self);
        blocking(move || asked.has_every_hold()).await?;
        let (due, earlier) = blocking(move || due(&settings, now)).await?;
        let mut purged = Purged { buckets: due.iter().map(|due| due.bucket.number).collect(), ..Purged::default() };
        if due.is_empty() {
            // A purge before this one may have been stopped before it came to the indexes.
            blocking(move || journal.forget_erased()).await?;
            return Ok(purged);
        }
        purged.held = due.iter().map(|due| due.held.len()).sum();
        self.keep_log_safe();
        self.record(announce(&due, &earlier, now)).await?;
        // On disk and signed before a key goes: an erasure that nobody recorded would look like an attack.
        self.bring_to_log().await?;
        let size = self.checkpoint().borrow().as_ref().map_or(0, |checkpoint| checkpoint.size);
        let swept = blocking(move || {
            // Without its key a record cannot be taken up into the log again.
            tlog::bring_to_disk(&journal.settings().dir)?;
            journal.forget_buckets(&due.iter().map(|due| due.bucket.number).collect::<Vec<_>>());
            for due in &due {
                due.directory.destroy(&due.bucket.without_key(now, &due.held))?;
            }
            journal.forget_erased()?;
            sweep(journal.settings(), size)
        });
        purged.segments = swept.await?;
        Ok(purged)
    }

    /// Whether every hold that the journal says stands is among those that are kept: without its file, nothing may be erased.
    fn has_every_hold(&self) -> std::io::Result<()> {
        let told = |event: Event| -> std::io::Result<BTreeSet<String>> {
            let filter = Filter { event: Some(event), ..Filter::default() };
            let found = self.finder().search(&filter, |_| true).map_err(std::io::Error::other)?;
            let id =
                |detail: &str| detail.strip_prefix("hold ").and_then(|rest| rest.split(':').next()).map(str::to_owned);
            Ok(found.iter().filter_map(|entry| id(entry.record.detail.as_deref()?)).collect())
        };
        let mut standing = told(Event::HoldPlaced)?;
        if standing.is_empty() {
            return Ok(());
        }
        let released = told(Event::HoldReleased)?;
        let kept: BTreeSet<String> = holds(&self.settings().dir)?.into_iter().map(|hold| hold.id).collect();
        standing.retain(|id| !released.contains(id) && !kept.contains(id));
        match standing.first() {
            Some(id) => {
                let dir = self.settings().dir.display();
                Err(std::io::Error::other(format!(
                    "{dir}/holds.json lacks the hold {id}, which was placed; put it back"
                )))
            }
            None => Ok(()),
        }
    }

    /// Removes the indexes that hold words of what was erased.
    fn forget_erased(&self) -> std::io::Result<()> {
        let places = self.settings().places();
        for dir in std::iter::once(&places.main).chain(&places.regions) {
            let destroyed = KeyDirectory::of(dir).list()?.into_iter().filter(|bucket| bucket.destroyed.is_some());
            let numbers: Vec<_> = destroyed.map(|bucket| bucket.number).collect();
            if !numbers.is_empty() {
                self.finder().forget_buckets(dir, &numbers)?;
            }
        }
        Ok(())
    }

    /// How often to look for what is due.
    #[must_use]
    pub fn purge_period(&self) -> Duration {
        let keeps = self.settings().shelves.iter().flat_map(|shelf| Kind::ALL.map(|kind| shelf.retention.of(kind)));
        let shortest = keeps.min().unwrap_or(Duration::MAX) / 8;
        shortest.clamp(Duration::from_secs(1), Duration::from_secs(3600))
    }
}

/// A bucket whose time has ended.
struct Due {
    directory: KeyDirectory,
    bucket: Bucket,
    /// The records in it that stay readable.
    held: Vec<u64>,
}

/// What is due, and the buckets that were erased before.
fn due(settings: &Settings, now: Timestamp) -> std::io::Result<(Vec<Due>, BTreeSet<u32>)> {
    let mut due = BTreeMap::new();
    let mut earlier = BTreeSet::new();
    for directory in directories(settings) {
        for bucket in directory.list()? {
            let is_due = match bucket.destroyed {
                Some(_) => {
                    earlier.insert(bucket.number);
                    bucket.held().next().is_some()
                }
                None => now >= end_of(&bucket, settings),
            };
            if is_due {
                due.insert(bucket.number, Due { directory: directory.clone(), bucket, held: Vec::new() });
            }
        }
    }
    let holds = holds(&settings.dir)?;
    // What was held and was not found, for whatever reason, stays held: only what was read can be let go.
    let mut unseen: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for due in due.values() {
        unseen.insert(due.bucket.number, due.bucket.held().collect());
    }
    if unseen.values().any(|seqs| !seqs.is_empty()) || (!due.is_empty() && !holds.is_empty()) {
        find_held(settings, &holds, &mut due, &mut unseen)?;
    }
    for (number, seqs) in unseen {
        if let Some(due) = due.get_mut(&number) {
            due.held.extend(seqs);
            due.held.sort_unstable();
        }
    }
    // Where a bucket keeps what it kept, there is nothing to do.
    let is_new = |due: &Due| due.bucket.destroyed.is_none() || !due.bucket.held().eq(due.held.iter().copied());
    Ok((due.into_values().filter(is_new).collect(), earlier))
}

/// When the texts in the bucket are to be gone.
fn end_of(bucket: &Bucket, settings: &Settings) -> Timestamp {
    let own = settings.shelves.iter().find(|shelf| shelf.region == bucket.region);
    let keep = own.or(settings.shelves.first()).map_or(Duration::MAX, |shelf: &Shelf| shelf.retention.of(bucket.kind));
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    bucket.until.checked_add(keep).unwrap_or(Timestamp::MAX)
}

/// Notes which records of the buckets a hold names; with a statement, its end.
fn find_held(
    settings: &Settings,
    holds: &[Hold],
    due: &mut BTreeMap<u32, Due>,
    unseen: &mut BTreeMap<u32, BTreeSet<u64>>,
) -> std::io::Result<()> {
    let mut reader = Reader::new(settings.places(), 1);
    let mut statements = BTreeSet::new();
    while let Some(entry) = reader.read().map_err(std::io::Error::other)? {
        let record = &entry.record;
        if let Some(seqs) = reader.bucket().and_then(|bucket| unseen.get_mut(&bucket)) {
            seqs.remove(&record.seq);
        }
        let of_held = record.statement_seq.is_some_and(|seq| statements.contains(&seq));
        let is_of_holds = speaks_of_holds(record, holds);
        if !of_held && !is_of_holds && !holds.iter().any(|hold| hold.filter.matches(record)) {
            continue;
        }
        if record.event == Event::Statement {
            statements.insert(record.seq);
        }
        if let Some(due) = reader.bucket().and_then(|bucket| due.get_mut(&bucket)) {
            due.held.push(record.seq);
        }
    }
    Ok(())
}

/// Whether the record is needed to tell which holds stand: the placing of one that does, and while there are any, every release.
fn speaks_of_holds(record: &Record, holds: &[Hold]) -> bool {
    let names = |hold: &Hold| record.detail.as_ref().is_some_and(|detail| detail.contains(&hold.id));
    (record.event == Event::HoldPlaced && holds.iter().any(names))
        || (record.event == Event::HoldReleased && !holds.is_empty())
}

/// The record of what is about to be destroyed. It names what was destroyed before, too, so that it goes on to say so when the
/// records of those times are themselves erased.
fn announce(due: &[Due], earlier: &BTreeSet<u32>, now: Timestamp) -> Record {
    let mut record = Record::new(now, Event::RecordsPurged);
    let mut numbers = earlier.clone();
    numbers.extend(due.iter().map(|due| due.bucket.number));
    let mut kinds: HashMap<String, Timestamp> = HashMap::new();
    for Due { bucket, .. } in due {
        let region = bucket.region.as_ref().map_or_else(String::new, |region| format!(" of region {region}"));
        let until = kinds.entry(format!("{}{region}", bucket.kind.as_str())).or_insert(bucket.until);
        *until = bucket.until.max(*until);
    }
    let mut kinds: Vec<_> = kinds.into_iter().map(|(kind, until)| format!("{kind} before {until}")).collect();
    kinds.sort();
    let held: usize = due.iter().map(|due| due.held.len()).sum();
    let (kinds, ranges) = (kinds.join(", "), ranges(&numbers));
    record.detail = Some(format!("buckets {ranges}: now the texts of {kinds} were erased; {held} records are held"));
    record
}

/// `1-3, 5, 7-9`
fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            Some(_) | None => ranges.push((*number, *number)),
        }
    }
    let shown = ranges
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    shown.collect::<Vec<_>>().join(", ")
}

/// The ranges of buckets that a record of a purge names.
pub(super) fn named_buckets(detail: &str) -> impl Iterator<Item = RangeInclusive<u32>> {
    let list = detail.strip_prefix("buckets ").and_then(|rest| rest.split(':').next()).unwrap_or_default();
    list.split(", ").filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    })
}

/// Removes the oldest segments, as long as nothing in them can be read any more.
fn sweep(settings: &Settings, size: u64) -> std::io::Result<usize> {
    let mut gone = BTreeSet::new();
    for directory in directories(settings) {
        let destroyed = directory.list()?.into_iter().filter(|bucket| bucket.destroyed.is_some());
        gone.extend(destroyed.filter(|bucket| bucket.held().next().is_none()).map(|bucket| bucket.number));
    }
    let mut removed = sweep_main(&settings.dir, size, &gone)?;
    for dir in settings.places().regions {
        removed += sweep_region(&dir, size, &gone)?;
    }
    Ok(removed)
}

fn sweep_main(dir: &Path, size: u64, gone: &BTreeSet<u32>) -> std::io::Result<usize> {
    let segments = Segment::list(dir)?;
    let tree = TileReader::new(dir, size);
    let mut removed = 0;
    for pair in segments.windows(2) {
        let [segment, next] = pair else { break };
        if next.first_seq - 1 > size {
            break;
        }
        let count = usize::try_from(next.first_seq - segment.first_seq).unwrap_or(usize::MAX);
        let mut entries = tree.entries(segment.first_seq - 1).take(count);
        let is_gone = entries.all(|entry| {
            let entry = entry.ok().and_then(|(_, bytes)| Entry::parse(&bytes));
            entry.is_some_and(|entry| gone.contains(&entry.bucket))
        });
        if !is_gone {
            break;
        }
        tree.sync(segment.first_seq - 1, next.first_seq - 1).map_err(std::io::Error::other)?;
        remove(dir, segment)?;
        removed += 1;
    }
    Ok(removed)
}

fn sweep_region(dir: &Path, size: u64, gone: &BTreeSet<u32>) -> std::io::Result<usize> {
    let segments = Segment::list(dir)?;
    let mut removed = 0;
    for pair in segments.windows(2) {
        let [segment, next] = pair else { break };
        let mut frames = Frames::new(dir, segment.first_seq);
        let mut is_gone = true;
        while let Ok(Step::Frame(at)) = frames.advance() {
            let Some(frame) = frames.frame().filter(|_| at.segment < next.first_seq) else { break };
            is_gone = frame.seq <= size && gone.contains(&frame.bucket);
            if !is_gone {
                break;
            }
        }
        if !is_gone {
            break;
        }
        remove(dir, segment)?;
        removed += 1;
    }
    Ok(removed)
}

fn remove(dir: &Path, segment: &Segment) -> std::io::Result<()> {
    std::fs::remove_file(&segment.path)?;
    std::fs::File::open(dir)?.sync_all()
}

fn directories(settings: &Settings) -> Vec<KeyDirectory> {
    let places = settings.places();
    std::iter::once(&places.main).chain(&places.regions).map(|dir| KeyDirectory::of(dir)).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, JournalError> {
    let failed = |error: std::io::Error| JournalError(format!("records could not be purged: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).and_then(|done| done).map_err(failed)
}
