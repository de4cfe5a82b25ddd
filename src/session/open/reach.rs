//! The leg to the database: its catalogs as they are now, the login that the session is to have, a backend of its own.

use std::sync::Arc;

use super::{MOVES, Opening};
use crate::access::Grant;
use crate::session::judge::Database;
use crate::session::replies::check_login;
use crate::session::roles::{Holder, RoleError, SessionRole};
use crate::session::settings::DatabaseSettings;
use crate::session::upstream::{Backend, Upstream, UpstreamError};
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

/// The database's shared parts, a backend of the session's own, and whose it is.
pub(super) struct Reached {
    pub database: Arc<Database>,
    pub search_paths: Arc<[String]>,
    pub backend: Backend,
    pub role: Option<Arc<SessionRole>>,
}

impl Opening {
    /// The database's shared parts, and a backend on the server that the catalogs are read of: once more where the database
    /// moves to another of its servers meanwhile.
    pub(super) async fn reach_where_read(
        &self,
        settings: &Arc<DatabaseSettings>,
        holder: &Holder,
        live: &[Arc<Grant>],
        read_only: bool,
    ) -> Result<Reached, ClientVisible> {
        for _ in 0..2 {
            if let Some(reached) = self.reach(settings, holder, live, read_only).await? {
                return Ok(reached);
            }
        }
        Err(ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, MOVES))
    }

    /// `None` where the backend would be on another server than the catalogs were read of.
    async fn reach(
        &self,
        settings: &Arc<DatabaseSettings>,
        holder: &Holder,
        live: &[Arc<Grant>],
        read_only: bool,
    ) -> Result<Option<Reached>, ClientVisible> {
        let server = &self.server;
        let name = &self.requested.database;
        let unreachable = || {
            server.parts.metrics.upstream_failures.inc();
            ClientVisible::fatal(sqlstate::UNABLE_TO_CONNECT, format!("the database \"{name}\" cannot be reached"))
        };
        let database = server.database(settings).map_err(|error| {
            tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
            unreachable()
        })?;
        // As they are now, not as of a second ago: a session begins with what was changed before it.
        let within = tokio::time::timeout(server.settings.connect_timeout, database.catalogs.recheck()).await;
        let snapshot = within.ok().and_then(Result::ok).ok_or_else(unreachable)?;
        let read_at = database.upstream.places().current();
        let pinned = snapshot.search_path.as_str();
        if self.requested.default_path && pinned.replace(' ', "") != "\"$user\",public" {
            let said =
                ClientVisible::fatal(sqlstate::FEATURE_NOT_SUPPORTED, "startup parameter \"search_path\" is refused");
            return Err(said.detail(format!("It is pinned to {pinned}.")));
        }
        let mut parameters = vec![
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("search_path", pinned),
            ("application_name", self.requested.application_name.as_str()),
        ];
        parameters.extend(self.requested.settings.iter().map(|(name, value)| (*name, value.as_str())));
        // What may write is left to what the database has as its default.
        parameters.extend(read_only.then_some(("default_transaction_read_only", "on")));
        let (upstream, role) = self.log_in_as(&database, holder, live).await?;
        let connected = upstream.connect(&parameters, server.settings.connect_timeout).await;
        let backend = connected.map_err(|error| {
            tracing::error!(database = %name, %error, "the upstream cannot be reached");
            told(&error).unwrap_or_else(unreachable)
        })?;
        if read_at != Some(backend.at) {
            tracing::warn!(database = %name, "the database moves to another of its servers");
            return Ok(None);
        }
        check_login(&backend.parameters).map_err(|violation| {
            tracing::error!(database = %name, %violation, "the upstream does not keep to what pgward reads texts by");
            unreachable()
        })?;
        Ok(Some(Reached { search_paths: snapshot.search_paths(), database, backend, role }))
    }

    /// The login that the session's backend belongs to: the upstream account, or a role made for this session.
    async fn log_in_as(
        &self,
        database: &Arc<Database>,
        holder: &Holder,
        live: &[Arc<Grant>],
    ) -> Result<(Upstream, Option<Arc<SessionRole>>), ClientVisible> {
        let Some(roles) = &database.roles else { return Ok((database.upstream.clone(), None)) };
        let name = &self.requested.database;
        let opening = roles.open(holder, live, &database.catalogs);
        let opened = tokio::time::timeout(self.server.settings.connect_timeout, opening).await;
        match opened.unwrap_or(Err(RoleError::Timeout)) {
            Ok((role, password)) => Ok((database.upstream.as_user(role.name().to_owned(), password), Some(role))),
            Err(error) => {
                self.server.parts.metrics.upstream_failures.inc();
                tracing::error!(database = %name, session = %holder.session, %error, "no role can be made for a session");
                let text = format!("no role could be made for this session on \"{name}\"");
                Err(ClientVisible::fatal(sqlstate::UNABLE_TO_CONNECT, text)
                    .detail("This database gives each session a role of its own. The cause is in pgward's log.")
                    .hint("Try again; if it stays so, tell those who run pgward."))
            }
        }
    }
}

/// What of an upstream's refusal a client may know: that its own parameters are wrong, or that the place is full.
fn told(error: &UpstreamError) -> Option<ClientVisible> {
    let UpstreamError::Refused { sqlstate, .. } = error else { return None };
    match sqlstate.as_str() {
        "53300" => Some(ClientVisible::fatal(sqlstate::TOO_MANY_CONNECTIONS, "the database has too many connections")),
        "22023" => Some(ClientVisible::fatal("22023", "a startup parameter has a value that the database refuses")),
        _ => None,
    }
}
