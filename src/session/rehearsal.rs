//! A session without its logins: gate, replies, relay and records as they always are, over streams that the caller holds
//! both ends of. For the fuzz targets; nothing of pgward itself calls it.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::DuplexStream;
use tokio::net::UnixStream;

use super::asking::Asker;
use super::ends;
use super::gate::Gate;
use super::judge::{Client, Judge};
use super::names::Names;
use super::open::prepared::Prepared;
use super::peer::{Peer, Room, ToClient};
use super::records::{Recorder, Who};
use super::registry::{NewEntry, SessionInfo};
use super::relay::Mode;
use super::routes;
use super::server::Server;
use super::transport::Transport;
use super::upstream::Backend;
use crate::access::{Principal, SessionId};

/// What such a client takes is not counted: no session lasts long enough to be ended for it.
impl ToClient for DuplexStream {
    fn taken(&self) -> u64 {
        0
    }
}

impl Server {
    /// Runs a session of `principal` on `database` to its end; `None` where there is no such database, no live grant, or the
    /// catalogs cannot be read.
    #[doc(hidden)]
    pub async fn rehearse(
        self: &Arc<Self>,
        principal: Principal,
        database: &str,
        client: DuplexStream,
        upstream: UnixStream,
    ) -> Option<SessionId> {
        let parts = &self.parts;
        let settings = routes::find(&parts.databases.load(), database)?;
        let shared = self.database(&settings).ok()?;
        let search_paths = shared.catalogs.current().await.ok()?.search_paths();
        let grants = parts.grants.subscribe(&principal.name, &settings.policy.name);
        let (set, now) = (Arc::clone(&grants.borrow()), parts.clock.now());
        let live = ends::live(&set, now);
        if live.is_empty() {
            return None;
        }
        let id = SessionId::generate();
        let who = Who {
            session: id.clone(),
            client_addr: "rehearsal".to_owned(),
            client_region: Some(settings.policy.region.clone()),
            application_name: String::new(),
            database: settings.policy.name.clone(),
            upstream_region: settings.policy.region.clone(),
            principal: principal.clone(),
        };
        let info = SessionInfo {
            id: id.clone(),
            principal: principal.name.clone(),
            database: who.database.clone(),
            client_addr: who.client_addr.clone(),
            client_region: who.client_region.clone(),
            application_name: String::new(),
            opened_at: now,
            grants: Vec::new(),
            statement: None,
            rows: None,
            statements: 0,
        };
        let at = shared.upstream.places().current()?;
        let backend = Backend {
            transport: Transport::Unix(upstream),
            rest: BytesMut::new(),
            parameters: Vec::new(),
            key: None,
            at,
        };
        let target = shared.upstream.cancel_target(&backend);
        let new = NewEntry { info, target, long_key: false, certificates: None };
        let listed = parts.registry.enter(new).ok()?;
        let client_side = Client {
            region: who.client_region.clone(),
            grants: grants.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            ledger: Arc::clone(&self.ledger),
            uses: Arc::clone(&self.uses),
            search_paths: Arc::clone(&search_paths),
            role: None,
        };
        let judge = Judge::new(Arc::clone(&shared), &principal, client_side);
        let asker = Asker { principal: principal.clone(), address: who.client_addr.clone() };
        let parameters = (self.settings.parameters, self.settings.hash_key.clone());
        let recorder = Recorder::new(self.turns.here(), Arc::clone(&parts.clock), who, parameters);
        let mode = Mode::opened(live.iter().all(|grant| grant.scope.is_read_only()), false);
        let bounds = &self.settings.bounds;
        let names = Names::new(bounds.max_prepared_statements, bounds.max_portals);
        let gate = Gate::new(judge, recorder, names);
        let client = Peer::new(client, BytesMut::new(), Room::OF_CLIENT, bounds.max_unread_bytes);
        let database = shared;
        let prepared =
            Prepared { listed, database, search_paths, backend, gate, grants, set, live, now, mode, role: None, asker };
        let (relay, ends, _listed) = Box::new(prepared).beside(self, client);
        relay.run(ends).await;
        Some(id)
    }
}
