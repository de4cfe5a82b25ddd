//! The live sessions, for those who list and kill them. The only part of `session` that `control` knows.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

use super::cancels::Cancels;
use super::holds::Holds;
use super::places::Places;
use super::upstream::CancelTarget;
use crate::access::{GrantId, Region, SessionId};
use crate::wire::backend::SHORT_KEY;

/// One live session as a listing shows it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub id: SessionId,
    pub principal: String,
    pub database: String,
    pub client_addr: String,
    pub client_region: Option<Region>,
    pub application_name: String,
    pub opened_at: Timestamp,
    pub grants: Vec<GrantId>,
    /// The statement that runs now.
    pub statement: Option<String>,
    /// Rows that it has returned so far.
    pub rows: Option<u64>,
    /// Statements so far.
    pub statements: u64,
}

/// All live sessions of this process.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: DashMap<SessionId, Arc<Entry>>,
    /// By the process number that the client was told.
    keys: DashMap<u32, Arc<Entry>>,
    holds: Arc<Holds>,
    /// Of this replica, where there are several; 0 where not.
    replica: AtomicU32,
}

/// Bits of a process number that say which session of a replica it is; those above say which replica.
const SESSION_BITS: u32 = 21;

/// The replica whose session goes by a process number; 0 where there is but one.
pub(super) fn replica_of(process: u32) -> u32 {
    process >> SESSION_BITS
}

impl Registry {
    /// Has the process numbers of sessions say which of several replicas theirs is.
    pub fn name_replica(&self, number: u32) {
        self.replica.store(number, Ordering::Relaxed);
    }

    /// Every live session, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut sessions: Vec<_> = self.sessions.iter().map(|entry| entry.info()).collect();
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        sessions
    }

    /// Ends a session, its running statement cancelled. Answers whether there was one.
    pub fn kill(&self, id: &SessionId, by: &str, reason: Option<&str>) -> bool {
        let Some(entry) = self.sessions.get(id).map(|entry| Arc::clone(&entry)) else { return false };
        // The first kill decides who is named; a second one changes nothing.
        let _ = entry.killed.set(Kill { by: by.to_owned(), reason: reason.map(str::to_owned) });
        entry.kill.cancel();
        true
    }

    /// Whose statements do not run until they are released, and why.
    #[must_use]
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Ends the sessions whose backends are on another of these servers than the one that is in use now.
    pub(super) fn end_elsewhere(&self, places: &Arc<Places>, current: usize) {
        let elsewhere = self.sessions.iter().filter(|entry| entry.target.is_elsewhere(places, current));
        // No lock is held while they are ended.
        let ids: Vec<SessionId> = elsewhere.map(|entry| entry.info.id.clone()).collect();
        for id in ids {
            self.kill(&id, "pgward", Some("the database is served by another of its servers now"));
        }
    }

    /// Ends the sessions that were logged in to by certificates that are not good any more.
    pub(super) fn end_unaccepted(&self, accepts: impl Fn(&[CertificateDer<'_>]) -> bool) {
        let is_over = |entry: &Entry| entry.certificates.as_deref().is_some_and(|chain| !accepts(chain));
        let over = self.sessions.iter().filter(|entry| is_over(entry));
        let ids: Vec<SessionId> = over.map(|entry| entry.info.id.clone()).collect();
        for id in ids {
            self.kill(&id, "pgward", Some("the client's certificate is not accepted any more"));
        }
    }

    /// Lists a session under a process number that nobody else has; it stays listed until the guard is dropped.
    ///
    /// # Errors
    /// Where the random source fails.
    pub(super) fn enter(self: &Arc<Self>, new: NewEntry) -> Result<Listed, aws_lc_rs::error::Unspecified> {
        let mut secret = CancelKey { bytes: [0; LONG_KEY], length: if new.long_key { LONG_KEY } else { SHORT_KEY } };
        aws_lc_rs::rand::fill(&mut secret.bytes)?;
        loop {
            let mut process = [0; 4];
            aws_lc_rs::rand::fill(&mut process)?;
            let process = match self.replica.load(Ordering::Relaxed) {
                0 => u32::from_be_bytes(process) >> 1,
                replica => (replica << SESSION_BITS) | (u32::from_be_bytes(process) >> (u32::BITS - SESSION_BITS)),
            };
            // The map's own lock makes the number this session's alone.
            if let dashmap::Entry::Vacant(place) = self.keys.entry(process) {
                let entry = Arc::new(Entry::new(new, process, secret, Arc::clone(&self.holds)));
                place.insert(Arc::clone(&entry));
                self.sessions.insert(entry.info.id.clone(), Arc::clone(&entry));
                return Ok(Listed { registry: Arc::clone(self), entry });
            }
        }
    }

    /// The session whose cancel key this is.
    pub(super) fn by_key(&self, process: u32, key: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.keys.get(&process).map(|entry| Arc::clone(&entry));
        let matches = entry.as_ref().is_some_and(|entry| entry.secret.as_slice().ct_eq(key).into());
        entry.filter(|_| matches)
    }
}

/// What a session is listed by.
#[derive(Debug)]
pub(super) struct NewEntry {
    pub info: SessionInfo,
    pub target: CancelTarget,
    /// The client speaks protocol 3.2 or later.
    pub long_key: bool,
    /// What the client logged in by, where that was a certificate.
    pub certificates: Option<Box<[CertificateDer<'static>]>>,
}

/// What PostgreSQL 18 makes its own keys of.
const LONG_KEY: usize = 32;

/// What a client has to know to cancel.
#[derive(Clone, Copy)]
pub struct CancelKey {
    bytes: [u8; LONG_KEY],
    length: usize,
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelKey").field("length", &self.length).finish_non_exhaustive()
    }
}

impl CancelKey {
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Who ended a session by hand.
#[derive(Clone, Debug)]
pub(super) struct Kill {
    pub by: String,
    pub reason: Option<String>,
}

/// One live session.
#[derive(Debug)]
pub(super) struct Entry {
    info: SessionInfo,
    process: u32,
    secret: CancelKey,
    changing: Mutex<Changing>,
    statements: AtomicU64,
    /// What the statement that runs has returned so far.
    rows: AtomicU64,
    killed: OnceLock<Kill>,
    kill: CancellationToken,
    target: CancelTarget,
    certificates: Option<Box<[CertificateDer<'static>]>>,
    cancels: Cancels,
    holds: Arc<Holds>,
}

#[derive(Debug, Default)]
struct Changing {
    grants: Vec<GrantId>,
    statement: Option<Arc<str>>,
}

impl Entry {
    fn new(new: NewEntry, process: u32, secret: CancelKey, holds: Arc<Holds>) -> Self {
        let changing = Mutex::new(Changing { grants: new.info.grants.clone(), statement: None });
        Self {
            info: new.info,
            process,
            secret,
            changing,
            statements: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            killed: OnceLock::new(),
            kill: CancellationToken::new(),
            target: new.target,
            certificates: new.certificates,
            cancels: Cancels::default(),
            holds,
        }
    }

    fn info(&self) -> SessionInfo {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        SessionInfo {
            grants: changing.grants.clone(),
            statement: changing.statement.as_deref().map(str::to_owned),
            rows: changing.statement.is_some().then(|| self.rows.load(Ordering::Relaxed)),
            statements: self.statements.load(Ordering::Relaxed),
            ..self.info.clone()
        }
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.info.id
    }

    pub(super) fn principal(&self) -> &str {
        &self.info.principal
    }

    pub(super) fn database(&self) -> &str {
        &self.info.database
    }

    pub(super) fn target(&self) -> &CancelTarget {
        &self.target
    }

    /// What the client is told as its cancel key.
    pub(super) fn key(&self) -> (u32, CancelKey) {
        (self.process, self.secret)
    }

    pub(super) fn set_statement(&self, statement: Option<Arc<str>>) {
        if statement.is_some() {
            self.statements.fetch_add(1, Ordering::Relaxed);
        }
        self.rows.store(0, Ordering::Relaxed);
        self.changing.lock().unwrap_or_else(PoisonError::into_inner).statement = statement;
    }

    /// Whether it was ever asked anything.
    pub(super) fn has_run(&self) -> bool {
        self.statements.load(Ordering::Relaxed) > 0
    }

    /// How long it has been there.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        now.duration_since(self.info.opened_at).try_into().unwrap_or_default()
    }

    pub(super) fn set_rows(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }

    /// Why its principal's statements do not run, where they do not.
    pub(super) fn held(&self) -> Option<Arc<str>> {
        self.holds.why(&self.info.principal)
    }

    pub(super) fn set_grants(&self, grants: Vec<GrantId>) {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner).grants = grants;
    }

    /// Notes that the client asked for its statement to be cancelled, so that its end is told apart from a timeout.
    /// Answers whether the upstream is to be asked in turn.
    #[must_use]
    pub(super) fn note_cancel(&self) -> bool {
        self.cancels.note()
    }

    /// A statement is held: cancel requests are for it.
    pub(super) fn begin_hold(&self) {
        self.cancels.begin_hold();
    }

    /// None is held any more. Answers whether it was to be cancelled.
    pub(super) fn end_hold(&self) -> bool {
        self.cancels.end_hold()
    }

    /// Waits until the client asks for that, or has asked already, and takes note of it. Cancel safe.
    pub(super) async fn cancel_noted(&self) {
        self.cancels.noted().await;
    }

    pub(super) fn take_cancel(&self) -> bool {
        self.cancels.take()
    }

    /// Waits until somebody kills the session. Cancel safe.
    pub(super) async fn killed(&self) -> Kill {
        self.kill.cancelled().await;
        self.killed.get().cloned().unwrap_or(Kill { by: "an administrator".to_owned(), reason: None })
    }
}

/// Keeps a session listed.
#[derive(Debug)]
pub(super) struct Listed {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
}

impl Listed {
    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.registry.keys.remove(&self.entry.process);
        self.registry.sessions.remove(&self.entry.info.id);
    }
}
