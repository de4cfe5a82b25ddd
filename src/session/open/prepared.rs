//! A session that is ready: its loop, and the words with which it begins for the client.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::sync::watch;

use super::Arrival;
use crate::access::Grant;
use crate::session::asking::Asker;
use crate::session::ends::{Ends, Warnings};
use crate::session::gate::Gate;
use crate::session::judge::Database;
use crate::session::peer::{HIGH_WATER, Peer, Room};
use crate::session::registry::{CancelKey, Listed};
use crate::session::relay::{Inquiries, Mode, Owed, Relay, Unread};
use crate::session::replies::Replies;
use crate::session::roles::SessionRole;
use crate::session::server::Server;
use crate::session::upstream::Backend;
use crate::store::GrantSet;
use crate::wire::encode;

/// A session that only needs to be run.
pub(in crate::session) struct Prepared {
    pub listed: Listed,
    pub database: Arc<Database>,
    pub search_paths: Arc<[String]>,
    pub backend: Backend,
    pub gate: Gate,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    pub set: Arc<GrantSet>,
    pub live: Vec<Arc<Grant>>,
    pub now: Timestamp,
    pub mode: Mode,
    pub role: Option<Arc<SessionRole>>,
    pub asker: Asker,
}

impl Prepared {
    /// The session, when it must end, and what keeps it listed meanwhile.
    #[expect(clippy::boxed_local, reason = "moved out of by the caller, its box would stay as long as the session")]
    pub fn into_relay(self: Box<Self>, server: &Server, arrival: Box<Arrival>) -> (Box<Relay>, Ends, Listed) {
        let unread = server.settings.bounds.max_unread_bytes;
        let mut client = Peer::new(arrival.stream, arrival.rest, Room::OF_CLIENT, unread);
        client.push(greeting(arrival.untold, &self.backend.parameters, self.listed.entry().key()));
        self.beside(server, client)
    }

    /// The same, beside a client that has been greeted.
    pub fn beside<C>(self: Box<Self>, server: &Server, client: Peer<C>) -> (Box<Relay<C>>, Ends, Listed) {
        let Self { listed, database, search_paths, backend, gate, grants, set, live, now, mode, role, asker } = *self;
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
        let bounds = &server.settings.bounds;
        let relay = Box::new(Relay {
            client,
            upstream: Peer::new(backend.transport, backend.rest, Room::OF_UPSTREAM, HIGH_WATER),
            gate,
            replies: Replies::new(bounds.max_message_bytes, !mode.writable, search_paths),
            database,
            warnings: Warnings::new(&set, now),
            grants,
            found: server.pulse.subscribe(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            tasks: server.tasks.clone(),
            stopping: server.stopping.clone(),
            max_message: bounds.max_message_bytes,
            max_pipelined: bounds.max_pipelined,
            unread: Unread::new(bounds.client_write_timeout),
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
            inquiries: Inquiries::new(parts.desk.clone(), asker, Arc::clone(&server.held)),
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
