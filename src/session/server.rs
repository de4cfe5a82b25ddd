//! The data path's server: what all sessions share, from the first connection to the last goodbye.

mod accept;
mod cancel;
mod databases;
mod turned_away;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::exports::Ledger;
use super::held::Places;
use super::judge::Database;
use super::pulse::Pulse;
use super::refusals;
use super::settings::{Dependencies, Settings};
use super::throttle::{Network, Throttle};
use super::uses::Uses;
use crate::access::Allowance;
use crate::audit::Turns;

const MINUTE: Duration = Duration::from_secs(60);
/// For sessions to say goodbye after the drain.
const GOODBYE: Duration = Duration::from_secs(2);

/// The data path's server.
#[derive(Debug)]
pub struct Server {
    pub(super) settings: Settings,
    pub(super) parts: Dependencies,
    pub(super) tasks: TaskTracker,
    /// By address, whoever is tried; and by address and user, so that guessing at one user there locks out no other.
    pub(super) failed_logins: Throttle<Network>,
    pub(super) failed_logins_of_user: Throttle<(Network, String)>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) uses: Arc<Uses>,
    pub(super) refusals: Allowance<Network>,
    /// What sessions of one thread record together.
    pub(super) turns: Turns,
    pub(super) pulse: Arc<Pulse>,
    /// What statements that wait for their approvers have.
    pub(super) held: Arc<Places>,
    cancels: Throttle<Network>,
    databases: Mutex<HashMap<String, Arc<Database>>>,
    /// Where sessions run, in turns; where [`Server::run`] itself does, if there are none.
    lanes: Vec<Handle>,
    next_lane: AtomicUsize,
    pub(super) admission: Arc<Admission>,
    /// Asks sessions to end when they are quiet.
    pub(super) stopping: CancellationToken,
    /// Ends them.
    pub(super) stop: CancellationToken,
}

impl Server {
    #[must_use]
    pub fn new(settings: Settings, parts: Dependencies) -> Self {
        let bounds = &settings.bounds;
        Self {
            failed_logins: Throttle::new(bounds.max_failed_logins_per_address, MINUTE),
            failed_logins_of_user: Throttle::new(bounds.max_failed_logins, MINUTE),
            admission: Arc::new(Admission::new(bounds.clone())),
            ledger: Arc::new(Ledger::new(Arc::clone(&parts.store))),
            uses: Arc::new(Uses::new(Arc::clone(&parts.store), Arc::clone(&parts.grants))),
            refusals: Allowance::new(refusals::MOST),
            turns: Turns::new(Arc::clone(&parts.journal)),
            pulse: Pulse::new(Arc::clone(&parts.grants), settings.store_lease, Arc::clone(&parts.clock)),
            held: Arc::default(),
            cancels: Throttle::new(bounds.max_cancels_per_address, MINUTE),
            databases: Mutex::default(),
            lanes: Vec::new(),
            next_lane: AtomicUsize::new(0),
            stopping: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settings,
            parts,
        }
    }

    /// Has sessions run on these runtimes, each on one.
    #[must_use]
    pub fn on(mut self, lanes: Vec<Handle>) -> Self {
        self.lanes = lanes;
        self
    }

    /// Serves clients until `shutdown`; then lets statements end for a while, ends the rest, and returns.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        self.begin_provisions();
        // Looks for as long as there is a session.
        let pulse_stop = CancellationToken::new();
        let _pulse_stop = pulse_stop.clone().drop_guard();
        tokio::spawn(Arc::clone(&self.pulse).run(pulse_stop));
        self.accept(listener, shutdown).await;
        self.stopping.cancel();
        self.tasks.close();
        self.drain().await;
        self.ledger.give_back().await;
        self.end_provisions().await;
    }

    async fn drain(&self) {
        if tokio::time::timeout(self.settings.drain, self.tasks.wait()).await.is_ok() {
            return;
        }
        self.stop.cancel();
        if tokio::time::timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    /// Ends the sessions of clients whose certificates are not accepted any more: after a change of what is.
    pub fn end_unaccepted(&self) {
        let tls = self.parts.tls.load_full();
        self.parts.registry.end_unaccepted(|chain| tls.accepts(chain));
    }
}
