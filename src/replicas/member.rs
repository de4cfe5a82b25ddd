//! Joining those on the same store, and being known to them for as long as the store hears from us.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Metrics;
use super::calls::Calls;
use super::seats::Ended;
use crate::access::{Clock, Secret, TokenHash, generate_token};
use crate::store::{Peer, Replica, SharedFleet, Standing, StoreError};
use crate::tls::ReloadableCertificate;

/// A clock that is off by so much is said to be, once until it is right again.
const SKEWED: SignedDuration = SignedDuration::from_secs(5);

/// Who this replica is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    /// Where the others reach its control port.
    pub address: String,
    /// The identity of its journal.
    pub journal: String,
    /// Which configuration it works by.
    pub policy: String,
}

/// How it is known.
#[derive(Debug)]
pub struct Settings {
    pub identity: Identity,
    /// What the others find at its control port.
    pub certificate: Arc<ReloadableCertificate>,
    pub lease: Duration,
}

/// This replica among the others.
#[derive(Debug)]
pub struct Replicas {
    pub(super) fleet: SharedFleet,
    pub(super) ended: Ended,
    pub(super) calls: Calls,
    pub(super) metrics: Metrics,
    me: Mutex<Replica>,
    certificate: Arc<ReloadableCertificate>,
    known: ArcSwap<Known>,
    clock: Arc<Clock>,
    lease: Duration,
}

#[derive(Debug)]
struct Known {
    number: u32,
    peers: Vec<Peer>,
    absent: Vec<String>,
    at: Instant,
}

impl Known {
    fn of(standing: Standing) -> Self {
        Self { number: standing.number, peers: standing.peers, absent: standing.absent, at: standing.clock.answered }
    }
}

impl Replicas {
    /// Joins the others.
    ///
    /// # Errors
    /// Where the store does not answer, another replica has the name, or there is no randomness.
    pub async fn join(
        fleet: SharedFleet,
        settings: Settings,
        clock: Arc<Clock>,
        metrics: Metrics,
    ) -> Result<Arc<Self>, StoreError> {
        let Settings { identity, certificate, lease } = settings;
        let unable = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let (token, hash) = generate_token().map_err(|error| unable(&error))?;
        let me = Replica {
            name: identity.name,
            incarnation: uuid::Uuid::now_v7().to_string(),
            journal: identity.journal,
            address: identity.address,
            certificate: fingerprint(&certificate),
            token_hash: hash.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: identity.policy,
        };
        let standing = fleet.join(&me, lease).await?;
        tracing::info!(replica = me.name, number = standing.number, peers = standing.peers.len(), "joined");
        Ok(Arc::new(Self {
            ended: Ended::default(),
            calls: Calls::new(Secret::new(token.expose())),
            metrics,
            me: Mutex::new(me),
            certificate,
            known: ArcSwap::from_pointee(Known::of(standing)),
            clock,
            lease,
            fleet,
        }))
    }

    /// Stays known until `stop`, and goes by the store's clock.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval((self.lease / 10).clamp(MIN_BEAT, MAX_BEAT));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut failing, mut skewed) = (false, false);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let renewed = tokio::select! {
                () = stop.cancelled() => return,
                renewed = self.renew() => renewed,
            };
            match renewed {
                Ok(skew) => {
                    let is_off = skew.abs() >= SKEWED;
                    if is_off && !skewed {
                        tracing::error!(ahead = %skew, "this machine's clock is not the store's, which decides: set it right");
                    }
                    skewed = is_off;
                    failing = false;
                }
                Err(error) => {
                    self.metrics.failures.inc();
                    if !failing {
                        tracing::error!(%error, "the store cannot be told that this replica is there");
                    }
                    failing = true;
                }
            }
            self.give_back_ended().await;
        }
    }

    /// Tells the store, and learns what it says. Answers how far this machine's clock is ahead of the store's.
    async fn renew(&self) -> Result<SignedDuration, StoreError> {
        let me = self.me();
        let standing = match self.fleet.renew(&me).await {
            Err(StoreError::NotFound(_)) => self.fleet.join(&me, self.lease).await?,
            other => other?,
        };
        let skew = self.clock.learn(standing.clock);
        self.metrics.skew.set(skew.as_secs_f64());
        let known = Known::of(standing);
        self.metrics.peers.set(i64::try_from(known.peers.len()).unwrap_or(i64::MAX));
        let mut policies: Vec<&str> = known.peers.iter().map(|peer| peer.replica.policy.as_str()).collect();
        policies.push(&me.policy);
        policies.sort_unstable();
        policies.dedup();
        self.metrics.policies.set(i64::try_from(policies.len()).unwrap_or(i64::MAX));
        self.known.store(Arc::new(known));
        Ok(skew)
    }

    /// Is there no more, for whoever asks the store: after the last session has ended.
    pub async fn leave(&self) {
        self.give_back_ended().await;
        if let Err(error) = self.fleet.leave(&self.me().incarnation).await {
            tracing::warn!(%error, "the store could not be told that this replica is gone");
        }
    }

    /// Works by another configuration from now on.
    pub fn set_policy(&self, policy: &str) {
        let mut me = self.me.lock().unwrap_or_else(PoisonError::into_inner);
        policy.clone_into(&mut me.policy);
    }

    /// Whether another replica was seen that works by this configuration and this one does not.
    #[must_use]
    pub fn others_work_by(&self, policy: &str) -> bool {
        self.known.load().peers.iter().any(|peer| peer.replica.policy == policy)
    }

    /// Configurations of the others.
    #[must_use]
    pub fn policies(&self) -> Vec<String> {
        self.known.load().peers.iter().map(|peer| peer.replica.policy.clone()).collect()
    }

    /// The own one.
    #[must_use]
    pub fn policy(&self) -> String {
        self.me().policy
    }

    #[must_use]
    pub fn name(&self) -> String {
        self.me().name
    }

    /// What cancel keys name this one by.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.known.load().number
    }

    /// The others that were seen within their lease.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.known.load().peers.clone()
    }

    /// Others that should be there, and were not seen within their lease.
    #[must_use]
    pub fn absent(&self) -> Vec<String> {
        self.known.load().absent.clone()
    }

    /// The other one that has this number.
    #[must_use]
    pub fn peer_of(&self, number: u32) -> Option<Peer> {
        self.known.load().peers.iter().find(|peer| peer.number == number).cloned()
    }

    /// The other replica whose token this is. One that has just begun is asked of the store, but not time and again.
    pub async fn by_token(&self, token: &str) -> Option<String> {
        let hash = TokenHash::of(token).to_string();
        let find = |peers: &[Peer]| {
            peers.iter().find(|peer| peer.replica.token_hash == hash).map(|peer| peer.replica.name.clone())
        };
        if let Some(name) = find(&self.known.load().peers) {
            return Some(name);
        }
        if self.known.load().at.elapsed() < MIN_BEAT / 2 {
            return None;
        }
        if let Err(error) = self.renew().await {
            tracing::warn!(%error, "the store cannot be asked whose token a call shows");
            return None;
        }
        find(&self.known.load().peers)
    }

    /// Has this replica do a job until a lease has passed, unless another does it. Answers how far it was done, where that is
    /// known.
    ///
    /// # Errors
    /// Where the store does not answer: then nobody may do it.
    pub async fn hold_job(&self, name: &str) -> Result<Option<Option<String>>, StoreError> {
        self.fleet.hold_job(name, &self.me().incarnation, self.lease).await
    }

    /// Says how far a job is done.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn mark_job(&self, name: &str, mark: &str) -> Result<(), StoreError> {
        self.fleet.mark_job(name, &self.me().incarnation, mark).await
    }

    /// Takes the turn of what is done once in a period, by whichever comes first.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn take_turn(&self, name: &str, every: Duration) -> Result<bool, StoreError> {
        self.fleet.take_turn(name, &self.me().incarnation, every).await
    }

    /// Gives back a turn that came to nothing.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn give_back_turn(&self, name: &str) -> Result<(), StoreError> {
        self.fleet.give_back_turn(name, &self.me().incarnation).await
    }

    /// Does a job alone among all replicas; waits for whoever does it, and gives it up when the answer is dropped.
    ///
    /// # Errors
    /// Where the store does not answer, or others do it for too long.
    pub async fn alone(self: &Arc<Self>, name: &'static str) -> Result<Alone, StoreError> {
        // Each time by a name of its own: what gives up an earlier time must not give up this one.
        let holder = format!("{} {}", self.me().incarnation, uuid::Uuid::now_v7());
        let until = Instant::now() + self.lease;
        while Instant::now() < until {
            if self.fleet.hold_job(name, &holder, self.lease).await?.is_some() {
                return Ok(self.hold(name, holder));
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(StoreError::Failed("another replica is at it; try again".to_owned()))
    }

    pub(super) fn me(&self) -> Replica {
        let mut me = self.me.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been read again since.
        me.certificate = fingerprint(&self.certificate);
        me.clone()
    }

    /// How long what a replica holds is held for it.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

/// What one replica does alone, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Alone {
    _held: DropGuard,
}

impl Replicas {
    /// Goes on holding a job until the answer is dropped, and then gives it up.
    fn hold(self: &Arc<Self>, name: &'static str, holder: String) -> Alone {
        let (replicas, over) = (Arc::clone(self), CancellationToken::new());
        let until = over.clone();
        tokio::spawn(async move {
            while tokio::time::timeout(replicas.lease / 3, until.cancelled()).await.is_err() {
                if let Err(error) = replicas.fleet.hold_job(name, &holder, replicas.lease).await {
                    tracing::warn!(%error, name, "what this replica does alone may be done by another, too");
                }
            }
            // Where that fails, it is over with the lease.
            let _ = replicas.fleet.give_up_job(name, &holder).await;
        });
        Alone { _held: over.drop_guard() }
    }
}

const AGAIN: Duration = Duration::from_millis(50);
const MIN_BEAT: Duration = Duration::from_millis(500);
const MAX_BEAT: Duration = Duration::from_secs(3);

fn fingerprint(certificate: &ReloadableCertificate) -> String {
    crate::tls::fingerprint(&certificate.end_entity_der())
}
