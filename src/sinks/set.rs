//! All sinks of the process: started together, exchanged one by one when their configuration changes, ended together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::archive::Archiver;
use super::metrics::Metrics;
use super::notify::{NoRequests, Notifier, Requests};
use super::position::PositionFile;
use super::progress::Progress;
use super::receiver::Receiver;
use super::runner::Runner;
use super::settings::{Archive, ArchivePlace, Kind, Settings, SetupError};
use super::watch::{PERIOD, Watched};
use super::{otlp, postgresql, syslog, webhook};
use crate::access::Clock;
use crate::audit::{Event, Journal, Record};

/// Time that sinks have to take the last records before they are ended.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// The sinks that are at work.
pub struct Sinks {
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    metrics: Metrics,
    running: tokio::sync::Mutex<Vec<Running>>,
    watched: Arc<Mutex<Vec<Watched>>>,
    watch: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Sinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sinks").finish_non_exhaustive()
    }
}

/// One sink at work.
struct Running {
    settings: Arc<Settings>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Sinks that can be made as they are configured, and have not begun.
pub struct Prepared {
    sinks: Vec<(Settings, Work)>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sinks.iter().map(|(settings, _)| settings)).finish()
    }
}

/// What a sink does.
enum Work {
    Deliver(Box<dyn Receiver>),
    Archive(Archiver),
}

/// Makes what a sink does, of the journal with this id.
fn work(settings: &Settings, journal: &str, requests: &Arc<dyn Requests>) -> Result<Work, SetupError> {
    let failed = |what: String| SetupError { sink: settings.title(), what };
    let id = journal.to_owned();
    Ok(match &settings.kind {
        Kind::Postgresql(kind) => Work::Deliver(Box::new(postgresql::Table::new(kind, id).map_err(failed)?)),
        Kind::Syslog(kind) => Work::Deliver(Box::new(syslog::Collector::new(kind, id).map_err(failed)?)),
        Kind::Webhook(kind) => Work::Deliver(Box::new(webhook::Endpoint::new(kind, id).map_err(failed)?)),
        Kind::Otlp(kind) => Work::Deliver(Box::new(otlp::Collector::new(kind, id).map_err(failed)?)),
        Kind::Archive(kind) => Work::Archive(Archiver::new(kind, journal).map_err(failed)?),
        Kind::Notify(kind) => Work::Deliver(Box::new(Notifier::new(kind, id, Arc::clone(requests)).map_err(failed)?)),
    })
}

impl Sinks {
    /// Whether the sinks could be made. Changes and reaches nothing, and needs no journal.
    ///
    /// # Errors
    /// What is wrong with the first that could not.
    pub fn check(settings: &[Settings]) -> Result<(), SetupError> {
        // A folder is made when it is first written to.
        let is_folder = |settings: &&Settings| {
            matches!(&settings.kind, Kind::Archive(Archive { place: ArchivePlace::Directory(_), .. }))
        };
        let requests: Arc<dyn Requests> = Arc::new(NoRequests);
        let mut checked = settings.iter().filter(|settings| !is_folder(settings));
        checked.try_for_each(|settings| work(settings, "", &requests).map(drop))
    }

    /// Makes every sink, without reaching any.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be made.
    pub fn prepare(settings: Vec<Settings>, journal: &Journal) -> Result<Prepared, SetupError> {
        Self::prepare_with(settings, journal, &(Arc::new(NoRequests) as Arc<dyn Requests>))
    }

    /// [`Self::prepare`] for notifications, which look up what their records are about.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be made.
    pub fn prepare_with(
        settings: Vec<Settings>,
        journal: &Journal,
        requests: &Arc<dyn Requests>,
    ) -> Result<Prepared, SetupError> {
        let mut sinks = Vec::new();
        for settings in settings {
            let work = work(&settings, journal.id(), requests)?;
            let position = PositionFile::of(&journal.settings().dir, settings.folder(), &settings.name);
            position.map_err(|error| SetupError { sink: settings.title(), what: error.to_string() })?;
            sinks.push((settings, work));
        }
        Ok(Prepared { sinks })
    }

    /// Starts them, and the watch over them.
    #[must_use]
    pub async fn start(prepared: Prepared, journal: Arc<Journal>, clock: Arc<Clock>, metrics: Metrics) -> Arc<Self> {
        let watched = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(
            Arc::clone(&watched),
            Arc::clone(&journal),
            Arc::clone(&clock),
            metrics.clone(),
            stop.clone(),
        ));
        let running = tokio::sync::Mutex::new(Vec::new());
        let watch = Mutex::new(Some(watch));
        let sinks = Arc::new(Self { journal, clock, metrics, running, watched, watch, stop });
        sinks.apply(prepared).await;
        sinks
    }

    /// Lets those that are as they were go on, ends the others, and starts the new ones.
    pub async fn apply(&self, prepared: Prepared) {
        let mut running = self.running.lock().await;
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut *running)
            .into_iter()
            .partition(|sink| prepared.sinks.iter().any(|(settings, _)| *settings == *sink.settings));
        for sink in &go {
            sink.stop.cancel();
        }
        for sink in go {
            let name = sink.settings.name.clone();
            end(sink).await;
            self.watched().retain(|watched| watched.name() != name);
            if !prepared.sinks.iter().any(|(settings, _)| settings.name == name) {
                self.metrics.forget(&name);
            }
        }
        *running = stay;
        for (settings, work) in prepared.sinks {
            if running.iter().any(|sink| *sink.settings == settings) {
                continue;
            }
            match self.begin(Arc::new(settings), work) {
                Ok(sink) => running.push(sink),
                Err(error) => tracing::error!(%error, "a sink could not be started"),
            }
        }
    }

    /// Ends them all, once they have taken what there is, or after a moment: what a receiver has not acknowledged is sent
    /// after the next start.
    pub async fn stop(&self) {
        drop(tokio::time::timeout(LAST_MOMENT, self.caught_up()).await);
        self.stop.cancel();
        let running = std::mem::take(&mut *self.running.lock().await);
        for sink in running {
            end(sink).await;
        }
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watch) = watch {
            drop(watch.await);
        }
    }

    /// The names of the sinks that somebody should look after.
    #[must_use]
    pub fn alarming(&self) -> Vec<String> {
        self.watched().iter().filter(|watched| watched.is_alarming()).map(|watched| watched.name().to_owned()).collect()
    }

    async fn caught_up(&self) {
        let head = self.journal.head();
        while self.watched().iter().any(|watched| watched.is_behind(*head.borrow())) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn begin(&self, settings: Arc<Settings>, work: Work) -> std::io::Result<Running> {
        let file = PositionFile::of(&self.journal.settings().dir, settings.folder(), &settings.name)?;
        let progress = Arc::new(Progress::default());
        let stop = self.stop.child_token();
        let runner = Runner {
            settings: Arc::clone(&settings),
            journal: Arc::clone(&self.journal),
            file,
            progress: Arc::clone(&progress),
            clock: Arc::clone(&self.clock),
            stop: stop.clone(),
        };
        let task = match work {
            Work::Deliver(receiver) => tokio::spawn(runner.run(receiver)),
            Work::Archive(archiver) => tokio::spawn(runner.archive(archiver)),
        };
        self.watched().push(Watched::new(Arc::clone(&settings), progress));
        Ok(Running { settings, stop, task })
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end(sink: Running) {
    sink.stop.cancel();
    if let Err(error) = sink.task.await {
        tracing::error!(sink = %sink.settings.name, %error, "a sink ended badly");
    }
}

async fn watch(
    watched: Arc<Mutex<Vec<Watched>>>,
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let head = journal.head();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let (head, now) = (*head.borrow(), Instant::now());
        let news: Vec<String> = {
            let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.iter_mut().flat_map(|sink| sink.look(head, now, &metrics)).collect()
        };
        for text in news {
            tracing::error!("{text}");
            let mut record = Record::new(clock.now(), Event::SinkState);
            record.detail = Some(text);
            if let Err(error) = journal.record(record).await {
                tracing::error!(%error, "the state of a sink was not recorded");
            }
        }
    }
}
