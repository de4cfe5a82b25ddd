//! SIGHUP: the configuration and the certificates are read again. If anything is wrong everything stays as it was, and the log
//! and the journal say so.

use std::sync::PoisonError;

use super::notifications::{self, StoredRequests};
use super::parts::Parts;
use super::{load, retention, settings, sinks};
use crate::audit::{Event, Record};
use crate::config::{self, Config};
use crate::sinks::{Prepared, Sinks};

impl Parts {
    /// Reads the configuration again and swaps what may change while the process runs.
    pub async fn reload(&self) {
        let outcome = match self.read_again() {
            Ok((config, sinks, notifications)) => {
                self.sinks.apply(sinks).await;
                self.notifications.apply(notifications).await;
                Ok(config)
            }
            Err(error) => Err(error),
        };
        let (event, detail) = match &outcome {
            Ok(config) => (Event::ConfigReloaded, format!("version {:016x}", config.version)),
            Err(error) => (Event::ConfigRefused, format!("the old settings stay: {error:#}")),
        };
        if let (Ok(config), Some(replicas)) = (&outcome, &self.replicas) {
            replicas.set_policy(&settings::policy_name(config));
        }
        match &outcome {
            Ok(_) => tracing::info!(%detail, "configuration reloaded"),
            Err(_) => tracing::error!(%detail, "configuration refused"),
        }
        let mut record = Record::new(self.clock.now(), event);
        record.detail = Some(detail);
        if let Err(error) = self.journal.record(record).await {
            tracing::error!(%error, "the reload was not recorded");
        }
    }

    /// Reads the configuration again where another replica works by one that this one has before it, too: a change reaches all of
    /// them, whichever is told of it first.
    pub async fn follow_others(&self) {
        let Some(replicas) = &self.replicas else { return };
        let mine = replicas.policy();
        if replicas.policies().iter().all(|theirs| *theirs == mine) {
            return;
        }
        let path = self.config_path.clone();
        let here = tokio::task::spawn_blocking(move || config::version_at(&path)).await;
        let Ok(Ok(here)) = here else { return };
        let here = settings::name_of_policy(here);
        // One that was refused is tried again by whoever says so, not by itself.
        if here != mine && replicas.others_work_by(&here) {
            let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner).replace(here.clone());
            if tried.as_ref() == Some(&here) {
                return;
            }
            tracing::info!(version = here, "another replica works by this configuration: it is read here, too");
            self.reload().await;
        }
    }

    /// All or nothing: everything that can fail comes before the first swap.
    fn read_again(&self) -> anyhow::Result<(Config, Prepared, Prepared)> {
        let config = load(&self.config_path)?;
        self.refuse_changes_that_need_a_restart(&config)?;
        let server_tls = settings::server_tls(&config)?;
        let mut databases = settings::databases(&config)?;
        settings::adopt(&mut databases, &self.databases.load());
        let users = settings::session_directory(&config)?;
        let control = settings::control_directory(&config, &self.clock)?;
        let sinks = Sinks::prepare(sinks::settings(&config)?, &self.journal)?;
        let requests = StoredRequests::shared(&self.store);
        let notifications = Sinks::prepare_with(notifications::settings(&config)?, &self.journal, &requests)?;
        self.control_certificate.reload()?;
        self.tls.store(server_tls.into());
        self.databases.store(databases.into());
        self.users.store(users.into());
        self.networks.store(config.networks.clone().into());
        self.balancers.store(settings::balancers(&config).into());
        self.directory.store(control.into());
        self.policies.store(retention::policies(&config).into());
        self.session.end_unaccepted();
        Ok((config, sinks, notifications))
    }

    fn refuse_changes_that_need_a_restart(&self, config: &Config) -> anyhow::Result<()> {
        let fixed = settings::Fixed::of(config);
        match self.fixed.difference(&fixed) {
            None => Ok(()),
            Some(key) => {
                anyhow::bail!("{}: {key} cannot change while pgward runs; restart it", self.config_path.display())
            }
        }
    }
}
