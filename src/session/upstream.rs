//! The leg to PostgreSQL: reach it, check who it is, log in with the broker's own credential. What the client sent to
//! authenticate itself never comes here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::login;
use super::places::{self, Places, Said, Unsuited};
use super::salted::Salted;
use super::settings::{Place, UpstreamSettings};
use super::tls::{ALPN, TlsError, upstream_config};
use super::transport::{ReadError, Transport};
use crate::access::Secret;
use crate::wire::backend::BackendKey;
use crate::wire::scram::client::ServerError;
use crate::wire::{ProtocolError, encode};

/// What a server says while it starts, recovers or stops.
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// A cancel request that takes longer is given up: the connection is closed anyway.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an upstream was not reached. For the log: a client learns only [`UpstreamError::client_message`].
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("connecting: {0}")]
    Connect(std::io::Error),
    #[error("it took too long")]
    Timeout,
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the server does not speak TLS")]
    NoTls,
    #[error("the server asks for authentication by method {0}, which is refused")]
    Method(u32),
    #[error("the server asks for no password, so that it proves nothing; require_auth wants scram-sha-256")]
    Unproved,
    #[error("SCRAM: {0}")]
    Scram(&'static str),
    #[error("SCRAM: {0}")]
    Server(#[from] ServerError),
    #[error("the server refused: {sqlstate} {message}")]
    Refused { sqlstate: String, message: String },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the server sent a message that does not belong there (0x{0:02x})")]
    Unexpected(u8),
    #[error("the server speaks protocol 3.{0}, which min_protocol_version does not allow")]
    Protocol3(u16),
    #[error("the server does not choose ALPN postgresql, as direct TLS needs it: it may be older than PostgreSQL 17")]
    Alpn,
    #[error(transparent)]
    Unsuited(#[from] Unsuited),
    #[error("the server did not take {0} at login; behind a pooler, say pool_mode=session")]
    Ignored(&'static str),
}

impl UpstreamError {
    /// Whether the next server may be tried: this one is not there, or not the one that is wanted. What concerns identity or
    /// passwords is told instead.
    fn is_of_the_place(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Timeout | Self::Unsuited(_) | Self::Read(ReadError::Io(_) | ReadError::Closed) => {
                true
            }
            Self::Refused { sqlstate, message: _ } => sqlstate == CANNOT_CONNECT_NOW,
            Self::Tls(_)
            | Self::NoTls
            | Self::Method(_)
            | Self::Unproved
            | Self::Scram(_)
            | Self::Server(_)
            | Self::Read(ReadError::Protocol(_))
            | Self::Protocol(_)
            | Self::Unexpected(_)
            | Self::Protocol3(_)
            | Self::Alpn
            | Self::Ignored(_) => false,
        }
    }
}

impl From<TlsError> for UpstreamError {
    fn from(error: TlsError) -> Self {
        UpstreamError::Tls(error.to_string())
    }
}

/// One upstream, and how to reach it.
#[derive(Clone, Debug)]
pub struct Upstream {
    settings: Arc<UpstreamSettings>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// What the password comes to under the salts that the server has named.
    salted: Arc<Salted>,
    places: Arc<Places>,
}

/// A backend that is logged in and idle.
#[derive(Debug)]
pub struct Backend {
    pub transport: Transport,
    /// What was read behind the last message of the login.
    pub rest: BytesMut,
    pub parameters: Vec<(String, String)>,
    pub key: Option<BackendKey>,
    /// Which of the upstream's servers it is on.
    pub at: usize,
}

/// Where a session's cancel requests go.
#[derive(Clone, Debug)]
pub struct CancelTarget {
    upstream: Upstream,
    key: Option<BackendKey>,
    at: usize,
}

impl CancelTarget {
    /// Whether the backend is on another server of these than `current`.
    #[must_use]
    pub fn is_elsewhere(&self, places: &Arc<Places>, current: usize) -> bool {
        Arc::ptr_eq(&self.upstream.places, places) && self.at != current
    }

    /// Asks the upstream to cancel what the backend runs, and waits until it has taken the request.
    pub async fn cancel(&self) {
        let Some(key) = &self.key else { return };
        match tokio::time::timeout(CANCEL_TIMEOUT, self.upstream.send_cancel(self.at, key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a cancel request did not reach the upstream"),
            Err(_) => tracing::warn!("a cancel request took too long"),
        }
    }
}

impl Upstream {
    /// # Errors
    /// Where the root certificates cannot be used.
    pub fn new(settings: Arc<UpstreamSettings>) -> Result<Self, TlsError> {
        let tls = upstream_config(settings.sslmode, settings.root_cert.as_deref())?.map(Arc::new);
        let places = Arc::new(Places::new(settings.places.clone(), settings.session_attrs));
        Ok(Self { settings, tls, salted: Arc::default(), places })
    }

    #[must_use]
    pub fn settings(&self) -> &Arc<UpstreamSettings> {
        &self.settings
    }

    #[must_use]
    pub fn tls(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.tls.as_ref()
    }

    /// The same upstream, logged in to as somebody else.
    #[must_use]
    pub fn as_user(&self, user: String, password: Secret) -> Self {
        let settings = UpstreamSettings { user, password, ..self.settings.as_ref().clone() };
        let places = Arc::clone(&self.places);
        Self { settings: Arc::new(settings), tls: self.tls.clone(), salted: Arc::default(), places }
    }

    /// The servers that it may be on.
    #[must_use]
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// What the password comes to.
    pub(super) fn salted(&self) -> &Salted {
        &self.salted
    }

    /// Where to send cancel requests for a backend.
    #[must_use]
    pub fn cancel_target(&self, backend: &Backend) -> CancelTarget {
        CancelTarget { upstream: self.clone(), key: backend.key.clone(), at: backend.at }
    }

    /// Connects and logs in, with `parameters` as the session's settings, to the first server that is there and will do.
    ///
    /// # Errors
    /// [`UpstreamError`] of the last server that was tried, also after `timeout`.
    pub async fn connect(&self, parameters: &[(&str, &str)], timeout: Duration) -> Result<Backend, UpstreamError> {
        let asked_read_only = parameters.iter().any(|(name, _)| *name == "default_transaction_read_only");
        let attempts = self.places.attempts();
        let share = places::share(timeout, &attempts);
        let mut last = Unsuited::Nowhere.into();
        for attempt in attempts {
            let at = attempt.at;
            let logged_in = tokio::time::timeout(share, login::log_in(self, at, parameters)).await;
            let error = match logged_in.unwrap_or(Err(UpstreamError::Timeout)) {
                Ok(backend) => {
                    let parameter = |name: &str| {
                        let found = backend.parameters.iter().find(|(known, _)| known == name);
                        found.map(|(_, value)| places::is_on(value))
                    };
                    match attempt.check(Said::by(asked_read_only, parameter)) {
                        Ok(()) => {
                            self.places.settle(at);
                            return Ok(backend);
                        }
                        Err(unsuited) => unsuited.into(),
                    }
                }
                Err(error) => error,
            };
            if !error.is_of_the_place() {
                return Err(error);
            }
            if let Some(place) = self.places.get(at).filter(|_| self.places.are_several()) {
                tracing::debug!(host = %place.host, port = place.port, %error, "not this server");
            }
            last = error;
        }
        Err(last)
    }

    async fn send_cancel(&self, at: usize, key: &BackendKey) -> Result<(), UpstreamError> {
        let mut transport = self.reach(at).await?;
        let request = encode::cancel_request(key.process, &key.secret);
        transport.write_all(&request).await.map_err(UpstreamError::Connect)?;
        transport.flush().await.map_err(UpstreamError::Connect)?;
        // The server closes once it has signalled the backend.
        let mut nothing = [0; 16];
        let _ = transport.read(&mut nothing).await;
        Ok(())
    }

    /// A connection to one of the servers, inside TLS where there is to be TLS.
    pub(super) async fn reach(&self, at: usize) -> Result<Transport, UpstreamError> {
        let place = self.places.get(at).ok_or(Unsuited::Nowhere)?;
        if let Some(socket) = place.socket() {
            return UnixStream::connect(socket).await.map(Transport::Unix).map_err(UpstreamError::Connect);
        }
        let Place { host, port } = place;
        // An address is not looked up: the resolver's answer comes from another thread.
        let connected = match host.parse::<IpAddr>() {
            Ok(address) => TcpStream::connect((address, *port)).await,
            Err(_) => TcpStream::connect((host.as_str(), *port)).await,
        };
        let mut tcp = connected.map_err(UpstreamError::Connect)?;
        tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let Some(tls) = &self.tls else { return Ok(Transport::Tcp(tcp)) };
        if !self.settings.direct_tls {
            tcp.write_all(&encode::ssl_request()).await.map_err(UpstreamError::Connect)?;
            // One byte and no more: anything behind it is sent by somebody in between, and the TLS layer will refuse it.
            if tcp.read_u8().await.map_err(UpstreamError::Connect)? != b'S' {
                return Err(UpstreamError::NoTls);
            }
        }
        let name = ServerName::try_from(host.clone()).map_err(|error| UpstreamError::Tls(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, tcp).await.map_err(|error| UpstreamError::Tls(error.to_string()))?;
        // Before PostgreSQL 17 none is chosen; whoever is reached directly has to say that it speaks this protocol.
        if self.settings.direct_tls && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(UpstreamError::Alpn);
        }
        Ok(Transport::Tls(Box::new(stream)))
    }
}
