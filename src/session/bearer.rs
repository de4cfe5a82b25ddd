//! Logins by a token of an identity provider: OAUTHBEARER, or the token in place of a password for clients that are older.

use zeroize::Zeroizing;

use super::authenticate::{Attempt, AuthError, Talk, broken, failed, password_message};
use super::settings::{Dependencies, User};
use super::transport::ReadError;
use crate::identity::{Issuer, MAX_TOKEN, Rejected, TokenError};
use crate::wire::encode::{self, ClientVisible};
use crate::wire::oauth::{self, First};
use crate::wire::{frontend, sqlstate};

/// Bytes of a message that holds a token.
const MAX_MESSAGE: usize = MAX_TOKEN + 1024;

/// OAUTHBEARER alone is offered: a client that is offered a password too takes that.
pub(super) async fn oauth(
    mut talk: Talk<'_>,
    attempt: &Attempt<'_>,
    issuer: &Issuer,
    user: User,
    parts: &Dependencies,
) -> Result<User, AuthError> {
    talk.say(&encode::authentication_sasl(&[oauth::MECHANISM])).await?;
    let message = Zeroizing::new(password_message(&mut talk, MAX_MESSAGE).await?);
    let (mechanism, data) = frontend::sasl_initial(&message).map_err(ReadError::from)?;
    if mechanism != oauth::MECHANISM {
        return Err(broken("client selected an invalid SASL authentication mechanism"));
    }
    let data = data.ok_or_else(|| broken("the first SASL message is missing"))?;
    let said = || {
        let text = format!("OAuth bearer authentication failed for user \"{}\"", attempt.user);
        ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text)
    };
    let refused = match oauth::first(data).map_err(ReadError::from)? {
        // No failed login: whoever asks where to get a token comes back with one.
        First::Discovery => AuthError::Asked { said: said() },
        First::Token(token) => match identified(token, attempt, issuer, user, parts).await? {
            Ok(user) => return Ok(user),
            Err(why) => AuthError::Refused { said: said(), why },
        },
    };
    let where_to = oauth::invalid_token(&issuer.configuration_url(), &issuer.settings().scope);
    talk.say(&encode::authentication_sasl_continue(&where_to)).await?;
    let last = password_message(&mut talk, MAX_MESSAGE).await?;
    if !oauth::is_acknowledgement(&last) {
        return Err(broken("malformed OAUTHBEARER message"));
    }
    Err(refused)
}

/// The token as a password in plain text, inside of TLS.
pub(super) async fn password(
    mut talk: Talk<'_>,
    attempt: &Attempt<'_>,
    issuer: &Issuer,
    user: User,
    parts: &Dependencies,
) -> Result<User, AuthError> {
    talk.say(&encode::authentication_cleartext()).await?;
    let message = Zeroizing::new(password_message(&mut talk, MAX_MESSAGE).await?);
    let token = frontend::password(&message).map_err(ReadError::from)?;
    match identified(token, attempt, issuer, user, parts).await? {
        Ok(user) => Ok(user),
        Err(why) => Err(AuthError::Refused { said: failed(attempt.user), why }),
    }
}

/// The user as the token has it, or what is wrong with the token.
async fn identified(
    token: &str,
    attempt: &Attempt<'_>,
    issuer: &Issuer,
    mut user: User,
    parts: &Dependencies,
) -> Result<Result<User, &'static str>, AuthError> {
    match issuer.verify(token, parts.clock.now()).await {
        Ok(named) if named.principal == attempt.user => {
            for group in named.groups {
                if !user.principal.groups.contains(&group) {
                    user.principal.groups.push(group);
                }
            }
            Ok(Ok(user))
        }
        Ok(_) => Ok(Err("the token names somebody else")),
        Err(TokenError::Rejected(rejected)) => Ok(Err(told(rejected))),
        Err(error @ TokenError::NoKeys(..)) => {
            tracing::error!(%error, "a token cannot be verified");
            Err(AuthError::Unavailable)
        }
    }
}

/// For the journal.
fn told(rejected: Rejected) -> &'static str {
    match rejected {
        Rejected::Malformed => "the token is no JWT",
        Rejected::Algorithm => "the token is signed by an algorithm that is not accepted",
        Rejected::Kind => "the token is of another kind",
        Rejected::UnknownKey => "the token names a key that its issuer does not have",
        Rejected::Signature => "the token's signature is wrong",
        Rejected::Issuer => "the token is another issuer's",
        Rejected::Audience => "the token is for another audience",
        Rejected::Expired => "the token has expired",
        Rejected::TooEarly => "the token is not good yet",
        Rejected::Login => "the token is of another login",
        Rejected::Nobody => "the token names nobody",
    }
}
