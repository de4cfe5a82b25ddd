//! The upstreams that sessions share, each made when it is first asked for.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::Server;
use crate::access::Grant;
use crate::catalog::Snapshot;
use crate::policy::Exported;
use crate::session::analysis::AnalysisCache;
use crate::session::catalogs::{CatalogUnavailable, Keeper};
use crate::session::estimates::{self, Estimated};
use crate::session::judge::Database;
use crate::session::judge::second::{self, Explained};
use crate::session::opinions::Opinions;
use crate::session::places::Unsuited;
use crate::session::registry::Registry;
use crate::session::roles::Provision;
use crate::session::routes;
use crate::session::settings::{DatabaseSettings, SecondOpinion};
use crate::session::side::{self, SideClient, SideError};
use crate::session::tls::TlsError;
use crate::session::upstream::Upstream;
use crate::sql::Limits;
use crate::store::StoreError;

/// For a connection of pgward's own to be there.
const OWN_CONNECTION: Duration = Duration::from_secs(10);

impl Server {
    /// Has the databases that make roles remove what an earlier process left there, before anybody asks for a session.
    pub(super) fn begin_provisions(&self) {
        for (name, settings) in self.parts.databases.load().iter().filter(|(_, settings)| settings.roles.is_some()) {
            if let Err(error) = self.database(settings) {
                tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
            }
        }
    }

    pub(super) async fn end_provisions(&self) {
        let databases: Vec<Arc<Database>> = {
            let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
            databases.drain().map(|(_, database)| database).collect()
        };
        let roles = databases.iter().filter_map(|database| database.roles.clone());
        let mut closing: tokio::task::JoinSet<()> = roles.map(|roles| async move { roles.close().await }).collect();
        while closing.join_next().await.is_some() {}
    }

    /// The second opinion on the statements of a text; `None` where the database is configured without one.
    pub async fn second_opinion(&self, name: &str, text: &str, snapshot: &Snapshot) -> Option<Vec<Explained>> {
        let settings = routes::find(&self.parts.databases.load(), name)?;
        let database = self.database(&settings).ok()?;
        if database.opinions.mode == SecondOpinion::Off {
            return None;
        }
        Some(second::explain(&database, text, snapshot).await)
    }

    /// What the upstream's planner expects of one statement that policy allows.
    ///
    /// # Errors
    /// Why there is no estimate, in words.
    pub async fn estimate(&self, name: &str, text: &str, search_path: &str) -> Result<Estimated, String> {
        let settings = routes::find(&self.parts.databases.load(), name);
        let database = settings.and_then(|settings| self.database(&settings).ok());
        let database = database.ok_or_else(|| "the database cannot be asked".to_owned())?;
        estimates::estimate(&database.upstream, text, search_path).await
    }

    /// A connection of pgward's own to an upstream, beside its sessions'.
    ///
    /// # Errors
    /// Where there is no such database, or it cannot be reached.
    pub async fn own_connection(&self, name: &str, application_name: &'static str) -> Result<SideClient, SideError> {
        let settings = routes::find(&self.parts.databases.load(), name);
        let database = settings.and_then(|settings| self.database(&settings).ok()).ok_or(Unsuited::Nowhere)?;
        side::connect(&database.upstream, application_name, OWN_CONNECTION).await
    }

    /// The catalogs of a database as they are now; `None` where there is no such database.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn catalogs(&self, name: &str) -> Option<Result<Arc<Snapshot>, CatalogUnavailable>> {
        let settings = routes::find(&self.parts.databases.load(), name)?;
        match self.database(&settings) {
            Ok(database) => Some(database.catalogs.recheck().await),
            Err(error) => {
                tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
                Some(Err(CatalogUnavailable))
            }
        }
    }

    /// What has left its region under these grants.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn exported(&self, grants: &[Arc<Grant>]) -> Result<Arc<Exported>, StoreError> {
        self.ledger.exported(grants).await
    }

    /// What the sessions of an upstream share; made anew where its settings are no longer the same.
    pub(in crate::session) fn database(&self, settings: &Arc<DatabaseSettings>) -> Result<Arc<Database>, TlsError> {
        let name = settings.route.as_str();
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = databases.get(name).filter(|known| Arc::ptr_eq(&known.settings, settings)) {
            return Ok(Arc::clone(known));
        }
        let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
        let metrics = Arc::clone(&self.parts.metrics);
        let roles = settings.roles.map(|roles| {
            let (grants, clock) = (Arc::clone(&self.parts.grants), Arc::clone(&self.parts.clock));
            Provision::start(upstream.clone(), roles, settings.policy.hidden.clone(), grants, clock)
        });
        let analyses = AnalysisCache::new(Limits::default(), self.settings.analysis_timeout);
        let analyses = match settings.second_opinion {
            SecondOpinion::Off => analyses,
            // PostgreSQL is asked about each text.
            SecondOpinion::On | SecondOpinion::Required => analyses.letter_by_letter(),
        };
        let database = Arc::new(Database {
            settings: Arc::clone(settings),
            roles,
            catalogs: Keeper::new(upstream.clone(), self.settings.catalog_max_age, Arc::clone(&metrics)),
            opinions: Opinions::new(settings.second_opinion, upstream.clone(), Arc::clone(&metrics)),
            analyses,
            upstream,
        });
        if database.upstream.places().are_several() {
            tokio::spawn(follow(Arc::clone(&self.parts.registry), Arc::downgrade(&database)));
        }
        databases.insert(name.to_owned(), Arc::clone(&database));
        Ok(database)
    }
}

/// Ends the sessions that are on a server that is no longer in use, whenever another one is.
async fn follow(registry: Arc<Registry>, database: Weak<Database>) {
    let Some(places) = database.upgrade().map(|database| Arc::clone(database.upstream.places())) else { return };
    let mut changes = places.subscribe();
    let places = Arc::downgrade(&places);
    while changes.changed().await.is_ok() {
        let (Some(places), Some(current)) = (places.upgrade(), *changes.borrow_and_update()) else { return };
        // What was read of the other server says nothing of this one.
        if let Some(database) = database.upgrade() {
            database.catalogs.forget_check();
        }
        registry.end_elsewhere(&places, current);
    }
}
