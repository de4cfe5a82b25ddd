//! The composition root: builds every part from the configuration, hands each what it needs, reloads on SIGHUP and drains
//! on SIGTERM. The only place that knows all parts.

mod analyst;
mod asking;
mod explainer;
mod lanes;
mod lapses;
mod listeners;
mod logging;
mod membership;
mod notifications;
mod parts;
mod permissions;
mod provider;
mod reload;
mod retention;
mod settings;
mod signing;
mod sinks;
mod store;
mod unusual;
mod upkeep;
mod usage;
mod witness;

use std::path::Path;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::lanes::Lanes;
use self::listeners::Listeners;
use self::parts::Parts;
pub use self::signing::{SigningKey, signing_key};
pub use self::store::{copy as copy_store, migrate as migrate_store};
pub use self::witness::{WitnessSettings, witness};
use crate::config::Config;
use crate::sinks::Sinks;

/// Runs the proxy and the control port until SIGTERM or SIGINT ends them.
///
/// # Errors
/// Where the configuration or a part of it cannot be used.
pub fn serve(path: &Path) -> anyhow::Result<()> {
    logging::start();
    runtime()?.block_on(run(path))
}

/// Validates the configuration and everything that it names, and reaches each upstream. Answers what is no error and still
/// worth knowing.
///
/// # Errors
/// With every problem that was found.
pub fn check(path: &Path) -> anyhow::Result<Vec<String>> {
    let config = load(path)?;
    settings::server_tls(&config)?;
    settings::control_tls(&config)?;
    settings::session_directory(&config)?;
    settings::control_directory(&config, &std::sync::Arc::default())?;
    Sinks::check(&sinks::settings(&config)?)?;
    Sinks::check(&notifications::settings(&config)?)?;
    runtime()?.block_on(async {
        store::check(&config.store.location).await?;
        let advice = settings::reach_upstreams(&config).await?;
        retention::check(&config).await?;
        Ok(advice)
    })
}

fn load(path: &Path) -> anyhow::Result<Config> {
    let config = Config::load(path)?;
    config.check_files()?;
    Ok(config)
}

/// What is not the data path's: the control port, polls, sinks. Two threads, so that one that waits for a disk does not keep the
/// other from looking at the store.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_stack_size(lanes::STACK);
    builder.enable_all().build().context("the runtime could not be started")
}

async fn run(path: &Path) -> anyhow::Result<()> {
    // First: a signal that nobody listens for ends the process.
    let mut signals = Signals::listen()?;
    let config = load(path)?;
    let listeners = Listeners::open(config.proxy.listen, config.control.listen).await?;
    let (proxy_address, control_address) = (listeners.proxy.local_addr()?, listeners.control.local_addr()?);
    let Listeners { proxy: proxy_listener, control: control_listener } = listeners;
    let witnesses = config.audit.witnesses.clone();
    let lanes = Lanes::start(config.proxy.workers.unwrap_or_else(lanes::default_count))?;
    let (parts, control) = Parts::build(config, lanes.handles()).await?;
    let keeper = witness::keeper(witnesses, &parts)?;
    let unusual = parts.unusual();
    unusual.restore().await.context("the journal does not say who is held")?;
    let (stop, stop_proxy) = (CancellationToken::new(), CancellationToken::new());

    let grants = tokio::spawn(std::sync::Arc::clone(&parts.grants).run(parts.grant_poll, stop.clone()));
    let membership = membership::Membership::begin(&parts);
    let purges = tokio::spawn(upkeep::purge(
        std::sync::Arc::clone(&parts.journal),
        std::sync::Arc::clone(&parts.clock),
        stop.clone(),
    ));
    let retention = tokio::spawn(std::sync::Arc::clone(&parts.retention).serve(stop.clone()));
    let permissions = tokio::spawn(std::sync::Arc::clone(&parts.standing).keep_daily(stop.clone()));
    let lapses = tokio::spawn(parts.lapses().run(stop.clone()));
    let unusual = tokio::spawn(unusual.run(stop.clone()));
    let warm_up = tokio::spawn(std::sync::Arc::clone(&parts.explainer).warm_up(stop.clone()));
    let witnessed = tokio::spawn(keeper.run(stop.clone()));
    let control = {
        let stop = stop.clone();
        tokio::spawn(async move { control.serve(control_listener, stop).await })
    };
    let proxy = {
        let (server, stop) = (std::sync::Arc::clone(&parts.session), stop_proxy.clone());
        tokio::spawn(async move { server.run(proxy_listener, stop).await })
    };
    tracing::info!(proxy = %proxy_address, control = %control_address, "ready");

    signals.until_end(&parts).await;
    parts.leaving.cancel();
    if !parts.linger.is_zero() {
        tracing::info!("about to stop: not ready any more");
        signals.linger(parts.linger).await;
    }
    tracing::info!("stopping: no new connections, live ones end their transactions");
    stop_proxy.cancel();
    // The rest goes on for as long as there are sessions: their grants may end meanwhile.
    if let Err(error) = proxy.await {
        tracing::error!(%error, "the proxy ended badly");
    }
    stop.cancel();
    for part in [control, grants, purges, retention, permissions, lapses, unusual, warm_up, witnessed] {
        if let Err(error) = part.await {
            tracing::error!(%error, "a part ended badly");
        }
    }
    let closed = parts.journal.close().await;
    // Last of all: until then this replica holds what it holds.
    membership.end().await;
    // After the last record, so that they may take it too.
    tokio::join!(parts.sinks.stop(), parts.notifications.stop());
    closed?;
    tracing::info!("stopped");
    Ok(())
}

/// How often is looked whether another replica works by another configuration.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// The signals that a service answers.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits, unless it is asked again.
    async fn linger(&mut self, pause: std::time::Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads at each SIGHUP; returns at SIGTERM or SIGINT.
    async fn until_end(&mut self, parts: &Parts) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => parts.reload().await,
                _ = looks.tick() => parts.follow_others().await,
            }
        }
    }
}
