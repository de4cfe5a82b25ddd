//! Both sides of witnessing: `pgward witness`, a process of its own that needs neither a configuration nor a database; and
//! having our own journal witnessed while it is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::tlog::{CheckpointFile, Cosigner, Verifier};
use crate::tls::{self, ReloadableCertificate};
use crate::witness::{Alarm, Keeper, Place, Tls, Witness, serve};

/// Shows the checkpoints of the journal in `dir` to its witnesses, where it has any.
pub fn keeper(
    dir: &Path,
    places: Vec<Place>,
    parts: &Parts,
) -> anyhow::Result<Keeper<impl FnMut(Alarm) + Send + use<>>> {
    let metrics = parts.witness_metrics.clone();
    // The keeper has logged it and counted it.
    let alarm = |_: Alarm| {};
    Ok(Keeper::new(dir, CheckpointFile::of(dir), places, metrics, alarm)?)
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
    let listener = super::bind(listen).await?;
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
