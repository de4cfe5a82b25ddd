//! From a startup packet to a live session: parameters, authentication, grants, upstream, the first record.

mod entitled;
mod identified;
pub(super) mod prepared;
mod reach;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::Instant as Deadline;

use self::entitled::Entitled;
use self::prepared::Prepared;
use self::reach::Reached;
use super::admission::Seat;
use super::asking::Asker;
use super::bounds::{Bound, too_many_of_principal};
use super::gate::Gate;
use super::handshake::{ClientStream, refuse};
use super::judge::{Client, Judge};
use super::names::Names;
use super::parameters::{self, Requested};
use super::records::{Recorder, Who};
use super::registry::{Listed, NewEntry, SessionInfo};
use super::relay::Mode;
use super::roles::Holder;
use super::server::Server;
use crate::access::{Principal, SessionId};
use crate::audit::Event;
use crate::replicas::NoSeat;
use crate::wire::encode::ClientVisible;
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

/// Makes a session of an arrival, or tells it why not. Its seat is held to the end of the session.
pub async fn serve(server: &Arc<Server>, arrival: Box<Arrival>, mut seat: Seat, deadline: Deadline) {
    // Each part in a box of its own, which is gone when the next begins: an idle session holds what the last one needs.
    if let Some((prepared, arrival)) = Box::pin(open(server, arrival, &mut seat, deadline)).await {
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
    seat: &mut Seat,
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
            server.parts.metrics.count_bound(Bound::HandshakeTimeout);
            let why = "authentication took too long";
            server.refused_startup(arrival.address, &arrival.startup, why).await;
            return None;
        }
    };
    match opening.prepare(user.principal, &arrival, seat).await {
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

/// A login that comes to nothing: what the journal says, and what the client is told.
struct Denied {
    why: String,
    said: ClientVisible,
}

impl Denied {
    fn new(why: &str, said: ClientVisible) -> Self {
        Self { why: why.to_owned(), said }
    }
}

impl Opening {
    /// Everything that a session needs, or what the client is told.
    async fn prepare(
        &self,
        principal: Principal,
        arrival: &Arrival,
        seat: &mut Seat,
    ) -> Result<Prepared, ClientVisible> {
        match self.reach_what_is_granted(&principal, seat).await {
            Ok((session, entitled, reached)) => {
                let who = self.who(session, principal, &entitled, arrival);
                self.begin(who, entitled, reached, arrival).await
            }
            Err(Denied { why, said }) => {
                self.denied(arrival.address, &why, &said).await;
                Err(said)
            }
        }
    }

    /// What the session may do by, and a backend to do it on.
    async fn reach_what_is_granted(
        &self,
        principal: &Principal,
        seat: &mut Seat,
    ) -> Result<(SessionId, Entitled, Reached), Denied> {
        self.seat(principal, seat)?;
        let entitled = self.entitle(principal)?;
        let session = SessionId::generate();
        self.seat_everywhere(&session, principal, seat).await?;
        let holder = Holder { session: session.clone(), principal: principal.name.clone() };
        let reaching = self.reach_where_read(&entitled.settings, &holder, &entitled.live, entitled.is_read_only());
        let reached = reaching.await.map_err(|said| Denied { why: said.message.clone(), said })?;
        Ok((session, entitled, reached))
    }

    /// Counts the connection as the principal's: only now that it has shown to be that does it learn how many there are.
    fn seat(&self, principal: &Principal, seat: &mut Seat) -> Result<(), Denied> {
        if seat.log_in(&principal.name) {
            return Ok(());
        }
        self.server.parts.metrics.count_bound(Bound::ConnectionsPerPrincipal);
        let most = self.server.settings.bounds.max_connections_per_principal;
        Err(Denied::new("too many connections for this user", too_many_of_principal(&principal.name, most)))
    }

    /// The same over all replicas, where there are several.
    async fn seat_everywhere(&self, session: &SessionId, principal: &Principal, seat: &mut Seat) -> Result<(), Denied> {
        let Some(replicas) = &self.server.parts.replicas else { return Ok(()) };
        let most = self.server.settings.bounds.max_connections_per_principal;
        match replicas.take_seat(session, &principal.name, most).await {
            Ok(shared) => {
                seat.hold(shared);
                Ok(())
            }
            Err(NoSeat::Full) => {
                self.server.parts.metrics.count_bound(Bound::ConnectionsPerPrincipal);
                let said = too_many_of_principal(&principal.name, most);
                Err(Denied::new("too many connections for this user, on all replicas", said))
            }
            Err(NoSeat::Store(error)) => {
                tracing::warn!(%error, "no session: the store does not say whether there is a place");
                let said = ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, "grants cannot be checked now");
                Err(Denied::new("the store does not answer", said))
            }
        }
    }

    fn who(&self, session: SessionId, principal: Principal, entitled: &Entitled, arrival: &Arrival) -> Who {
        let policy = &entitled.settings.policy;
        let region_networks = self.server.parts.region_networks.load();
        Who {
            session,
            client_addr: arrival.address.to_string(),
            client_region: region_networks.region_of(arrival.address.ip()).cloned(),
            application_name: self.requested.application_name.clone(),
            database: policy.name.clone(),
            upstream_region: policy.region.clone(),
            principal,
        }
    }

    /// Lists the session, records that it begins, and makes what judges it.
    async fn begin(
        &self,
        who: Who,
        entitled: Entitled,
        reached: Reached,
        arrival: &Arrival,
    ) -> Result<Prepared, ClientVisible> {
        let (server, parts) = (&self.server, &self.server.parts);
        let listed = self.list(&who, &entitled, &reached, arrival)?;
        let mode = Mode::opened(entitled.is_read_only(), entitled.settings.upstream.is_pooled);
        let Entitled { settings: _, grants, set, live, now } = entitled;
        let Reached { database, search_paths, backend, role } = reached;
        let client = Client {
            region: who.client_region.clone(),
            grants: grants.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            ledger: Arc::clone(&server.ledger),
            uses: Arc::clone(&server.uses),
            search_paths: Arc::clone(&search_paths),
            role: role.clone(),
        };
        let asker = Asker { principal: who.principal.clone(), address: who.client_addr.clone() };
        let judge = Judge::new(Arc::clone(&database), &who.principal, client);
        let parameters = (server.settings.parameters, server.settings.hash_key.clone());
        let mut recorder = Recorder::new(server.turns.here(), Arc::clone(&parts.clock), who, parameters);
        let mut opened = recorder.entry(Event::SessionOpen);
        opened.detail = role.as_ref().map(|role| format!("logged in to the database as role {}", role.name()));
        recorder.require(opened).await.map_err(|error| {
            tracing::error!(%error, "no session: it cannot be recorded");
            ClientVisible::fatal(sqlstate::IO_ERROR, "the session cannot be recorded, so it may not begin")
        })?;
        let bounds = &server.settings.bounds;
        let gate = Gate::new(judge, recorder, Names::new(bounds.max_prepared_statements, bounds.max_portals));
        Ok(Prepared { listed, database, search_paths, backend, gate, grants, set, live, now, mode, role, asker })
    }

    /// Lists the session, and looks once more at what may have changed before it was listed.
    fn list(
        &self,
        who: &Who,
        entitled: &Entitled,
        reached: &Reached,
        arrival: &Arrival,
    ) -> Result<Listed, ClientVisible> {
        let parts = &self.server.parts;
        let info = SessionInfo {
            id: who.session.clone(),
            principal: who.principal.name.clone(),
            database: who.database.clone(),
            client_addr: who.client_addr.clone(),
            client_region: who.client_region.clone(),
            application_name: who.application_name.clone(),
            opened_at: entitled.now,
            grants: entitled.live.iter().map(|grant| grant.id.clone()).collect(),
            statement: None,
            rows: None,
            statements: 0,
        };
        let upstream = &reached.database.upstream;
        let target = upstream.cancel_target(&reached.backend);
        let certificates = arrival.stream.get_ref().1.peer_certificates().map(Box::<[_]>::from);
        let long_key = self.requested.has_long_key();
        let listed = parts
            .registry
            .enter(NewEntry { info, target, long_key, certificates: certificates.clone() })
            .map_err(|_| ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, "no cancel key can be made now"))?;
        // What was listed before a change is ended by whoever made it; what comes after has to look.
        if upstream.places().current() != Some(reached.backend.at) {
            return Err(ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, MOVES));
        }
        if certificates.is_some_and(|chain| !parts.tls.load().accepts(&chain)) {
            return Err(ClientVisible::fatal(
                sqlstate::INVALID_AUTHORIZATION,
                "the client certificate is not accepted",
            ));
        }
        Ok(listed)
    }

    async fn denied(&self, address: SocketAddr, why: &str, said: &ClientVisible) {
        let record = self.server.login_denied(address, &self.requested, why, said.sqlstate);
        if let Err(error) = self.server.parts.journal.record(record).await {
            tracing::error!(%error, "a denied login could not be recorded");
        }
    }
}
