//! `pgward witness`: a process of its own, that needs neither a configuration nor a database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::tlog::{Cosigner, Verifier};
use crate::tls::{self, ReloadableCertificate};
use crate::witness::{Tls, Witness, serve};

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
