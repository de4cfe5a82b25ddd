//! A session without its logins: gate, replies, relay and records as they always are, over streams that the caller holds
//! both ends of. For the fuzz targets; nothing of pgward itself calls it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::ends::{self, Ends, Warnings};
use super::gate::Gate;
use super::judge::{Client, Judge};
use super::peer::{Peer, Room};
use super::records::{Recorder, Who};
use super::registry::{NewEntry, SessionInfo};
use super::relay::{Mode, Owed, Relay};
use super::replies::Replies;
use super::routes;
use super::server::Server;
use super::transport::Transport;
use super::upstream::Backend;
use crate::access::{Principal, SessionId};

impl Server {
    /// Runs a session of `principal` on `database` to its end; `None` where there is no such database, no live grant, or the
    /// catalogs cannot be read.
    #[doc(hidden)]
    pub async fn rehearse<C: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        principal: Principal,
        database: &str,
        client: C,
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
            search_paths: Arc::clone(&search_paths),
            role: None,
        };
        let judge = Judge::new(Arc::clone(&shared), &principal, client_side);
        let parameters = (self.settings.parameters, self.settings.hash_key.clone());
        let recorder = Recorder::new(self.turns.here(), Arc::clone(&parts.clock), who, parameters);
        let mode = Mode::opened(live.iter().all(|grant| grant.scope.is_read_only()), false);
        let ends = Ends {
            grants: grants.clone(),
            pulse: Arc::clone(&self.pulse),
            found: self.pulse.subscribe(),
            clock: Arc::clone(&parts.clock),
            entry: Arc::clone(listed.entry()),
            shutdown: self.stop.clone(),
            last_live: live,
        };
        let relay = Box::new(Relay {
            client: Peer::new(client, BytesMut::new(), Room::OF_CLIENT),
            upstream: Peer::new(backend.transport, backend.rest, Room::OF_UPSTREAM),
            gate: Gate::new(judge, recorder),
            replies: Replies::new(self.settings.max_message, !mode.writable, search_paths),
            database: shared,
            warnings: Warnings::new(&set, now),
            grants,
            found: self.pulse.subscribe(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            tasks: self.tasks.clone(),
            stopping: self.stopping.clone(),
            max_message: self.settings.max_message,
            copy_left: 0,
            copy_passes: false,
            owed: Owed::default(),
            finished: VecDeque::new(),
            cancelling: None,
            is_draining: false,
            has_left: false,
            leaving: false,
            mode,
            entry: Arc::clone(listed.entry()),
            role: None,
        });
        relay.run(ends).await;
        Some(id)
    }
}
