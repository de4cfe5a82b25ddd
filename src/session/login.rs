//! Logging in to an upstream: the version of the protocol, SCRAM, and the settings that the session is to have.

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;

use super::nonce::nonce;
use super::tls::end_point_binding;
use super::transport::{Transport, read_frame};
use super::upstream::{Backend, Upstream, UpstreamError};
use crate::guarded::Proof;
use crate::wire::backend::{self, Authentication, Tag};
use crate::wire::scram::client::{Binding, Client};
use crate::wire::{encode, scram};

/// Bytes of one message while logging in.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages while logging in: a server that sends more never finishes.
const MAX_MESSAGES: usize = 500;
/// With which cancel keys may be longer than four bytes.
const LONG_KEYS: u16 = 2;
/// What a pooler in session mode takes at login; the rest is set behind it.
const POOLED: [&str; 2] = ["client_encoding", "application_name"];
/// What every server tells of the settings that must not be lost on the way; the search_path only since PostgreSQL 18.
const TOLD: [&str; 4] =
    ["client_encoding", "standard_conforming_strings", "default_transaction_read_only", "search_path"];

/// Logs in to one of the upstream's servers, with `parameters` as the settings of the session.
pub(super) async fn log_in(
    upstream: &Upstream,
    at: usize,
    parameters: &[(&str, &str)],
) -> Result<Backend, UpstreamError> {
    let mut transport = upstream.reach(at).await?;
    let settings = upstream.settings();
    let is_early = |name: &str| !settings.is_pooled || POOLED.contains(&name);
    let mut all = vec![("user", settings.user.as_str()), ("database", settings.database.as_str())];
    all.extend(parameters.iter().filter(|(name, _)| is_early(name)));
    let asked = *settings.protocol_minors.end();
    transport.write_all(&encode::startup(asked, &all)).await.map_err(UpstreamError::Connect)?;
    transport.flush().await.map_err(UpstreamError::Connect)?;
    let mut login = Login { transport, buffer: BytesMut::new(), minor: asked };
    login.authenticate(upstream).await?;
    let mut backend = login.settle(at).await?;
    let late: Vec<_> = parameters.iter().filter(|(name, _)| !is_early(name)).copied().collect();
    if !late.is_empty() {
        backend = set(backend, &late).await?;
    }
    for name in TOLD {
        let asked = parameters.iter().find(|(known, _)| *known == name);
        let told = backend.parameters.iter().rfind(|(known, _)| known == name);
        if let (Some((_, asked)), Some((_, told))) = (asked, told)
            && asked != told
        {
            return Err(UpstreamError::Ignored(name));
        }
    }
    Ok(backend)
}

/// Sets what could not be said at login, before anything of the session's own.
async fn set(backend: Backend, late: &[(&str, &str)]) -> Result<Backend, UpstreamError> {
    let Backend { mut transport, rest, mut parameters, key, at } = backend;
    transport.write_all(&encode::set_config(late)).await.map_err(UpstreamError::Connect)?;
    transport.flush().await.map_err(UpstreamError::Connect)?;
    let mut login = Login { transport, buffer: rest, minor: 0 };
    for _ in 0..MAX_MESSAGES {
        match login.next().await? {
            (Tag::RowDescription | Tag::DataRow | Tag::CommandComplete, _) => {}
            (Tag::ParameterStatus, body) => {
                let (name, value) = backend::parameter_status(&body)?;
                parameters.retain(|(known, _)| *known != name);
                parameters.push((name, value));
            }
            (Tag::ReadyForQuery, body) => {
                backend::ready_for_query(&body)?;
                return Ok(Backend { transport: login.transport, rest: login.buffer, parameters, key, at });
            }
            (_, _) => return Err(UpstreamError::Unexpected(b'?')),
        }
    }
    Err(UpstreamError::Unexpected(b'D'))
}

/// A login under way.
struct Login {
    transport: Transport,
    buffer: BytesMut,
    /// The minor version of the protocol: what was asked for, until the server says less.
    minor: u16,
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

    /// The first answer; before it the server may say that it speaks less than was asked for.
    async fn first_authentication(&mut self, upstream: &Upstream) -> Result<Authentication, UpstreamError> {
        match self.next().await? {
            (Tag::Authentication, body) => Ok(backend::authentication(&body)?),
            (Tag::NegotiateProtocolVersion, body) => {
                let minor = backend::negotiated_minor(&body)?;
                // There is no 3.1, and nobody answers with what was asked for, or with more.
                if minor >= self.minor || minor == 1 {
                    return Err(UpstreamError::Unexpected(b'v'));
                }
                if !upstream.settings().protocol_minors.contains(&minor) {
                    return Err(UpstreamError::Protocol3(minor));
                }
                self.minor = minor;
                self.authentication().await
            }
            (_, _) => Err(UpstreamError::Unexpected(b'R')),
        }
    }

    /// SCRAM, or nothing where the server trusts the connection. No other method is answered.
    async fn authenticate(&mut self, upstream: &Upstream) -> Result<(), UpstreamError> {
        let mechanisms = match self.first_authentication(upstream).await? {
            Authentication::Ok => {
                return match upstream.settings().proof {
                    Proof::Optional => Ok(()),
                    Proof::Required => Err(UpstreamError::Unproved),
                };
            }
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
        let keys = upstream.salted().keys(&upstream.settings().password, &challenge.salt, challenge.iterations);
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
    async fn settle(mut self, at: usize) -> Result<Backend, UpstreamError> {
        let (mut parameters, mut key) = (Vec::new(), None);
        for _ in 0..MAX_MESSAGES {
            match self.next().await? {
                (Tag::ParameterStatus, body) => parameters.push(backend::parameter_status(&body)?),
                (Tag::BackendKeyData, body) => {
                    let sent = backend::backend_key(&body)?;
                    if self.minor < LONG_KEYS && sent.secret.len() != backend::SHORT_KEY {
                        return Err(UpstreamError::Unexpected(b'K'));
                    }
                    key = Some(sent);
                }
                (Tag::ReadyForQuery, body) => {
                    backend::ready_for_query(&body)?;
                    return Ok(Backend { transport: self.transport, rest: self.buffer, parameters, key, at });
                }
                (_, _) => return Err(UpstreamError::Unexpected(b'?')),
            }
        }
        Err(UpstreamError::Unexpected(b'S'))
    }
}
