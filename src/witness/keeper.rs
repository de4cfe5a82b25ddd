//! Having every checkpoint of our own log witnessed: rounds in which all witnesses are shown the newest one, their
//! cosignatures kept with it, and an alarm where one is silent or knows another history.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Client, ClientError, Reply};
use super::request::AddCheckpoint;
use crate::tlog::{Checkpoint, CheckpointFile, Note, Signature, TileReader, Verifier};

/// One witness, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub url: String,
    /// Of type 0x04.
    pub verifier: Verifier,
    pub ca: Option<PathBuf>,
    /// The least pause between two calls.
    pub every: Duration,
    /// A witness that did not cosign for so long is silent.
    pub silent_after: Duration,
}

/// What whoever runs the log has to know. Each is raised when it begins, not at every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// No cosignature for longer than it should be.
    Silent { witness: String, said: String },
    /// It cosigns again.
    Heard { witness: String },
    /// It cosigned a greater size than this log has: the log's end was cut off, or somebody else writes it.
    Ahead { witness: String, theirs: u64, ours: u64 },
    /// What it cosigned is not a beginning of this log: history was written anew.
    Forked { witness: String, size: u64 },
    /// It says no, for a reason of its own.
    Refused { witness: String, said: String },
}

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    silent: Family<WitnessLabel, Gauge>,
    size: Family<WitnessLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WitnessLabel {
    witness: String,
}

impl Metrics {
    /// Makes the gauges and tells `registry` of them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "pgward_audit_witness_silent",
            "1 where a witness did not cosign for too long",
            metrics.silent.clone(),
        );
        registry.register(
            "pgward_audit_witnessed_records",
            "Records that a witness has cosigned",
            metrics.size.clone(),
        );
        metrics
    }
}

/// Shows the log's checkpoints to its witnesses.
pub struct Keeper<F> {
    dir: PathBuf,
    file: CheckpointFile,
    desks: Vec<Desk>,
    metrics: Metrics,
    alarm: F,
}

impl<F> std::fmt::Debug for Keeper<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("dir", &self.dir).field("desks", &self.desks).finish_non_exhaustive()
    }
}

/// One witness, and how it stands with it.
#[derive(Debug)]
struct Desk {
    place: Place,
    client: Arc<Client>,
    /// The size that it said it knows.
    known: u64,
    /// Its latest cosignature, and the text that it is over.
    cosigned: Option<(String, Signature)>,
    heard: Instant,
    /// Not before then.
    next: Instant,
    failures: u32,
    silent: bool,
    /// What is wrong beside silence, as long as it is.
    trouble: Option<Alarm>,
    said: String,
}

impl<F: FnMut(Alarm) + Send> Keeper<F> {
    /// For the log in `dir` whose newest checkpoint is in `file`. `alarm` is called where something is wrong or well again.
    ///
    /// # Errors
    /// Where a witness's URL or authority cannot be used.
    pub fn new(
        dir: &Path,
        file: CheckpointFile,
        places: Vec<Place>,
        metrics: Metrics,
        alarm: F,
    ) -> Result<Self, ClientError> {
        let desks = places.into_iter().map(Desk::new).collect::<Result<_, _>>()?;
        Ok(Self { dir: dir.to_owned(), file, desks, metrics, alarm })
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let Some(pause) = self.desks.iter().map(|desk| desk.place.every).min() else { return };
        self.desks.iter_mut().for_each(Desk::start);
        let mut ticks = tokio::time::interval(pause.max(LEAST_PAUSE));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// Shows the newest checkpoint to every witness whose turn it is.
    async fn round(&mut self) {
        let file = self.file.clone();
        match elsewhere(move || file.read().map_err(|error| error.to_string())).await {
            Ok(Some((checkpoint, note))) => self.show(&checkpoint, &note).await,
            Ok(None) => return,
            Err(error) => tracing::error!(%error, "the journal's checkpoint cannot be shown to witnesses"),
        }
        for desk in &mut self.desks {
            let alarm = desk.silence();
            // Whoever is told can read it in the metrics.
            let label = WitnessLabel { witness: desk.name() };
            self.metrics.silent.get_or_create(&label).set(i64::from(desk.silent));
            self.metrics.size.get_or_create(&label).set(desk.witnessed());
            if let Some(alarm) = alarm {
                raise(&mut self.alarm, alarm);
            }
        }
    }

    async fn show(&mut self, checkpoint: &Checkpoint, note: &Note) {
        let now = Instant::now();
        let mut calls = JoinSet::new();
        for (index, desk) in self.desks.iter().enumerate().filter(|(_, desk)| desk.is_due(note, now)) {
            let call = Call {
                client: Arc::clone(&desk.client),
                dir: self.dir.clone(),
                known: desk.known,
                size: checkpoint.size,
                note: note.clone(),
            };
            calls.spawn(async move { (index, call.make().await) });
        }
        while let Some(done) = calls.join_next().await {
            let Ok((index, outcome)) = done else { continue };
            let Some(desk) = self.desks.get_mut(index) else { continue };
            let (known, reply) = match outcome {
                Ok(answered) => answered,
                Err(error) => {
                    tracing::warn!(%error, "the journal's tiles cannot be read for a witness");
                    desk.said = format!("the journal's tiles cannot be read: {error}");
                    continue;
                }
            };
            let cosignature = match &reply {
                Reply::Cosigned(cosignature) => Some(cosignature.clone()),
                Reply::Conflict(_) | Reply::Inconsistent | Reply::Refused(_) | Reply::Silent(_) => None,
            };
            for alarm in desk.take(known, reply, checkpoint, note) {
                raise(&mut self.alarm, alarm);
            }
            // As they come: a slow witness does not hold back what the others said.
            if let Some(cosignature) = cosignature {
                let (file, body) = (self.file.clone(), note.body().to_owned());
                let keep = move || file.cosign(&body, &[cosignature]).map_err(|error| error.to_string());
                if let Err(error) = elsewhere(keep).await {
                    tracing::error!(%error, "a witness's cosignature could not be kept");
                }
            }
        }
        self.keep_witnessed(note).await;
    }

    /// Keeps the checkpoint apart where all witnesses have cosigned it.
    async fn keep_witnessed(&self, note: &Note) {
        let of_this = |desk: &Desk| {
            let cosigned = desk.cosigned.as_ref().filter(|(body, _)| body == note.body());
            cosigned.map(|(_, cosignature)| cosignature.clone())
        };
        let Some(cosignatures) = self.desks.iter().map(of_this).collect::<Option<Vec<_>>>() else { return };
        let (file, mut note) = (self.file.clone(), note.clone());
        let keep = move || {
            let kept = file.read_witnessed();
            let has_all = |kept: &Note| cosignatures.iter().all(|line| kept.signatures().contains(line));
            if matches!(&kept, Ok(Some((_, kept))) if kept.body() == note.body() && has_all(kept)) {
                return Ok(());
            }
            let all = cosignatures.into_iter().try_for_each(|line| note.replace_signature(line));
            all.map_err(|error| error.to_string())?;
            file.put_witnessed(&note).map_err(|error| error.to_string())
        };
        if let Err(error) = elsewhere(keep).await {
            tracing::error!(%error, "a witnessed checkpoint could not be kept");
        }
    }
}

/// Files are waited for on a thread of their own.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

fn raise(alarm: &mut impl FnMut(Alarm), raised: Alarm) {
    match &raised {
        Alarm::Silent { witness, said } => {
            tracing::error!(%witness, %said, "a witness of the journal is silent: checkpoints are not cosigned");
        }
        Alarm::Heard { witness } => tracing::info!(%witness, "a witness of the journal cosigns again"),
        Alarm::Ahead { witness, theirs, ours } => tracing::error!(
            %witness, theirs, ours,
            "a witness has cosigned more records than the journal has: its end was cut off, or it is written elsewhere"
        ),
        Alarm::Forked { witness, size } => tracing::error!(
            %witness, size,
            "what a witness has cosigned is not a beginning of the journal: its history was written anew"
        ),
        Alarm::Refused { witness, said } => {
            tracing::error!(%witness, %said, "a witness refuses the journal's checkpoint")
        }
    }
    alarm(raised);
}

/// One witness shown one checkpoint.
#[derive(Debug)]
struct Call {
    client: Arc<Client>,
    dir: PathBuf,
    known: u64,
    size: u64,
    note: Note,
}

impl Call {
    /// Answers the size that was last taken for the witness's, too. Where the witness knows another one, tries from there.
    ///
    /// # Errors
    /// Where our own log could not be read, which says nothing of the witness: the next checkpoint will do.
    async fn make(self) -> Result<(u64, Reply), String> {
        let mut old = self.known.min(self.size);
        for _ in 0..ATTEMPTS {
            let (dir, size) = (self.dir.clone(), self.size);
            let prove = move || TileReader::new(&dir, size).consistency(old).map_err(|error| error.to_string());
            let proof = elsewhere(prove).await?;
            let reply = self.client.add(&AddCheckpoint { old, proof, note: self.note.clone() }).await;
            match reply {
                Reply::Conflict(known) if known != old && known <= self.size => old = known,
                other => return Ok((old, other)),
            }
        }
        Ok((old, Reply::Refused("its size changes at every call: is the log written elsewhere?".to_owned())))
    }
}

impl Desk {
    fn new(place: Place) -> Result<Self, ClientError> {
        let client = Client::new(&place.url, place.verifier.clone(), place.ca.as_deref())?;
        let now = Instant::now();
        Ok(Self {
            place,
            client: Arc::new(client),
            known: 0,
            cosigned: None,
            heard: now,
            next: now,
            failures: 0,
            silent: false,
            trouble: None,
            said: "it was not reached".to_owned(),
        })
    }

    fn start(&mut self) {
        self.heard = Instant::now();
        self.next = self.heard;
    }

    fn name(&self) -> String {
        self.place.verifier.name().to_owned()
    }

    /// Whether it is to be shown this: something new, or the same again to hear whether it is there.
    fn is_due(&self, note: &Note, now: Instant) -> bool {
        let is_new = self.cosigned.as_ref().is_none_or(|(body, _)| body != note.body());
        now >= self.next && (is_new || now >= self.heard + self.place.silent_after / 2)
    }

    /// Takes a reply in: what changed by it.
    fn take(&mut self, known: u64, reply: Reply, checkpoint: &Checkpoint, note: &Note) -> Vec<Alarm> {
        let now = Instant::now();
        let witness = self.name();
        self.known = known;
        let trouble = match reply {
            Reply::Cosigned(cosignature) => {
                self.known = checkpoint.size;
                self.cosigned = Some((note.body().to_owned(), cosignature));
                self.heard = now;
                self.failures = 0;
                self.next = now + self.place.every;
                self.trouble = None;
                let was_silent = std::mem::take(&mut self.silent);
                return if was_silent { vec![Alarm::Heard { witness }] } else { Vec::new() };
            }
            Reply::Conflict(theirs) if theirs > checkpoint.size => {
                Some(Alarm::Ahead { witness, theirs, ours: checkpoint.size })
            }
            Reply::Conflict(size) => Some(Alarm::Forked { witness, size }),
            Reply::Inconsistent => Some(Alarm::Forked { witness, size: known }),
            Reply::Refused(said) => Some(Alarm::Refused { witness, said }),
            Reply::Silent(said) => {
                self.said = said;
                None
            }
        };
        // A witness that is gone or says no is asked ever more rarely.
        self.failures = self.failures.saturating_add(1);
        let pause = self.place.every.saturating_mul(1 << self.failures.min(16));
        self.next = now + pause.min(LONGEST_PAUSE.max(self.place.every));
        let Some(trouble) = trouble else { return Vec::new() };
        self.said = "it refuses the checkpoint".to_owned();
        let is_new =
            self.trouble.as_ref().is_none_or(|known| std::mem::discriminant(known) != std::mem::discriminant(&trouble));
        self.trouble = Some(trouble.clone());
        if is_new { vec![trouble] } else { Vec::new() }
    }

    /// The alarm, when it has become silent.
    fn silence(&mut self) -> Option<Alarm> {
        if self.silent || Instant::now() < self.heard + self.place.silent_after {
            return None;
        }
        self.silent = true;
        Some(Alarm::Silent { witness: self.name(), said: self.said.clone() })
    }

    /// The size of the checkpoint that it cosigned last.
    fn witnessed(&self) -> i64 {
        let checkpoint = self.cosigned.as_ref().and_then(|(body, _)| Checkpoint::parse(body).ok());
        checkpoint.map_or(0, |checkpoint| checkpoint.size.try_into().unwrap_or(i64::MAX))
    }
}

/// A witness may have been shown a newer checkpoint between two attempts.
const ATTEMPTS: usize = 3;
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Between two calls of a witness that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
