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

use super::nonce::nonce;
use super::salted::Salted;
use super::settings::UpstreamSettings;
use super::tls::{TlsError, end_point_binding, upstream_config};
use super::transport::{ReadError, Transport, read_frame};
use crate::access::Secret;
use crate::wire::backend::{self, Authentication, BackendKey, Tag};
use crate::wire::scram::client::{Binding, Client, ServerError};
use crate::wire::{ProtocolError, encode, scram};

/// Bytes of one message while logging in.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages while logging in: a server that sends more never finishes.
const MAX_MESSAGES: usize = 500;
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
}

/// A backend that is logged in and idle.
#[derive(Debug)]
pub struct Backend {
    pub transport: Transport,
    /// What was read behind the last message of the login.
    pub rest: BytesMut,
    pub parameters: Vec<(String, String)>,
    pub key: Option<BackendKey>,
}

/// Where a session's cancel requests go.
#[derive(Clone, Debug)]
pub struct CancelTarget {
    upstream: Upstream,
    key: Option<BackendKey>,
}

impl CancelTarget {
    /// Asks the upstream to cancel what the backend runs, and waits until it has taken the request.
    pub async fn cancel(&self) {
        let Some(key) = &self.key else { return };
        match tokio::time::timeout(CANCEL_TIMEOUT, self.upstream.send_cancel(key)).await {
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
        Ok(Self { settings, tls, salted: Arc::default() })
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
        Self { settings: Arc::new(settings), tls: self.tls.clone(), salted: Arc::default() }
    }

    /// Where to send cancel requests for a backend.
    #[must_use]
    pub fn cancel_target(&self, key: Option<BackendKey>) -> CancelTarget {
        CancelTarget { upstream: self.clone(), key }
    }

    /// Connects and logs in, with `parameters` in the startup packet besides user and database.
    ///
    /// # Errors
    /// [`UpstreamError`], also after `timeout`.
    pub async fn connect(&self, parameters: &[(&str, &str)], timeout: Duration) -> Result<Backend, UpstreamError> {
        match tokio::time::timeout(timeout, self.log_in(parameters)).await {
            Ok(result) => result,
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    async fn send_cancel(&self, key: &BackendKey) -> Result<(), UpstreamError> {
        let mut transport = self.reach().await?;
        let request = encode::cancel_request(key.process, &key.secret);
        transport.write_all(&request).await.map_err(UpstreamError::Connect)?;
        transport.flush().await.map_err(UpstreamError::Connect)?;
        // The server closes once it has signalled the backend.
        let mut nothing = [0; 16];
        let _ = transport.read(&mut nothing).await;
        Ok(())
    }

    pub(super) async fn reach(&self) -> Result<Transport, UpstreamError> {
        let UpstreamSettings { host, port, .. } = self.settings.as_ref();
        if host.starts_with('/') {
            let path = format!("{host}/.s.PGSQL.{port}");
            return UnixStream::connect(path).await.map(Transport::Unix).map_err(UpstreamError::Connect);
        }
        // An address is not looked up: the resolver's answer comes from another thread.
        let connected = match host.parse::<IpAddr>() {
            Ok(address) => TcpStream::connect((address, *port)).await,
            Err(_) => TcpStream::connect((host.as_str(), *port)).await,
        };
        let mut tcp = connected.map_err(UpstreamError::Connect)?;
        tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let Some(tls) = &self.tls else { return Ok(Transport::Tcp(tcp)) };
        tcp.write_all(&encode::ssl_request()).await.map_err(UpstreamError::Connect)?;
        // One byte and no more: anything behind it is sent by somebody in between, and the TLS layer will refuse it.
        if tcp.read_u8().await.map_err(UpstreamError::Connect)? != b'S' {
            return Err(UpstreamError::NoTls);
        }
        let name = ServerName::try_from(host.clone()).map_err(|error| UpstreamError::Tls(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, tcp).await.map_err(|error| UpstreamError::Tls(error.to_string()))?;
        Ok(Transport::Tls(Box::new(stream)))
    }

    async fn log_in(&self, parameters: &[(&str, &str)]) -> Result<Backend, UpstreamError> {
        let mut transport = self.reach().await?;
        let mut all = vec![("user", self.settings.user.as_str()), ("database", self.settings.database.as_str())];
        all.extend_from_slice(parameters);
        transport.write_all(&encode::startup(&all)).await.map_err(UpstreamError::Connect)?;
        transport.flush().await.map_err(UpstreamError::Connect)?;
        let mut login = Login { transport, buffer: BytesMut::new() };
        login.authenticate(self).await?;
        login.settle().await
    }
}

/// A login under way.
struct Login {
    transport: Transport,
    buffer: BytesMut,
}

impl Login {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), UpstreamError> {
        self.transport.write_all(bytes).await.map_err(UpstreamError::Connect)?;
        self.transport.flush().await.map_err(UpstreamError::Connect)
    }

    /// The next message that is no notice.
    async fn next(&mut self) -> Result<(Tag, Vec<u8>), UpstreamError> {
        for _ in 0..MAX_MESSAGES {
            let frame = read_frame(&mut self.transport, &mut self.buffer, MAX_MESSAGE).await?;
            match Tag::read(frame.tag())? {
                Tag::Notice => {}
                Tag::Error => {
                    let fields = backend::error_fields(frame.body())?;
                    return Err(UpstreamError::Refused { sqlstate: fields.sqlstate, message: fields.message });
                }
                tag => return Ok((tag, frame.body().to_vec())),
            }
        }
        Err(UpstreamError::Unexpected(b'N'))
    }

    async fn authentication(&mut self) -> Result<Authentication, UpstreamError> {
        match self.next().await? {
            (Tag::Authentication, body) => Ok(backend::authentication(&body)?),
            (_, _) => Err(UpstreamError::Unexpected(b'R')),
        }
    }

    /// SCRAM, or nothing where the server trusts the connection. No other method is answered.
    async fn authenticate(&mut self, upstream: &Upstream) -> Result<(), UpstreamError> {
        let mechanisms = match self.authentication().await? {
            Authentication::Ok => return Ok(()),
            Authentication::Sasl(mechanisms) => mechanisms,
            Authentication::Refused(method) => return Err(UpstreamError::Method(method)),
            Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                return Err(UpstreamError::Unexpected(b'R'));
            }
        };
        let binding = self.choose(&mechanisms)?;
        let mechanism = binding.mechanism();
        let client = Client::new(binding, nonce().map_err(|_| UpstreamError::Scram("no random numbers"))?);
        self.send(&encode::sasl_initial_response(mechanism, client.first().as_bytes())).await?;
        let Authentication::SaslContinue(data) = self.authentication().await? else {
            return Err(UpstreamError::Scram("the server broke off"));
        };
        let challenge = client.receive(&data)?;
        let keys = upstream.salted.keys(&upstream.settings.password, &challenge.salt, challenge.iterations);
        let (message, expected) = challenge.prove(&keys);
        self.send(&encode::sasl_response(message.as_bytes())).await?;
        let Authentication::SaslFinal(data) = self.authentication().await? else {
            return Err(UpstreamError::Scram("the server did not prove itself"));
        };
        // A server that does not know the password cannot sign, and is left here.
        expected.check(&data)?;
        match self.authentication().await? {
            Authentication::Ok => Ok(()),
            Authentication::Sasl(_)
            | Authentication::SaslContinue(_)
            | Authentication::SaslFinal(_)
            | Authentication::Refused(_) => Err(UpstreamError::Unexpected(b'R')),
        }
    }

    fn choose(&self, mechanisms: &[String]) -> Result<Binding, UpstreamError> {
        let offers = |name: &str| mechanisms.iter().any(|mechanism| mechanism == name);
        let hash = match &self.transport {
            Transport::Tls(stream) => {
                stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(end_point_binding)
            }
            Transport::Tcp(_) | Transport::Unix(_) | Transport::Gone(_) => None,
        };
        match hash {
            Some(hash) if offers(scram::PLUS) => Ok(Binding::EndPoint(hash)),
            Some(_) if offers(scram::PLAIN) => Ok(Binding::Unoffered),
            None if offers(scram::PLAIN) => Ok(Binding::Unsupported),
            Some(_) | None => Err(UpstreamError::Scram("no mechanism in common")),
        }
    }

    /// Collects what the server says of itself, to its first ReadyForQuery.
    async fn settle(mut self) -> Result<Backend, UpstreamError> {
        let (mut parameters, mut key) = (Vec::new(), None);
        for _ in 0..MAX_MESSAGES {
            match self.next().await? {
                (Tag::ParameterStatus, body) => parameters.push(backend::parameter_status(&body)?),
                (Tag::BackendKeyData, body) => key = Some(backend::backend_key(&body)?),
                (Tag::ReadyForQuery, body) => {
                    backend::ready_for_query(&body)?;
                    return Ok(Backend { transport: self.transport, rest: self.buffer, parameters, key });
                }
                (_, _) => return Err(UpstreamError::Unexpected(b'?')),
            }
        }
        Err(UpstreamError::Unexpected(b'S'))
    }
}
