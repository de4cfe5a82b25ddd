//! The journal as the rest of the program holds it: admits statements, records everything else, and says when a record
//! counts as made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::appender::{Appender, Class, Position};
use super::canonical::Unnumbered;
use super::chain::Head;
use super::medium::{Directory, Medium};
use super::recovery::{Recovered, recover};
use super::reserve::Reserve;
use super::syncer::{Syncer, run};
use super::verify::{Report, verify_up_to};
use super::{Counters, Durability, Event, JournalError, Receipt, Record, RecordedVerdict, Settings, Subscription};
use crate::policy::Permit;

/// The one writer of the journal of this process.
///
/// Every record goes to the file in one write(2) under a mutex that is held for nothing else. With
/// [`Durability::Synced`], one thread brings to disk what all waiting callers wrote, and wakes them together.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
    shared: Arc<Shared>,
    syncer: Syncer,
}

/// What callers and the syncing thread share.
#[derive(Debug)]
pub(super) struct Shared {
    appender: Mutex<Appender>,
    written: watch::Sender<u64>,
    pub(super) counters: super::counters::Tally,
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
}

impl Default for Tuning {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, reserve_pause: RESERVE_PAUSE }
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
        let recovered = recover(&settings.dir)?;
        let reserve = Reserve::take(medium.reserve().map_err(failed)?, tuning.reserve_pause);
        let opening = opening_records(&recovered)?;
        let Recovered { position, segment, .. } = recovered;
        let mut appender = Appender::new(medium, reserve, position, segment, tuning.segment_bytes).map_err(failed)?;
        appender.append(&opening, Class::Ending)?;
        let (files, synced) = appender.unsynced();
        if settings.durability == Durability::Synced {
            files.iter().try_for_each(|file| file.sync()).map_err(failed)?;
        }
        let shared = Arc::new(Shared {
            written: watch::Sender::new(appender.position().records),
            appender: Mutex::new(appender),
            counters: super::counters::Tally::default(),
        });
        let syncer = run(Arc::clone(&shared), synced).map_err(failed)?;
        Ok(Arc::new(Self { settings, shared, syncer }))
    }

    /// Records permitted statements, all in one write, and gives a receipt for each, in order. Whatever the records say,
    /// they are kept as allowed statements under their permits' grants.
    ///
    /// Dropping the future before it is done may leave the records in the journal, but never lets a statement pass.
    ///
    /// # Errors
    /// Where not all of them could be recorded; then none may pass.
    pub async fn admit(&self, items: Vec<(Permit, Record)>) -> Result<Vec<Receipt>, JournalError> {
        let mut permits = Vec::with_capacity(items.len());
        let mut encoded = Vec::with_capacity(items.len());
        for (permit, mut record) in items {
            record.event = Event::Statement;
            record.verdict = Some(RecordedVerdict::Allow);
            record.grant = Some(permit.grant().clone());
            encoded.push(self.encode(record)?);
            permits.push(permit);
        }
        let first_seq = self.append(&encoded, Class::Opening).await?;
        Ok(permits.iter().zip(first_seq..).map(|(permit, seq)| Receipt::new(permit, seq)).collect())
    }

    /// Records anything else and answers its `seq`. What refuses or ends something may use the reserve.
    ///
    /// # Errors
    /// Where it could not be recorded.
    pub async fn record(&self, record: Record) -> Result<u64, JournalError> {
        let class = class_of(&record);
        let encoded = self.encode(record)?;
        self.append(&[encoded], class).await
    }

    /// Records several things in one write, all or none, and answers the first one's `seq`; the others follow it.
    /// An empty list records nothing.
    ///
    /// # Errors
    /// Where they could not be recorded.
    pub async fn record_all(&self, records: Vec<Record>) -> Result<u64, JournalError> {
        let opening = records.iter().any(|record| class_of(record) == Class::Opening);
        let encoded: Result<Vec<_>, _> = records.into_iter().map(|record| self.encode(record)).collect();
        self.append(&encoded?, if opening { Class::Opening } else { Class::Ending }).await
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
    pub fn id(&self) -> String {
        self.shared.appender().position().journal_id.clone()
    }

    /// The last record's `seq`, and word of each change.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        let head = self.shared.written.subscribe();
        // A write before the subscription may have been told to nobody; every later one sees the subscription, because
        // both pass through the appender's mutex.
        let records = self.shared.appender().position().records;
        self.shared.tell(records);
        head
    }

    /// The last record's `seq` and the chain's head after it, to be kept elsewhere: [`super::verify_up_to`] then shows a
    /// journal that was cut short or written anew.
    #[must_use]
    pub fn position(&self) -> (u64, Head) {
        let appender = self.shared.appender();
        (appender.position().records, appender.position().head)
    }

    /// Records, bytes and failures since this process opened the journal.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.read()
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The records from `seq` on, and each that is made later.
    #[must_use]
    pub fn subscribe(&self, from_seq: u64) -> Subscription {
        Subscription::new(self.settings.dir.clone(), from_seq, self.head())
    }

    /// Verifies the files up to where this writer stands, so that records missing at the end are found too. Reads the
    /// whole journal: not for the reactor's threads.
    #[must_use]
    pub fn verify(&self) -> Report {
        verify_up_to(&self.settings.dir, Some(self.position()))
    }

    /// Records the end, brings everything to disk, and takes no more records.
    ///
    /// # Errors
    /// Where the end could not be recorded or brought to disk; the journal is closed all the same.
    pub async fn close(&self) -> Result<(), JournalError> {
        let closed = self.record(Record::new(Timestamp::now(), Event::JournalClosed)).await;
        let synced = match &closed {
            Ok(seq) => self.syncer.bring_to_disk(*seq).await,
            Err(_) => Ok(()),
        };
        self.shared.appender().close();
        closed.and(synced)
    }

    fn encode(&self, record: Record) -> Result<Unnumbered, JournalError> {
        Unnumbered::encode(record).map_err(|error| {
            self.shared.counters.failed();
            JournalError(error.to_string())
        })
    }

    async fn append(&self, encoded: &[Unnumbered], class: Class) -> Result<u64, JournalError> {
        let (first_seq, last_seq) = self.write(encoded, class)?;
        if self.settings.durability == Durability::Synced {
            self.syncer.bring_to_disk(last_seq).await?;
        }
        Ok(first_seq)
    }

    /// The write alone, in a function that cannot await under the guard.
    fn write(&self, encoded: &[Unnumbered], class: Class) -> Result<(u64, u64), JournalError> {
        let (appended, last_seq, finished) = {
            let mut appender = self.shared.appender();
            if encoded.is_empty() {
                let last_seq = appender.position().records;
                return Ok((last_seq + 1, last_seq));
            }
            let appended = appender.append(encoded, class);
            (appended, appender.position().records, appender.has_finished_segment())
        };
        let first_seq = appended.inspect_err(|_| self.shared.counters.failed())?;
        self.shared.counters.wrote(encoded);
        // Where nobody listens, nothing is told; `head` makes up for it.
        if self.shared.written.receiver_count() > 0 {
            self.shared.tell(last_seq);
        }
        if finished {
            self.syncer.wake();
        }
        Ok((first_seq, first_seq + encoded.len() as u64 - 1))
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
        | Event::SinkState
        | Event::JournalClosed => Class::Ending,
        Event::SessionOpen
        | Event::RequestFiled
        | Event::RequestApproved
        | Event::GrantCreated
        | Event::CredentialMinted
        | Event::ConfigReloaded => Class::Opening,
    }
}

/// What is recorded first: the cuts, then that the journal was opened, and where it stood.
fn opening_records(recovered: &Recovered) -> Result<Vec<Unnumbered>, JournalError> {
    let now = Timestamp::now();
    let Position { journal_id, records, head } = &recovered.position;
    let cuts = recovered.cut.iter().map(|cut| {
        let mut record = Record::new(now, Event::JournalRecovered);
        record.bytes = Some(cut.bytes);
        record.detail = Some(format!(
            "cut {} bytes of an unfinished record after record {records}; SHA-256 {}",
            cut.bytes, cut.digest
        ));
        record
    });
    let mut opened = Record::new(now, Event::JournalOpened);
    opened.detail = Some(format!("journal {journal_id}, {records} records before this writer, head {head}"));
    let records = cuts.chain([opened]);
    records.map(Unnumbered::encode).collect::<Result<_, _>>().map_err(|error| JournalError(error.to_string()))
}
