//! Getting a token for somebody at a provider, as one of its clients: by the authorization code flow with PKCE, by the device
//! authorization grant, by a refresh token. Whom a token names is `Issuer`'s to say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::fetch::{Answer, FetchError, Fetcher, Trust, check_endpoint, check_url, configuration_url};
use super::grants::{Begun, Device, Returned, Tokens};

/// A provider changes its endpoints rarely.
const REFRESH: Duration = Duration::from_secs(600);

/// Which client of which provider.
#[derive(Clone)]
pub struct ClientSettings {
    pub issuer: String,
    pub client_id: String,
    /// None of a public client.
    pub secret: Option<Zeroizing<String>>,
    /// What is asked for: `openid` and more, apart by spaces.
    pub scope: String,
    pub trust: Trust,
}

impl std::fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    #[error(transparent)]
    Unreachable(#[from] FetchError),
    /// The provider's word for it.
    #[error("the identity provider refused it: {0}")]
    Refused(String),
    #[error("the answer is another provider's")]
    Issuer,
    #[error("the identity provider does not offer this kind of login")]
    Unsupported,
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// What has become of a login on another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    Done(Tokens),
    /// Nothing yet.
    Pending,
    /// Nothing yet, and it is asked too often.
    SlowDown,
}

/// One client of one provider.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    fetcher: Fetcher,
    known: Mutex<Option<(Instant, Arc<Endpoints>)>>,
}

#[derive(Debug, serde::Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    /// RFC 9207
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Client {
    /// # Errors
    /// Where the issuer's address or the authorities cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Self, FetchError> {
        check_url(&settings.issuer)?;
        let fetcher = Fetcher::new(&settings.trust)?;
        Ok(Self { settings, fetcher, known: Mutex::default() })
    }

    /// Begins a login by a browser, which is to come back to `redirect_url`.
    ///
    /// # Errors
    /// [`FlowError`]
    pub async fn begin(&self, redirect_url: &str) -> Result<Begun, FlowError> {
        let endpoints = self.endpoints().await?;
        let at = endpoints.authorization_endpoint.as_deref().ok_or(FlowError::Unsupported)?;
        Begun::new(check_endpoint(at)?, &self.settings.client_id, redirect_url, &self.settings.scope)
    }

    /// Takes the code that the browser came back with for tokens. The state is compared by who kept it.
    ///
    /// # Errors
    /// [`FlowError`]
    pub async fn redeem(&self, begun: &Begun, redirect_url: &str, returned: &Returned) -> Result<Tokens, FlowError> {
        let endpoints = self.endpoints().await?;
        match returned.iss.as_deref() {
            Some(issuer) if issuer == self.settings.issuer => {}
            None if !endpoints.authorization_response_iss_parameter_supported => {}
            Some(_) | None => return Err(FlowError::Issuer),
        }
        let code = match (&returned.error, returned.code.as_deref()) {
            (None, Some(code)) => code,
            (Some(_), _) => return Err(FlowError::Refused("access_denied".to_owned())),
            (None, None) => return Err(FlowError::Refused("no_code".to_owned())),
        };
        self.ask(
            &endpoints,
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", redirect_url),
                ("code_verifier", &begun.verifier),
            ],
        )
        .await
    }

    /// New tokens for old.
    ///
    /// # Errors
    /// [`FlowError`]
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, FlowError> {
        let endpoints = self.endpoints().await?;
        self.ask(&endpoints, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// Begins a login on another device.
    ///
    /// # Errors
    /// [`FlowError`]
    pub async fn device(&self) -> Result<Device, FlowError> {
        let endpoints = self.endpoints().await?;
        let at = endpoints.device_authorization_endpoint.as_deref().ok_or(FlowError::Unsupported)?;
        match self.post(&endpoints, at, &[("scope", &self.settings.scope)]).await? {
            Answer::Given(device) => Ok(device),
            Answer::Refused(word) => Err(FlowError::Refused(word)),
        }
    }

    /// Asks what has become of it.
    ///
    /// # Errors
    /// [`FlowError`]; `expired_token` and `access_denied` are refusals.
    pub async fn poll(&self, device: &Device) -> Result<Polled, FlowError> {
        let endpoints = self.endpoints().await?;
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        match self.ask(&endpoints, &[("grant_type", grant), ("device_code", &device.device_code)]).await {
            Ok(tokens) => Ok(Polled::Done(tokens)),
            Err(FlowError::Refused(word)) if word == "authorization_pending" => Ok(Polled::Pending),
            Err(FlowError::Refused(word)) if word == "slow_down" => Ok(Polled::SlowDown),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, endpoints: &Endpoints, pairs: &[(&str, &str)]) -> Result<Tokens, FlowError> {
        let at = endpoints.token_endpoint.as_deref().ok_or(FlowError::Unsupported)?;
        match self.post(endpoints, at, pairs).await? {
            Answer::Given(tokens) => Ok(tokens),
            Answer::Refused(word) => Err(FlowError::Refused(word)),
        }
    }

    /// As this client: by its secret in the header, or in the form where the provider takes it nowhere else.
    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        endpoints: &Endpoints,
        url: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Answer<T>, FetchError> {
        let client = self.settings.client_id.as_str();
        let mut pairs = pairs.to_vec();
        pairs.push(("client_id", client));
        let secret = self.settings.secret.as_ref().map(|secret| secret.as_str());
        match secret {
            Some(secret) if endpoints.takes_secrets_in_forms_alone() => {
                pairs.push(("client_secret", secret));
                self.fetcher.post(url, &pairs, None).await
            }
            Some(secret) => self.fetcher.post(url, &pairs, Some((client, secret))).await,
            None => self.fetcher.post(url, &pairs, None).await,
        }
    }

    async fn endpoints(&self) -> Result<Arc<Endpoints>, FetchError> {
        let mut known = self.known.lock().await;
        if let Some((_, endpoints)) = known.as_ref().filter(|(at, _)| at.elapsed() < REFRESH) {
            return Ok(Arc::clone(endpoints));
        }
        let at = configuration_url(&self.settings.issuer);
        let endpoints: Endpoints = self.fetcher.json(&at).await?;
        if endpoints.issuer != self.settings.issuer {
            return Err(FetchError::Failed(at, format!("is the configuration of {}", endpoints.issuer)));
        }
        let endpoints = Arc::new(endpoints);
        *known = Some((Instant::now(), Arc::clone(&endpoints)));
        Ok(endpoints)
    }
}

impl Endpoints {
    fn takes_secrets_in_forms_alone(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|known| known == method);
        takes("client_secret_post") && !takes("client_secret_basic")
    }
}
