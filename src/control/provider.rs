//! What the control port asks of an identity provider: to send a browser off to it, to say who came back, and whose a token
//! is. Who can answer is handed in.

use std::time::Duration;

use jiff::Timestamp;

use crate::access::Secret;

/// A browser that is sent to the provider.
#[derive(Clone, Debug)]
pub struct Departure {
    pub url: String,
    /// Comes back with it.
    pub state: Secret,
    /// Comes back within the ID token.
    pub nonce: Secret,
    /// Of PKCE.
    pub verifier: Secret,
}

/// What a browser comes back with from there.
#[derive(Clone, Default, serde::Deserialize)]
pub struct Returned {
    pub state: Option<String>,
    pub code: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

impl std::fmt::Debug for Returned {
    /// Leaves the code out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned").field("iss", &self.iss).finish_non_exhaustive()
    }
}

/// Whom the provider named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// As the configuration calls them.
    pub groups: Vec<String>,
    /// The token's own end.
    pub until: Timestamp,
}

/// What is offered to those who log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub issuer: String,
    /// Where logging in by a browser starts: at the host that it comes back to.
    pub start_url: String,
    /// What the command line logs in as; none where it cannot.
    pub command_line: Option<PublicClient>,
    /// How long a browser's session is good in all, and without a call.
    pub session: Duration,
    pub idle: Duration,
}

/// A client of the provider that has no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicClient {
    pub client_id: String,
    pub scope: String,
}

/// Why nobody is named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// For the journal: whoever came is told only that it was refused.
    #[error("{0}")]
    Rejected(String),
    #[error("{0}")]
    Unavailable(String),
}

/// One identity provider, as this control port is known to it.
#[async_trait::async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    fn offer(&self) -> Offer;

    /// Begins a login by a browser.
    async fn begin(&self) -> Result<Departure, ProviderError>;

    /// Ends it. The state has been compared.
    async fn finish(&self, departure: &Departure, returned: &Returned) -> Result<Named, ProviderError>;

    /// Whose a token is that somebody calls with.
    async fn named(&self, token: &str) -> Result<Named, ProviderError>;
}
