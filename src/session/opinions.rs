//! Second opinions on statements, from PostgreSQL itself: a few side connections of one database, how long they are waited for,
//! and what is known of why there can be none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::metrics::Metrics;
use super::settings::SecondOpinion;
use super::side::{self, SideClient, SideError};
use super::upstream::Upstream;
use crate::catalog::opinion::{self, AskError, Depth, Opinion, Question, Unable};
use crate::catalog::{Footprint, Snapshot};

/// Questions of one database at once.
const MAX_CONNECTIONS: usize = 2;
/// For a connection to be free.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// For one question, with logging in where there is no connection yet.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server that cannot be asked is left alone.
const UNABLE_FOR: Duration = Duration::from_secs(15);
/// How long one that could not be reached is.
const UNREACHED_FOR: Duration = Duration::from_secs(1);

/// What came of asking about one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// PostgreSQL touches nothing that the footprint lacks.
    Agree,
    /// It does; what, in words.
    Disagree(Arc<str>),
    /// It was not asked, or gave no answer.
    Unasked(Unasked),
}

/// Why there is no second opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unasked {
    pub reason: Reason,
    /// In words.
    pub detail: Arc<str>,
}

/// The reasons that the metric counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A kind of statement that no function's body holds.
    Kind,
    Version,
    Standby,
    /// No privilege TEMPORARY.
    Temporary,
    Size,
    Parameters,
    Lock,
    Timeout,
    /// All connections were taken for too long.
    Busy,
    Connection,
    /// PostgreSQL gives an error for the statement.
    Refused,
    /// An answer that is not understood.
    Answer,
    /// The transaction has changed the schema.
    Uncommitted,
}

impl Reason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Kind => "kind",
            Reason::Version => "version",
            Reason::Standby => "standby",
            Reason::Temporary => "temporary",
            Reason::Size => "size",
            Reason::Parameters => "parameters",
            Reason::Lock => "lock",
            Reason::Timeout => "timeout",
            Reason::Busy => "busy",
            Reason::Connection => "connection",
            Reason::Refused => "refused",
            Reason::Answer => "answer",
            Reason::Uncommitted => "uncommitted",
        }
    }

    /// Whether the same question would have the same answer as long as the catalogs stay as they are.
    #[must_use]
    pub fn lasts(self) -> bool {
        match self {
            Reason::Kind | Reason::Size | Reason::Parameters | Reason::Refused | Reason::Answer => true,
            Reason::Version
            | Reason::Standby
            | Reason::Temporary
            | Reason::Lock
            | Reason::Timeout
            | Reason::Busy
            | Reason::Connection
            | Reason::Uncommitted => false,
        }
    }
}

/// Asks for one database.
#[derive(Debug)]
pub struct Opinions {
    pub mode: SecondOpinion,
    upstream: Upstream,
    metrics: Arc<Metrics>,
    places: Semaphore,
    idle: Mutex<Vec<Side>>,
    /// Until when nobody is asked, and why.
    unable: Mutex<Option<(Instant, Unasked)>>,
}

/// A connection that waits for its next question.
#[derive(Debug)]
struct Side {
    client: SideClient,
    /// The path that it looks names up along.
    search_path: String,
}

impl Opinions {
    #[must_use]
    pub fn new(mode: SecondOpinion, upstream: Upstream, metrics: Arc<Metrics>) -> Self {
        Self {
            mode,
            upstream,
            metrics,
            places: Semaphore::new(MAX_CONNECTIONS),
            idle: Mutex::default(),
            unable: Mutex::default(),
        }
    }

    /// What PostgreSQL says of a statement whose footprint by `snapshot` is `footprint`. Bounded in time; counted.
    /// Cancel safe.
    pub async fn ask(
        &self,
        snapshot: &Snapshot,
        footprint: &Footprint,
        question: Question<'_>,
        depth: Depth,
    ) -> Finding {
        let begun = Instant::now();
        let finding = match self.opinion(snapshot, question).await {
            Ok(opinion) => {
                let missing = opinion::compare(snapshot, footprint, &opinion, depth);
                let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
                if words.is_empty() { Finding::Agree } else { Finding::Disagree(words.join(", ").into()) }
            }
            Err(unasked) => Finding::Unasked(unasked),
        };
        self.metrics.second_opinion_seconds.observe(begun.elapsed().as_secs_f64());
        self.count(&finding);
        finding
    }

    /// The finding on a statement that there is no question for.
    pub fn cannot_ask(&self, unasked: Unasked) -> Finding {
        let finding = Finding::Unasked(unasked);
        self.count(&finding);
        finding
    }

    fn count(&self, finding: &Finding) {
        match finding {
            Finding::Agree => self.metrics.count_opinion("agree", ""),
            Finding::Disagree(what) => {
                let database = &self.upstream.settings().database;
                tracing::error!(%database, "PostgreSQL says that a statement also touches {what}: it is refused");
                self.metrics.count_opinion("disagree", "");
            }
            Finding::Unasked(unasked) => self.metrics.count_opinion("unasked", unasked.reason.as_str()),
        }
    }

    async fn opinion(&self, snapshot: &Snapshot, question: Question<'_>) -> Result<Opinion, Unasked> {
        if let Some(unasked) = self.known_unable() {
            return Err(unasked);
        }
        let busy = || unasked(Reason::Busy, "other statements are being asked about");
        let place = tokio::time::timeout(MAX_WAIT, self.places.acquire()).await.map_err(|_| busy())?;
        let _place = place.map_err(|_| busy())?;
        match tokio::time::timeout(TIMEOUT, self.converse(snapshot, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(unasked(Reason::Timeout, "the answer took too long")),
        }
    }

    /// Asks on an idle connection, and on a new one where that has died meanwhile.
    async fn converse(&self, snapshot: &Snapshot, question: Question<'_>) -> Result<Opinion, Unasked> {
        if let Some(side) = self.idle(&snapshot.search_path) {
            match opinion::ask(&side.client, snapshot, question).await {
                Err(AskError::Connection(error)) => tracing::info!(%error, "a connection for second opinions is lost"),
                answer => return self.give_back(side, answer),
            }
        }
        let side = self.connect(&snapshot.search_path).await?;
        let answer = opinion::ask(&side.client, snapshot, question).await;
        self.give_back(side, answer)
    }

    fn give_back(&self, side: Side, answer: Result<Opinion, AskError>) -> Result<Opinion, Unasked> {
        if !matches!(answer, Err(AskError::Connection(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(side);
        }
        answer.map_err(|error| unasked(reason(&error), &error.to_string()))
    }

    /// A connection that is still open and looks names up along that path.
    fn idle(&self, search_path: &str) -> Option<Side> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|side| side.client.is_usable(&self.upstream) && side.search_path == search_path);
        idle.pop()
    }

    async fn connect(&self, search_path: &str) -> Result<Side, Unasked> {
        let connected = async {
            let client = side::connect(&self.upstream, "pgward second opinion", TIMEOUT).await?;
            let able = opinion::prepare_connection(&client, search_path).await?;
            Ok::<_, SideError>((client, able))
        };
        match connected.await {
            Ok((client, Ok(()))) => Ok(Side { client, search_path: search_path.to_owned() }),
            Ok((_, Err(unable))) => {
                let unasked = told(unable);
                tracing::warn!(reason = unasked.reason.as_str(), "second opinions cannot be had: {}", unasked.detail);
                Err(self.leave_alone(UNABLE_FOR, unasked))
            }
            Err(error) => {
                tracing::warn!(%error, "no connection for second opinions");
                Err(self.leave_alone(UNREACHED_FOR, unasked(Reason::Connection, "no connection can be made")))
            }
        }
    }

    fn leave_alone(&self, time: Duration, unasked: Unasked) -> Unasked {
        let until = Instant::now() + time;
        *self.unable.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, unasked.clone()));
        unasked
    }

    fn known_unable(&self) -> Option<Unasked> {
        let unable = self.unable.lock().unwrap_or_else(PoisonError::into_inner);
        unable.as_ref().filter(|(until, _)| Instant::now() < *until).map(|(_, unasked)| unasked.clone())
    }
}

/// A finding's reason and words.
#[must_use]
pub fn unasked(reason: Reason, detail: &str) -> Unasked {
    Unasked { reason, detail: detail.into() }
}

fn told(unable: Unable) -> Unasked {
    match unable {
        Unable::Version => unasked(Reason::Version, "the server is older than PostgreSQL 14"),
        Unable::Standby => unasked(Reason::Standby, "the server is a standby"),
        Unable::Temporary => {
            unasked(Reason::Temporary, "the upstream's account has no privilege TEMPORARY on the database")
        }
    }
}

fn reason(error: &AskError) -> Reason {
    match error {
        AskError::Size => Reason::Size,
        AskError::Parameters => Reason::Parameters,
        AskError::Type(_) | AskError::NotUnderstood(_) => Reason::Answer,
        AskError::Lock => Reason::Lock,
        AskError::Timeout => Reason::Timeout,
        AskError::Refused { .. } => Reason::Refused,
        AskError::Connection(_) => Reason::Connection,
    }
}
