//! The journal as the rest of the program holds it: admits statements, records everything else, and says when a record
//! counts as made.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::appender::{Appended, Appender, Class, Place};
use super::canonical::Unnumbered;
use super::draft::{self, Allowed, EndDraft, StatementDraft};
use super::find::Finder;
use super::handover::{HANDOVER_BYTES, Handover};
use super::index::Keeper;
use super::intake::Intake;
use super::keys::{KeyDirectory, OpenBuckets};
use super::medium::{Directory, Medium};
use super::notary::{self, Desk, Notary};
use super::reader::Places;
use super::recovery::{Recovered, forget_cuts, recover};
use super::reserve::Reserve;
use super::signing::name_verifier;
use super::stream::{Layout, Stream};
use super::syncer::{self, Syncer};
use super::verify::{Expected, Report, verify_against};
use super::{Counters, Durability, Event, JournalError, Receipt, Record, RecordedVerdict, Settings, Subscription};
use crate::policy::Permit;
use crate::tlog::{Checkpoint, CheckpointFile, Verifier};

/// The one writer of the journal of this process.
///
/// Every record goes to the file in one write(2) under a mutex that is held for nothing else. With
/// [`Durability::Synced`], one thread brings to disk what all waiting callers wrote, and wakes them together. Another thread
/// takes up what was written into the log, and signs for it.
#[derive(Debug)]
pub struct Journal {
    id: String,
    settings: Settings,
    places: Places,
    verifier: Verifier,
    published: CheckpointFile,
    shared: Arc<Shared>,
    notary: Notary,
    syncer: Arc<Syncer>,
    /// Purges and holds take turns.
    housekeeping: tokio::sync::Mutex<()>,
    finder: Arc<Finder>,
    /// Makes indexes as long as the journal lives.
    _keeper: Keeper,
}

/// Receipts of records that are written, for whoever waits until they are as durable as is asked for.
#[derive(Debug)]
#[must_use = "what was written is to be settled"]
pub struct Unsettled {
    receipts: Vec<Receipt>,
}

impl Unsettled {
    pub(super) fn new(receipts: Vec<Receipt>) -> Self {
        Self { receipts }
    }

    /// The first record's `seq`.
    pub fn first_seq(&self) -> Option<u64> {
        self.receipts.first().map(Receipt::seq)
    }
}

/// Ends that wait; beyond it they are written at once.
const MAX_HELD: usize = 256;

/// What callers and the syncing thread share.
#[derive(Debug)]
pub(super) struct Shared {
    appender: Mutex<Appender>,
    written: watch::Sender<u64>,
    pub(super) counters: super::counters::Tally,
    /// Records up to this one may have lost their keys: what the log holds of them cannot be made again.
    pub(super) beyond_remaking: AtomicU64,
}

impl Shared {
    /// Every change to the appender is complete or undone when it returns, so a poisoned mutex guards sound state.
    pub(super) fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the listeners how far the journal goes. Another caller may have come by with a later number already.
    fn tell(&self, last_seq: u64) {
        self.written.send_if_modified(|written| {
            let newer = *written < last_seq;
            *written = last_seq.max(*written);
            newer
        });
    }
}

/// The sizes and pauses that tests make small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) segment_bytes: u64,
    pub(super) reserve_pause: Duration,
    pub(super) handover_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, reserve_pause: RESERVE_PAUSE, handover_bytes: HANDOVER_BYTES }
    }
}

/// A segment grows to this length before the next is begun.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// How long a full disk is left alone before it is asked for the reserve again.
const RESERVE_PAUSE: Duration = Duration::from_millis(250);

impl Journal {
    /// Opens the journal in `settings.dir`, making it if need be; cuts a torn tail and records that it did.
    ///
    /// # Errors
    /// Where the directory cannot be used, another writer holds it, or the chain in it is broken.
    pub fn open(settings: Settings) -> Result<Arc<Self>, JournalError> {
        let medium = Directory::lock(&settings.dir)?;
        Self::open_on(settings, Box::new(medium), Tuning::default())
    }

    pub(super) fn open_on(
        settings: Settings,
        medium: Box<dyn Medium>,
        tuning: Tuning,
    ) -> Result<Arc<Self>, JournalError> {
        let failed = |error: std::io::Error| JournalError(format!("{}: {error}", settings.dir.display()));
        let places = settings.places();
        let mut regions = places.regions.iter().map(|dir| Directory::lock(dir)).collect::<Result<Vec<_>, _>>()?;
        let recovered = recover(&places, &settings.signing_key, settings.origin.as_deref())?;
        let verifier = recovered.signing.verifier();
        let rotated = name_verifier(&settings.dir, &verifier).map_err(failed)?;
        let mut opening = opening_records(&recovered, rotated.then_some(&verifier), &settings)?;
        let reserve = Reserve::take(medium.reserve().map_err(failed)?, tuning.reserve_pause);
        let main = Stream::new(medium, recovered.main).map_err(failed)?;
        let mut streams = regions.drain(..).zip(&recovered.regions);
        let mut shelves = Vec::new();
        for shelf in &settings.shelves {
            let region = shelf.dir.as_ref().and_then(|_| streams.next());
            let stream = region.map(|(directory, segment)| Stream::new(Box::new(directory), *segment));
            let keys = KeyDirectory::of(shelf.dir.as_deref().unwrap_or(&settings.dir));
            shelves.push(Place { shelf: shelf.clone(), keys, stream: stream.transpose().map_err(failed)? });
        }
        let buckets = OpenBuckets::load(&shelves).map_err(failed)?;
        let id = recovered.journal_id.clone();
        let layout = Layout { journal_id: recovered.journal_id, segment_bytes: tuning.segment_bytes };
        let handover = Handover::new(tuning.handover_bytes);
        let mut appender = Appender::new(layout, main, shelves, buckets, reserve, recovered.records, handover);
        appender.append(&mut opening, Class::Ending)?;
        let records = appender.records();
        let shared = Arc::new(Shared {
            written: watch::Sender::new(records),
            appender: Mutex::new(appender),
            counters: super::counters::Tally::default(),
            beyond_remaking: AtomicU64::new(records),
        });
        let on_disk = match settings.durability {
            Durability::Synced => {
                let (files, seq) = shared.appender().unsynced();
                files.iter().try_for_each(|file| file.sync()).map_err(failed)?;
                seq
            }
            Durability::Written => 0,
        };
        let syncer = Arc::new(syncer::run(Arc::clone(&shared), on_disk).map_err(failed)?);
        let published = CheckpointFile::of(&settings.dir);
        let desk = Desk {
            published: published.clone(),
            intake: Intake::new(&settings.dir, recovered.tiles),
            signing: recovered.signing,
            dir: settings.dir.clone(),
        };
        let notary = notary::run(Arc::clone(&shared), Arc::clone(&syncer), desk, recovered.checkpoint);
        let (notary, housekeeping) = (notary.map_err(failed)?, tokio::sync::Mutex::new(()));
        // The first checkpoint covers what was recorded of the cuts.
        forget_cuts(&settings.dir).map_err(failed)?;
        let finder = Arc::new(Finder::new(&places));
        let keeper = Keeper::start(Arc::clone(&finder)).map_err(failed)?;
        Ok(Arc::new(Self {
            id,
            places,
            verifier,
            published,
            shared,
            notary,
            syncer,
            housekeeping,
            finder,
            _keeper: keeper,
            settings,
        }))
    }

    /// Records permitted statements, all in one write, and gives a receipt for each, in order. Whatever the records say,
    /// they are kept as allowed statements under their permits' grants.
    ///
    /// Dropping the future before it is done may leave the records in the journal, but never lets a statement pass.
    ///
    /// # Errors
    /// Where not all of them could be recorded; then none may pass.
    pub async fn admit(&self, items: Vec<(Permit, Record)>) -> Result<Vec<Receipt>, JournalError> {
        let shelves = &self.settings.shelves;
        let (mut permits, mut records) = (Vec::new(), Vec::new());
        for (permit, record) in items {
            let allowed = Allowed::of_record(permit, record, shelves).map_err(|error| self.unencoded(&error))?;
            permits.push(allowed.permit);
            records.push(allowed.unnumbered);
        }
        let first_seq = self.write_together(&mut records, Class::Opening)?;
        let receipts = permits.into_iter().zip(first_seq..).map(|(permit, seq)| Receipt::new(permit, seq));
        self.settle(Unsettled::new(receipts.collect())).await
    }

    /// Makes a permitted statement ready to be written.
    ///
    /// # Errors
    /// Where it cannot be recorded.
    pub fn allowed(&self, permit: Permit, draft: &StatementDraft<'_>) -> Result<Allowed, JournalError> {
        Allowed::of_draft(permit, draft, &self.settings.shelves).map_err(|error| self.unencoded(&error))
    }

    /// Gives the receipts once the records are as durable as is asked for. Cancel safe.
    ///
    /// # Errors
    /// Where they could not be brought to disk; then none may pass.
    pub async fn settle(&self, unsettled: Unsettled) -> Result<Vec<Receipt>, JournalError> {
        if self.settings.durability == Durability::Synced
            && let Some(last) = unsettled.receipts.last()
        {
            Box::pin(self.syncer.bring_to_disk(last.seq())).await?;
        }
        Ok(unsettled.receipts)
    }

    /// Records how a statement ended. It is written with what is written next, and at the latest when [`Self::flush`] is
    /// called: the end of a statement holds up nobody. Answers whether it is the first that waits, so that somebody has to see to
    /// that call.
    ///
    /// # Errors
    /// Where it cannot be recorded.
    pub fn end(&self, draft: &EndDraft<'_>) -> Result<bool, JournalError> {
        let end = draft::end(draft, &self.settings.shelves).map_err(|error| self.unencoded(&error))?;
        let held = self.shared.appender().hold(end);
        if held >= MAX_HELD {
            self.flush()?;
        }
        Ok(held == 1)
    }

    /// Writes the ends that wait for it.
    ///
    /// # Errors
    /// Where they could not be written: they are lost then.
    pub fn flush(&self) -> Result<(), JournalError> {
        let flushed = self.write(&mut Vec::new(), Class::Ending);
        if let Err(error) = &flushed {
            tracing::error!(%error, "ends of statements could not be recorded");
        }
        flushed.map(|_| ())
    }

    /// Records anything else and answers its `seq`. What refuses or ends something may use the reserve.
    ///
    /// # Errors
    /// Where it could not be recorded.
    pub async fn record(&self, record: Record) -> Result<u64, JournalError> {
        let class = class_of(&record);
        let encoded = self.encode(record)?;
        self.append(vec![encoded], class).await
    }

    /// Records several things in one write, all or none, and answers the first one's `seq`; the others follow it.
    /// An empty list records nothing.
    ///
    /// # Errors
    /// Where they could not be recorded.
    pub async fn record_all(&self, records: Vec<Record>) -> Result<u64, JournalError> {
        let opening = records.iter().any(|record| class_of(record) == Class::Opening);
        let encoded: Result<Vec<_>, _> = records.into_iter().map(|record| self.encode(record)).collect();
        self.append(encoded?, if opening { Class::Opening } else { Class::Ending }).await
    }

    /// Whether a statement could be recorded now. A journal that failed is tried again, so that asking lets it recover.
    ///
    /// # Errors
    /// Why it could not.
    pub fn healthy(&self) -> Result<(), JournalError> {
        self.shared.appender().check()
    }

    /// What tells this journal's records from any other's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The last record's `seq`, and word of each change.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.flush_for_readers();
        let head = self.shared.written.subscribe();
        // A write before the subscription may have been told to nobody; every later one sees the subscription, because
        // both pass through the appender's mutex.
        let records = self.shared.appender().records();
        self.shared.tell(records);
        head
    }

    /// The last record's `seq`.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.flush_for_readers();
        self.shared.appender().records()
    }

    /// The newest signed checkpoint, and word of each.
    #[must_use]
    pub fn checkpoint(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.notary.checkpoint()
    }

    /// The file with the newest checkpoint, to which witnesses' cosignatures may be added.
    #[must_use]
    pub fn published(&self) -> &CheckpointFile {
        &self.published
    }

    /// What verifies this journal's checkpoints.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// From here on the log keeps safe what it holds of the records there are: their keys are about to be destroyed.
    pub(super) fn keep_log_safe(&self) {
        self.shared.beyond_remaking.fetch_max(self.last_seq(), Ordering::AcqRel);
    }

    /// Seals nothing more under these buckets' keys.
    pub(super) fn forget_buckets(&self, numbers: &[u32]) {
        self.shared.appender().forget_buckets(numbers);
    }

    pub(super) fn housekeeping(&self) -> &tokio::sync::Mutex<()> {
        &self.housekeeping
    }

    /// Returns when a checkpoint covers all that was recorded so far.
    ///
    /// # Errors
    /// Where the log does not keep up.
    pub async fn bring_to_log(&self) -> Result<(), JournalError> {
        self.flush_for_readers();
        self.notary.bring_to_log(self.last_seq()).await
    }

    /// Where the files lie.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Records, bytes and failures since this process opened the journal.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.read()
    }

    /// What searches this journal's files.
    #[must_use]
    pub fn finder(&self) -> &Arc<Finder> {
        self.flush_for_readers();
        &self.finder
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The records from `seq` on, and each that is made later.
    #[must_use]
    pub fn subscribe(&self, from_seq: u64) -> Subscription {
        Subscription::new(self.places.clone(), from_seq, self.head())
    }

    /// Verifies the files up to where this writer stands, so that records missing at the end are found too. Reads the
    /// whole journal: not for the reactor's threads.
    #[must_use]
    pub fn verify(&self) -> Report {
        let checkpoint = self.notary.checkpoint().borrow().clone();
        let verifier = Some(self.verifier.clone());
        let expected = Expected { verifier, checkpoint, records: self.last_seq(), keys: true };
        verify_against(&self.places, &expected)
    }

    /// Records the end, brings everything to disk, and takes no more records.
    ///
    /// # Errors
    /// Where the end could not be recorded or brought to disk; the journal is closed all the same.
    pub async fn close(&self) -> Result<(), JournalError> {
        let closed = self.record(Record::new(Timestamp::now(), Event::JournalClosed)).await;
        // Nothing comes after what is brought to disk now.
        let last_seq = self.shared.appender().stop();
        let synced = match &closed {
            Ok(_) => self.notary.bring_to_log(last_seq).await,
            Err(_) => Ok(()),
        };
        self.shared.appender().close();
        closed.and(synced)
    }

    /// Whoever looks at the journal finds all that has ended.
    fn flush_for_readers(&self) {
        // That it failed was logged, and shows in what is read.
        let _ = self.flush();
    }

    fn encode(&self, record: Record) -> Result<Unnumbered, JournalError> {
        Unnumbered::encode(record, &self.settings.shelves).map_err(|error| self.unencoded(&error))
    }

    fn unencoded(&self, error: &io::Error) -> JournalError {
        self.shared.counters.failed();
        JournalError(error.to_string())
    }

    /// Writes the records, all or none, and answers the first one's `seq`. Where that fails they are left in place.
    pub(super) fn write_together(&self, records: &mut Vec<Unnumbered>, class: Class) -> Result<u64, JournalError> {
        self.write(records, class).map(|(first_seq, _)| first_seq)
    }

    async fn append(&self, mut encoded: Vec<Unnumbered>, class: Class) -> Result<u64, JournalError> {
        let (first_seq, last_seq) = self.write(&mut encoded, class)?;
        if self.settings.durability == Durability::Synced {
            self.syncer.bring_to_disk(last_seq).await?;
        }
        Ok(first_seq)
    }

    /// The write alone, in a function that cannot await under the guard.
    fn write(&self, encoded: &mut Vec<Unnumbered>, class: Class) -> Result<(u64, u64), JournalError> {
        let count = encoded.len() as u64;
        let (appended, last_seq, finished) = {
            let mut appender = self.shared.appender();
            let appended = appender.append(encoded, class);
            (appended, appender.records(), appender.has_finished_segment())
        };
        // Also where the records failed: ends that waited may be there. Where nobody listens, nothing is told; `head` makes up
        // for it.
        if self.shared.written.receiver_count() > 0 {
            self.shared.tell(last_seq);
        }
        if finished {
            self.syncer.wake();
        }
        self.notary.wrote(last_seq);
        let Appended { first_seq, records, bytes } = appended.inspect_err(|_| self.shared.counters.failed())?;
        if records == 0 {
            return Ok((first_seq, last_seq));
        }
        self.shared.counters.wrote(records, bytes);
        Ok((first_seq, first_seq + count - 1))
    }
}

/// Refusals and endings may use the last of the space; what opens or allows something may not.
fn class_of(record: &Record) -> Class {
    match record.event {
        Event::Statement => match record.verdict {
            Some(RecordedVerdict::Deny) => Class::Ending,
            Some(RecordedVerdict::Allow) | None => Class::Opening,
        },
        Event::StatementEnd
        | Event::SessionClose
        | Event::LoginDenied
        | Event::StartupRefused
        | Event::Cancel
        | Event::RequestDenied
        | Event::RequestWithdrawn
        | Event::GrantRevoked
        | Event::SessionKilled
        | Event::ConfigRefused
        | Event::JournalOpened
        | Event::JournalRecovered
        | Event::JournalClosed
        | Event::AccessRefused
        | Event::RecordsPurged
        | Event::HoldPlaced
        | Event::HoldReleased
        | Event::KeyRotated
        | Event::WitnessSilent
        | Event::WitnessHeard
        | Event::SinkState
        | Event::RequestExpired
        | Event::ReviewClosed
        | Event::ReviewOverdue
        | Event::GrantEnding
        | Event::GrantExpired
        | Event::UnusualAccess
        | Event::AccessReleased
        | Event::RetentionRunEnd
        | Event::DataHoldPlaced
        | Event::DataHoldReleased
        | Event::RetentionBatchEnd
        | Event::ControlLogout
        | Event::NotificationFailed => Class::Ending,
        Event::SessionOpen
        | Event::Message
        | Event::RetentionRun
        | Event::RetentionBatch
        | Event::RequestFiled
        | Event::RequestApproved
        | Event::GrantCreated
        | Event::CredentialMinted
        | Event::ConfigReloaded
        | Event::RequestEdited
        | Event::BreakGlassOpened
        | Event::StatementHeld
        | Event::ControlLogin => Class::Opening,
    }
}

/// What is recorded first: the cuts, then that the journal was opened, and where it stood.
fn opening_records(
    recovered: &Recovered,
    new_key: Option<&Verifier>,
    settings: &Settings,
) -> Result<Vec<Unnumbered>, JournalError> {
    let now = Timestamp::now();
    let Recovered { journal_id, records, .. } = recovered;
    let cuts = recovered.cuts.iter().map(|cut| {
        let mut record = Record::new(now, Event::JournalRecovered);
        record.bytes = Some(cut.bytes);
        record.detail = Some(format!(
            "cut {} bytes of unfinished records after record {records} from {}; SHA-256 {}",
            cut.bytes, cut.file, cut.digest
        ));
        record
    });
    let mut opened = Record::new(now, Event::JournalOpened);
    let log = match &recovered.checkpoint {
        Some(checkpoint) => format!("log at {} with root {}", checkpoint.size, checkpoint.root.to_base64()),
        None => "no log".to_owned(),
    };
    opened.detail = Some(format!("journal {journal_id}, {records} records before this writer, {log}"));
    let rotated = new_key.map(|key| {
        let mut record = Record::new(now, Event::KeyRotated);
        record.detail = Some(format!("checkpoints are signed by {key}"));
        record
    });
    let encode = |record| Unnumbered::encode(record, &settings.shelves);
    let all: Result<_, _> = cuts.chain([opened]).chain(rotated).map(encode).collect();
    all.map_err(|error: std::io::Error| JournalError(error.to_string()))
}
