//! Who a client is: a certificate that names it, a token, or a password by SCRAM. Says the same to all who fail.

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;

use super::bearer;
use super::handshake::ClientStream;
use super::nonce::nonce;
use super::routes;
use super::settings::{Dependencies, Login, Settings, User};
use super::tls::certificate_identities;
use super::transport::{ReadError, read_frame};
use crate::wire::encode::{self, ClientVisible};
use crate::wire::frontend;
use crate::wire::scram::{self, Candidates, Exchange, ScramError, Verifier};
use crate::wire::sqlstate;

/// Bytes of one authentication message.
const MAX_MESSAGE: usize = 4 * 1024;

/// Why a login failed.
#[derive(Debug)]
pub enum AuthError {
    /// The secret is wrong, or nobody has that name: told apart only by `why`, which is for the journal.
    Refused { said: ClientVisible, why: &'static str },
    /// It asked where to get a token: no failed login, and no login.
    Asked { said: ClientVisible },
    /// The peer is gone or broke the protocol; it may be told what.
    Broken(Option<ClientVisible>),
    /// Whether the secret is right cannot be known now.
    Unavailable,
}

impl From<ReadError> for AuthError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Protocol(error) => {
                AuthError::Broken(Some(ClientVisible::fatal(sqlstate::PROTOCOL_VIOLATION, error.to_string())))
            }
            ReadError::Io(_) | ReadError::Closed => AuthError::Broken(None),
        }
    }
}

impl From<std::io::Error> for AuthError {
    fn from(_: std::io::Error) -> Self {
        AuthError::Broken(None)
    }
}

/// A client to talk with.
#[derive(Debug)]
pub struct Talk<'a> {
    pub stream: &'a mut ClientStream,
    /// What was read and not looked at.
    pub read: &'a mut BytesMut,
    /// What goes out with the next message; at the end, with whatever comes then.
    pub untold: &'a mut BytesMut,
}

impl Talk<'_> {
    pub(super) async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.untold.extend_from_slice(bytes);
        self.stream.write_all(&self.untold.split()).await?;
        self.stream.flush().await
    }
}

/// What a login is about.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub user: &'a str,
    pub database: &'a str,
    /// `tls-server-end-point` of our certificate.
    pub binding: Option<&'a [u8]>,
}

/// The one message for a wrong secret, an unknown name, and a known name without any secret.
#[must_use]
pub fn failed(user: &str) -> ClientVisible {
    let text = format!("password authentication failed for user \"{user}\"");
    ClientVisible::fatal(sqlstate::INVALID_PASSWORD, text)
}

/// Authenticates a client and answers who it is.
///
/// # Errors
/// [`AuthError`]
pub async fn authenticate(
    talk: Talk<'_>,
    attempt: &Attempt<'_>,
    settings: &Settings,
    parts: &Dependencies,
) -> Result<User, AuthError> {
    let user = parts.directory.load().user(attempt.user).cloned();
    if let Some(certificate) = talk.stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) {
        let names = certificate_identities(certificate);
        let text = format!("the client certificate does not name user \"{}\"", attempt.user);
        let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text);
        return match user {
            Some(user) if names.iter().any(|name| name == attempt.user) => Ok(user),
            Some(_) | None => Err(AuthError::Refused { said, why: "the client certificate names somebody else" }),
        };
    }
    if let Some(user) = &user {
        match &user.login {
            Login::Password => {}
            Login::Oauth(issuer) => return bearer::oauth(talk, attempt, issuer, user.clone(), parts).await,
            Login::TokenAsPassword(issuer) => {
                return bearer::password(talk, attempt, issuer, user.clone(), parts).await;
            }
        }
    }
    let verifiers = verifiers(user.as_ref(), attempt, parts).await?;
    let candidates = Candidates::new(verifiers, &scram::stable_salt(&settings.salt_secret, attempt.user));
    exchange(talk, attempt, candidates).await?;
    user.ok_or_else(|| AuthError::Refused { said: failed(attempt.user), why: "no such user" })
}

/// Everything that the principal's password may be. A database that does not exist has those of every other one, so that
/// only who knows a password learns that it does not.
async fn verifiers(
    user: Option<&User>,
    attempt: &Attempt<'_>,
    parts: &Dependencies,
) -> Result<Vec<Verifier>, AuthError> {
    let databases = parts.databases.load();
    let asked = match routes::logical(&databases, attempt.database) {
        Some(name) => std::collections::BTreeSet::from([name]),
        None => routes::all(&databases),
    };
    let now = parts.clock.now();
    let mut credentials = Vec::new();
    for database in asked {
        let found = parts.store.credentials(attempt.user, database, now).await;
        credentials.extend(found.map_err(|error| {
            tracing::error!(%error, "credentials cannot be read");
            AuthError::Unavailable
        })?);
    }
    credentials.retain(|credential| credential.expires_at > now);
    credentials.sort_by_key(|credential| std::cmp::Reverse(credential.created_at));
    let stable = user.and_then(|user| user.scram.clone());
    let minted = credentials.iter().filter_map(|credential| Verifier::parse(&credential.verifier).ok());
    Ok(if user.is_some() { stable.into_iter().chain(minted).collect() } else { Vec::new() })
}

async fn exchange(mut talk: Talk<'_>, attempt: &Attempt<'_>, candidates: Candidates) -> Result<(), AuthError> {
    let offer: &[&str] = if attempt.binding.is_some() { &[scram::PLUS, scram::PLAIN] } else { &[scram::PLAIN] };
    talk.say(&encode::authentication_sasl(offer)).await?;
    let frame = password_message(&mut talk, MAX_MESSAGE).await?;
    let (mechanism, first) = frontend::sasl_initial(&frame).map_err(ReadError::from)?;
    if !offer.contains(&mechanism) {
        return Err(broken("client selected an invalid SASL authentication mechanism"));
    }
    let first = first.ok_or_else(|| broken("the first SASL message is missing"))?;
    let nonce = nonce().map_err(|_| AuthError::Unavailable)?;
    let exchange =
        Exchange::start(mechanism, attempt.binding, first, &nonce, candidates).map_err(|e| refused(e, attempt))?;
    talk.say(&encode::authentication_sasl_continue(exchange.server_first())).await?;
    let last = password_message(&mut talk, MAX_MESSAGE).await?;
    let answer = exchange.finish(&last).map_err(|error| refused(error, attempt))?;
    talk.untold.extend_from_slice(&encode::authentication_sasl_final(&answer));
    Ok(())
}

pub(super) async fn password_message(talk: &mut Talk<'_>, limit: usize) -> Result<Vec<u8>, AuthError> {
    let frame = read_frame(talk.stream, talk.read, limit).await?;
    if frame.tag() != b'p' {
        return Err(broken("expected SASL response"));
    }
    Ok(frame.body().to_vec())
}

fn refused(error: ScramError, attempt: &Attempt<'_>) -> AuthError {
    match error {
        ScramError::Refused => AuthError::Refused { said: failed(attempt.user), why: "wrong password or unknown user" },
        ScramError::ChannelBinding | ScramError::Downgrade => {
            let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, error.to_string());
            AuthError::Refused { said, why: "channel binding does not match" }
        }
        ScramError::Malformed => broken("malformed SCRAM message"),
    }
}

pub(super) fn broken(text: &str) -> AuthError {
    AuthError::Broken(Some(ClientVisible::fatal(sqlstate::PROTOCOL_VIOLATION, text)))
}
