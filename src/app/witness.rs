//! Both sides of witnessing: `pgward witness`, a process of its own that needs neither a configuration nor a database; and
//! having our own journal witnessed while it is written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::audit::{Event, Record};
use crate::tlog::{Cosigner, Verifier};
use crate::tls::{self, ReloadableCertificate};
use crate::witness::{Alarm, Keeper, Place, Tls, Witness, serve};

/// Shows the journal's checkpoints to its witnesses, where it has any; what they say is recorded.
pub fn keeper(places: Vec<Place>, parts: &Parts) -> anyhow::Result<Keeper<impl FnMut(Alarm) + Send + use<>>> {
    let (metrics, published) = (parts.witness_metrics.clone(), parts.journal.published().clone());
    let dir = parts.journal.places().main.clone();
    let (said, mut heard) = tokio::sync::mpsc::channel(WAITING);
    let journal = Arc::clone(&parts.journal);
    // Ends with the keeper.
    tokio::spawn(async move {
        while let Some(alarm) = heard.recv().await {
            if let Err(error) = journal.record(record_of(&alarm)).await {
                tracing::error!(%error, "what a witness says could not be recorded");
            }
        }
    });
    // Where the journal takes none for long, the log has them all the same.
    let alarm = move |alarm| drop(said.try_send(alarm));
    Ok(Keeper::new(&dir, published, places, metrics, alarm)?)
}

fn record_of(alarm: &Alarm) -> Record {
    let (event, detail) = match alarm {
        Alarm::Heard { witness } => (Event::WitnessHeard, format!("{witness} cosigns again")),
        Alarm::Silent { witness, said } => (Event::WitnessSilent, format!("{witness} does not cosign: {said}")),
        Alarm::Refused { witness, said } => (Event::WitnessSilent, format!("{witness} refuses to cosign: {said}")),
        Alarm::Ahead { witness, theirs, ours } => (
            Event::WitnessSilent,
            format!("{witness} has cosigned {theirs} records where the journal has {ours}: its end was cut off"),
        ),
        Alarm::Forked { witness, size } => (
            Event::WitnessSilent,
            format!("the {size} records that {witness} has cosigned are not those of the journal: it was written anew"),
        ),
    };
    let mut record = Record::new(jiff::Timestamp::now(), event);
    record.detail = Some(detail);
    record
}

/// What a witness is started with.
#[derive(Debug)]
pub struct WitnessSettings {
    pub listen: SocketAddr,
    pub cosigner: Cosigner,
    /// The logs that it witnesses.
    pub logs: Vec<Verifier>,
    pub state: PathBuf,
    /// Certificate and key. None only on an address of the machine itself.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Witnesses until SIGTERM or SIGINT ends it.
///
/// # Errors
/// Where the settings cannot be used.
pub fn witness(settings: WitnessSettings) -> anyhow::Result<()> {
    super::logging::start();
    let tls = match &settings.tls {
        Some((cert, key)) => {
            Tls::On(tls::server_config(ReloadableCertificate::load(cert, key)?, None, &[b"http/1.1"])?)
        }
        None if settings.listen.ip().is_loopback() => Tls::Off,
        None => anyhow::bail!("{} can be reached from elsewhere, and so wants TLS", settings.listen),
    };
    let witness = Witness::open(settings.cosigner, settings.logs, &settings.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(witness, settings.listen, tls))
}

async fn run(witness: Witness, listen: SocketAddr, tls: Tls) -> anyhow::Result<()> {
    let listener = super::listeners::bind(listen).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let address = listener.local_addr().context("the port has no address")?;
    tracing::info!(%address, vkey = %witness.verifier(), "witnessing");
    let served = tokio::spawn(serve(Arc::new(witness), listener, tls, stop.clone()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    served.await.context("the port ended badly")
}

/// Alarms that wait to be recorded: each is raised only when something begins or ends.
const WAITING: usize = 64;
