//! From a startup packet to a live session: parameters, authentication, grants, upstream, the first record.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant as Deadline;

use super::authenticate::{self, Attempt, AuthError, Talk};
use super::ends::{self, Ends, Warnings};
use super::gate::Gate;
use super::handshake::{ClientStream, refuse};
use super::judge::{Client, Database, Judge};
use super::parameters::{self, Requested};
use super::peer::{Peer, Room};
use super::records::{Recorder, Who};
use super::registry::{CancelKey, Listed, NewEntry, SessionInfo};
use super::relay::{Mode, Owed, Relay};
use super::replies::{Replies, check_login};
use super::roles::{Holder, RoleError, SessionRole};
use super::routes;
use super::server::Server;
use super::settings::{DatabaseSettings, User};
use super::throttle::Network;
use super::upstream::{Backend, Upstream, UpstreamError};
use crate::access::{Grant, Principal, Scope, SessionId};
use crate::audit::Event;
use crate::store::GrantSet;
use crate::wire::encode::{self, ClientVisible};
use crate::wire::sqlstate;
use crate::wire::startup::Startup;

const MOVES: &str = "the database moves to another server; try again";

/// A client that has said who it wants to be.
#[derive(Debug)]
pub struct Arrival {
    pub stream: Box<ClientStream>,
    pub rest: BytesMut,
    pub startup: Startup,
    pub address: SocketAddr,
    pub binding: Option<Vec<u8>>,
    /// What the client is told before anything else, in one packet with it.
    pub untold: BytesMut,
}

impl Arrival {
    #[must_use]
    pub fn new(
        stream: Box<ClientStream>,
        rest: BytesMut,
        startup: Startup,
        address: SocketAddr,
        binding: Option<Vec<u8>>,
    ) -> Self {
        Self { stream, rest, startup, address, binding, untold: BytesMut::new() }
    }

    /// Tells the client why there is no session, behind what it has not been told yet.
    async fn refuse(&mut self, said: &ClientVisible) {
        refuse(&mut self.stream, &self.untold, said).await;
    }
}

/// Makes a session of an arrival, or tells it why not.
pub async fn serve(server: &Arc<Server>, arrival: Box<Arrival>, deadline: Deadline) {
    // Each part in a box of its own, which is gone when the next begins: an idle session holds what the last one needs.
    if let Some((prepared, arrival)) = Box::pin(open(server, arrival, deadline)).await {
        let (relay, ends, listed) = prepared.into_relay(server, arrival);
        server.parts.metrics.sessions_open.inc();
        relay.run(ends).await;
        server.parts.metrics.sessions_open.dec();
        drop(listed);
    }
}

/// A session that only needs to be run; `None` where the client has been told why there is none.
async fn open(
    server: &Arc<Server>,
    mut arrival: Box<Arrival>,
    deadline: Deadline,
) -> Option<(Box<Prepared>, Box<Arrival>)> {
    let requested = match parameters::read(&arrival.startup) {
        Ok(requested) => requested,
        Err(error) => {
            let why = error.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let why = format!("{}{why}", error.message);
            server.refused_startup(arrival.address, &arrival.startup, &why).await;
            arrival.refuse(&error).await;
            return None;
        }
    };
    let opening = Opening { server: Arc::clone(server), requested };
    let user = match tokio::time::timeout_at(deadline, opening.authenticate(&mut arrival)).await {
        Ok(Ok(user)) => user,
        Ok(Err(None)) => return None,
        Ok(Err(Some(said))) => {
            arrival.refuse(&said).await;
            return None;
        }
        Err(_) => {
            let why = "authentication took too long";
            server.refused_startup(arrival.address, &arrival.startup, why).await;
            return None;
        }
    };
    match opening.prepare(user, &arrival).await {
        Ok(prepared) => Some((Box::new(prepared), arrival)),
        Err(said) => {
            arrival.refuse(&said).await;
            None
        }
    }
}

/// One session in the making.
struct Opening {
    server: Arc<Server>,
    requested: Requested,
}

impl Opening {
    /// Who it is; otherwise what it is told, if it is told anything.
    async fn authenticate(&self, arrival: &mut Arrival) -> Result<User, Option<ClientVisible>> {
        let server = &self.server;
        let network = Network::of(arrival.address.ip());
        let attempted = (network, self.requested.user.clone());
        let now = Instant::now();
        if server.failed_logins.is_over(&network, now) || server.failed_logins_of_user.is_over(&attempted, now) {
            server.parts.metrics.auth_failures.inc();
            let text = "too many failed logins from this address; try again in a minute";
            let record = server.login_denied(arrival.address, &self.requested, text, sqlstate::TOO_MANY_CONNECTIONS);
            server.record_refusal(arrival.address.ip(), record, "too many failed logins from this address").await;
            return Err(Some(ClientVisible::fatal(sqlstate::TOO_MANY_CONNECTIONS, text)));
        }
        arrival.untold.extend_from_slice(&self.requested.negotiation());
        let attempt = Attempt {
            user: &self.requested.user,
            database: &self.requested.database,
            binding: arrival.binding.as_deref(),
        };
        let talk = Talk { stream: &mut arrival.stream, read: &mut arrival.rest, untold: &mut arrival.untold };
        let result = authenticate::authenticate(talk, &attempt, &server.settings, &server.parts);
        match result.await {
            Ok(user) => Ok(user),
            Err(AuthError::Refused { said, why }) => {
                server.parts.metrics.auth_failures.inc();
                server.failed_logins.count(network, Instant::now());
                server.failed_logins_of_user.count(attempted, Instant::now());
                self.denied(arrival.address, why, &said).await;
                Err(Some(said))
            }
            Err(AuthError::Asked { said }) => Err(Some(said)),
            Err(AuthError::Broken(said)) => {
                let why = said.as_ref().map(|said| format!(": {}", said.message)).unwrap_or_default();
                let why = format!("authentication was broken off{why}");
                server.refused_startup(arrival.address, &arrival.startup, &why).await;
                Err(said)
            }
            Err(AuthError::Unavailable) => {
                let text = "logins cannot be checked now";
                let said = ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, text);
                self.denied(arrival.address, text, &said).await;
                Err(Some(said))
            }
        }
    }

    /// Everything that a session needs, or what the client is told.
    async fn prepare(&self, user: User, arrival: &Arrival) -> Result<Prepared, ClientVisible> {
        let server = &self.server;
        let parts = &server.parts;
        let principal = user.principal;
        let databases = parts.databases.load_full();
        let Some(settings) = routes::find(&databases, &self.requested.database) else {
            let said = routes::unknown(&databases, &self.requested.database);
            self.denied(arrival.address, "unknown database", &said).await;
            return Err(said);
        };
        let grants = parts.grants.subscribe(&principal.name, &settings.policy.name);
        if !server.pulse.is_store_fresh() {
            let said = ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, "grants cannot be checked now");
            self.denied(arrival.address, "the store does not answer", &said).await;
            return Err(said);
        }
        let set = Arc::clone(&grants.borrow());
        let now = parts.clock.now();
        let live = ends::live(&set, now);
        if live.is_empty() {
            let said = no_grant(&principal, &settings.policy.name, &settings.scopes);
            self.denied(arrival.address, "no live grant", &said).await;
            return Err(said);
        }
        if let Err(said) = routes::check(&databases, &settings, &self.requested.database, &principal, &live) {
            self.denied(arrival.address, "no live grant for the upstream's region", &said).await;
            return Err(said);
        }
        let read_only = live.iter().all(|grant| grant.scope.is_read_only());
        let session = SessionId::generate();
        let holder = Holder { session: session.clone(), principal: principal.name.clone() };
        let Reached { database, search_paths, backend, role } =
            match self.reach_where_read(&settings, &holder, &live, read_only).await {
                Ok(reached) => reached,
                Err(said) => {
                    self.denied(arrival.address, &said.message, &said).await;
                    return Err(said);
                }
            };
        let who = Who {
            session,
            client_addr: arrival.address.to_string(),
            client_region: parts.region_networks.load().region_of(arrival.address.ip()).cloned(),
            application_name: self.requested.application_name.clone(),
            database: settings.policy.name.clone(),
            upstream_region: settings.policy.region.clone(),
            principal,
        };
        let info = SessionInfo {
            id: who.session.clone(),
            principal: who.principal.name.clone(),
            database: who.database.clone(),
            client_addr: who.client_addr.clone(),
            client_region: who.client_region.clone(),
            application_name: who.application_name.clone(),
            opened_at: now,
            grants: live.iter().map(|grant| grant.id.clone()).collect(),
            statement: None,
            statements: 0,
        };
        let target = database.upstream.cancel_target(&backend);
        let certificates = arrival.stream.get_ref().1.peer_certificates().map(Box::<[_]>::from);
        let listed = parts
            .registry
            .enter(NewEntry {
                info,
                target,
                long_key: self.requested.has_long_key(),
                certificates: certificates.clone(),
            })
            .map_err(|_| ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, "no cancel key can be made now"))?;
        // What was listed before a change is ended by whoever made it; what comes after has to look.
        if database.upstream.places().current() != Some(backend.at) {
            return Err(ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, MOVES));
        }
        if certificates.is_some_and(|chain| !parts.tls.load().accepts(&chain)) {
            return Err(ClientVisible::fatal(
                sqlstate::INVALID_AUTHORIZATION,
                "the client certificate is not accepted",
            ));
        }
        let client = Client {
            region: who.client_region.clone(),
            grants: grants.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            ledger: Arc::clone(&server.ledger),
            search_paths: Arc::clone(&search_paths),
            role: role.clone(),
        };
        let judge = Judge::new(Arc::clone(&database), &who.principal, client);
        let parameters = (server.settings.parameters, server.settings.hash_key.clone());
        let mut recorder = Recorder::new(server.turns.here(), Arc::clone(&parts.clock), who, parameters);
        let mut opened = recorder.entry(Event::SessionOpen);
        opened.detail = role.as_ref().map(|role| format!("logged in to the database as role {}", role.name()));
        recorder.require(opened).await.map_err(|error| {
            tracing::error!(%error, "no session: it cannot be recorded");
            ClientVisible::fatal(sqlstate::IO_ERROR, "the session cannot be recorded, so it may not begin")
        })?;
        let gate = Gate::new(judge, recorder);
        Ok(Prepared {
            listed,
            database,
            search_paths,
            backend,
            gate,
            grants,
            set,
            live,
            now,
            mode: Mode::opened(read_only, settings.upstream.is_pooled),
            role,
        })
    }

    /// The database's shared parts, and a backend on the server that the catalogs are read of: once more where the database
    /// moves to another of its servers meanwhile.
    async fn reach_where_read(
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

    async fn denied(&self, address: SocketAddr, why: &str, said: &ClientVisible) {
        let record = self.server.login_denied(address, &self.requested, why, said.sqlstate);
        if let Err(error) = self.server.parts.journal.record(record).await {
            tracing::error!(%error, "a denied login could not be recorded");
        }
    }
}

/// The database's shared parts, a backend of the session's own, and whose it is.
struct Reached {
    database: Arc<Database>,
    search_paths: Arc<[String]>,
    backend: Backend,
    role: Option<Arc<SessionRole>>,
}

/// A session that only needs to be run.
struct Prepared {
    listed: Listed,
    database: Arc<Database>,
    search_paths: Arc<[String]>,
    backend: Backend,
    gate: Gate,
    grants: watch::Receiver<Arc<GrantSet>>,
    set: Arc<GrantSet>,
    live: Vec<Arc<Grant>>,
    now: Timestamp,
    mode: Mode,
    role: Option<Arc<SessionRole>>,
}

impl Prepared {
    /// The session, when it must end, and what keeps it listed meanwhile.
    #[expect(clippy::boxed_local, reason = "moved out of by the caller, its box would stay as long as the session")]
    fn into_relay(self: Box<Self>, server: &Arc<Server>, arrival: Box<Arrival>) -> (Box<Relay>, Ends, Listed) {
        let Self { listed, database, search_paths, backend, gate, grants, set, live, now, mode, role } = *self;
        let parts = &server.parts;
        let entry = Arc::clone(listed.entry());
        let ends = Ends {
            grants: grants.clone(),
            pulse: Arc::clone(&server.pulse),
            found: server.pulse.subscribe(),
            clock: Arc::clone(&parts.clock),
            entry: Arc::clone(&entry),
            shutdown: server.stop.clone(),
            last_live: live,
        };
        let mut client = Peer::new(arrival.stream, arrival.rest, Room::OF_CLIENT);
        client.push(greeting(arrival.untold, &backend.parameters, entry.key()));
        let relay = Box::new(Relay {
            client,
            upstream: Peer::new(backend.transport, backend.rest, Room::OF_UPSTREAM),
            gate,
            replies: Replies::new(server.settings.max_message, !mode.writable, search_paths),
            database,
            warnings: Warnings::new(&set, now),
            grants,
            found: server.pulse.subscribe(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            tasks: server.tasks.clone(),
            stopping: server.stopping.clone(),
            max_message: server.settings.max_message,
            copy_left: 0,
            copy_passes: false,
            owed: Owed::default(),
            finished: VecDeque::new(),
            cancelling: None,
            is_draining: false,
            has_left: false,
            leaving: false,
            mode,
            entry,
            role,
            beside: 0,
        });
        (relay, ends, listed)
    }
}

/// The words with which a session begins for the client, behind those that it has not been told yet.
#[must_use]
pub fn greeting(mut bytes: BytesMut, parameters: &[(String, String)], key: (u32, CancelKey)) -> Bytes {
    bytes.extend_from_slice(&encode::authentication_ok());
    for (name, value) in parameters {
        bytes.extend_from_slice(&encode::parameter_status(name, value));
    }
    let (process, secret) = key;
    bytes.extend_from_slice(&encode::backend_key_data(process, secret.as_slice()));
    bytes.extend_from_slice(&encode::ready_for_query_idle());
    bytes.freeze()
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

fn no_grant(principal: &Principal, database: &str, scopes: &[Arc<Scope>]) -> ClientVisible {
    let text = format!("no live grant for \"{}\" on \"{database}\"", principal.name);
    let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text);
    match scopes.iter().find(|scope| scope.may_request(principal)) {
        Some(scope) => said.hint(format!("pgward request {} --for 30m --reason '…'", scope.name)),
        None => said.detail("No scope of this database may be requested by you."),
    }
}
