//! Who a token is from: JWTs of identity providers that the configuration names, verified by the keys that those publish.
//! Knows nothing of the protocol that a token comes by, and of no user but the one that it names.
//!
//! | file | owns |
//! | --- | --- |
//! | `token` | what makes a token good, pure |
//! | `client` | getting a token for somebody: by a browser (code and PKCE), by another device, by a refresh token |
//! | `grants` | what is sent and answered in doing so, pure |
//! | `keys` | a provider's keys: fetched, kept, fetched again |
//! | `fetch` | HTTPS, bounded |
//! | `offline` | the same by keys at hand, for the fuzz targets |

mod client;
mod fetch;
mod grants;
mod keys;
mod offline;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

pub use client::{Client, ClientSettings, FlowError, Polled};
pub use fetch::{FetchError, Trust};
pub use grants::{Begun, Device, Returned, Tokens, expires_at, names_nonce};
#[doc(hidden)]
pub use offline::verify_by;
pub use token::{Identified, Rejected};

use fetch::Fetcher;
use keys::Keys;
use token::Purpose;

/// Bytes of a token: those of PostgreSQL's clients are shorter.
pub const MAX_TOKEN: usize = 16 * 1024;

/// How an issuer's tokens may be signed. Nothing symmetric, and never not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

/// An identity provider, and what its tokens have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The `iss` of its tokens: an HTTPS URL, where its configuration is found.
    pub issuer: String,
    /// One of the tokens' `aud` has to be this.
    pub audience: String,
    /// Where its keys are, where that is not asked for.
    pub jwks_url: Option<String>,
    /// Who signs its certificate, where that is not one of the system's authorities.
    pub ca: Option<PathBuf>,
    /// The claim that holds the user's name.
    pub principal_claim: String,
    /// The claim that lists groups.
    pub groups_claim: Option<String>,
    pub algorithms: Vec<Algorithm>,
    /// How far its clock may differ from ours.
    pub leeway: Duration,
    /// What clients that ask for a token are to ask for.
    pub scope: String,
}

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not good.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Whether it is cannot be known now.
    #[error("the keys of {0} cannot be had: {1}")]
    NoKeys(String, FetchError),
}

/// One identity provider.
#[derive(Debug)]
pub struct Issuer {
    settings: IssuerSettings,
    keys: Keys,
}

impl Issuer {
    /// # Errors
    /// Where its addresses or its authorities cannot be used.
    pub fn new(settings: IssuerSettings) -> Result<Self, FetchError> {
        let fetcher = Fetcher::new(&settings.ca.clone().map_or(Trust::System, Trust::Only))?;
        for url in std::iter::once(&settings.issuer).chain(&settings.jwks_url) {
            fetch::check_url(url)?;
        }
        let keys = Keys::new(fetcher, settings.issuer.clone(), settings.jwks_url.clone());
        Ok(Self { settings, keys })
    }

    #[must_use]
    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// Where clients find out how to get a token.
    #[must_use]
    pub fn configuration_url(&self) -> String {
        fetch::configuration_url(&self.settings.issuer)
    }

    /// Whom a token names, if it is good now. Cancel safe.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn verify(&self, text: &str, now: Timestamp) -> Result<Identified, TokenError> {
        self.verify_as(text, Purpose::Presented, now).await
    }

    /// The same for the ID token that ends a login which began with this `nonce`. Cancel safe.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn verify_login(&self, text: &str, nonce: &str, now: Timestamp) -> Result<Identified, TokenError> {
        self.verify_as(text, Purpose::Login { nonce }, now).await
    }

    async fn verify_as(&self, text: &str, purpose: Purpose<'_>, now: Timestamp) -> Result<Identified, TokenError> {
        let head = token::head(text, &self.settings)?;
        let key =
            self.keys.find(&head).await.map_err(|error| TokenError::NoKeys(self.settings.issuer.clone(), error))?;
        let key = key.ok_or(Rejected::UnknownKey)?;
        Ok(token::verify(text, &head, &key, &self.settings, purpose, now)?)
    }
}

#[cfg(test)]
mod tests;
