//! The identity provider as the control port sees it: `control` asks, `identity` answers, the configuration says what groups are
//! called here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::settings;
use crate::access::{Clock, Secret};
use crate::config::{Config, Oidc, PasswordSource};
use crate::control::{self, Departure, Named, Offer, ProviderError, PublicClient};
use crate::identity::{self, Begun, Client, ClientSettings, FlowError, Issuer, TokenError, Trust};

/// `[control.oidc]` at work.
#[derive(Debug)]
pub struct Provider {
    client: Client,
    /// Verifies the ID tokens of logins by a browser.
    logins: Arc<Issuer>,
    /// Verifies what programs call with: the same, unless they log in as another client.
    calls: Arc<Issuer>,
    redirect_url: String,
    group_map: Option<BTreeMap<String, String>>,
    offer: Offer,
    /// How far the provider's clock may be off.
    leeway: Duration,
    clock: Arc<Clock>,
}

impl Provider {
    /// # Errors
    /// Where a file or an address cannot be used. Nothing is asked of the provider yet.
    pub fn of(config: &Config, clock: &Arc<Clock>) -> anyhow::Result<Option<Arc<dyn control::Provider>>> {
        let Some(oidc) = &config.control.oidc else { return Ok(None) };
        let secret = oidc.client_secret.read().map_err(|error| anyhow::anyhow!("control.oidc: {error}"))?;
        let client = Client::new(ClientSettings {
            issuer: oidc.issuer.issuer.clone(),
            client_id: oidc.client_id.clone(),
            secret: secret.map(|secret| Zeroizing::new(secret.expose().to_owned())),
            scope: oidc.scopes.join(" "),
            trust: oidc.issuer.ca.clone().map_or(Trust::System, Trust::Only),
        })?;
        let logins = Arc::new(Issuer::new(settings::issuer(&oidc.issuer))?);
        let command_line = command_line(oidc);
        let calls = match &command_line {
            Some(public) if public.client_id != oidc.client_id => {
                let settings = settings::issuer(&oidc.issuer);
                Arc::new(Issuer::new(identity::IssuerSettings { audience: public.client_id.clone(), ..settings })?)
            }
            Some(_) | None => Arc::clone(&logins),
        };
        let redirect_url = oidc.redirect_url.clone().unwrap_or_else(|| own_redirect(config));
        let start_url = format!("{}/login/oidc", redirect_url.trim_end_matches("/login/callback"));
        let offer = Offer {
            issuer: oidc.issuer.issuer.clone(),
            start_url,
            command_line,
            session: oidc.session,
            idle: oidc.idle,
        };
        let (group_map, leeway, clock) = (oidc.group_map.clone(), oidc.issuer.leeway, Arc::clone(clock));
        Ok(Some(Arc::new(Self { client, logins, calls, redirect_url, group_map, offer, leeway, clock })))
    }

    /// With groups as they are called here. Without a map as the provider calls them.
    fn named(&self, token: &str, found: Result<identity::Identified, TokenError>) -> Result<Named, ProviderError> {
        let identified = found.map_err(|error| match error {
            TokenError::Rejected(rejected) => ProviderError::Rejected(format!("the token is not good: {rejected}")),
            error @ TokenError::NoKeys(..) => ProviderError::Unavailable(error.to_string()),
        })?;
        let groups = match &self.group_map {
            None => identified.groups,
            Some(map) => identified.groups.iter().filter_map(|group| map.get(group).cloned()).collect(),
        };
        // Verified already: there is an end, and it may be a little past, by the leeway.
        let until = identity::expires_at(token).unwrap_or(self.clock.now());
        let until = until.saturating_add(self.leeway).unwrap_or(until);
        Ok(Named { name: identified.principal, groups, until })
    }
}

#[async_trait::async_trait]
impl control::Provider for Provider {
    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    async fn begin(&self) -> Result<Departure, ProviderError> {
        let begun = self.client.begin(&self.redirect_url).await.map_err(|error| unavailable(&error))?;
        let Begun { url, state, nonce, verifier } = begun;
        Ok(Departure { url, state: Secret::new(state), nonce: Secret::new(nonce), verifier: Secret::new(verifier) })
    }

    async fn finish(&self, departure: &Departure, returned: &control::Returned) -> Result<Named, ProviderError> {
        let begun = Begun {
            url: departure.url.clone(),
            state: departure.state.expose().to_owned(),
            nonce: departure.nonce.expose().to_owned(),
            verifier: departure.verifier.expose().to_owned(),
        };
        let control::Returned { state, code, iss, error } = returned.clone();
        let returned = identity::Returned { state, code, iss, error };
        let tokens =
            self.client.redeem(&begun, &self.redirect_url, &returned).await.map_err(|error| refused(&error))?;
        let found = self.logins.verify_login(&tokens.id_token, &begun.nonce, self.clock.now()).await;
        self.named(&tokens.id_token, found)
    }

    async fn named(&self, token: &str) -> Result<Named, ProviderError> {
        let found = self.calls.verify(token, self.clock.now()).await;
        self.named(token, found)
    }
}

/// A program on somebody's own machine can keep no secret.
fn command_line(oidc: &Oidc) -> Option<PublicClient> {
    let own = (oidc.client_secret == PasswordSource::None).then(|| oidc.client_id.clone());
    let client_id = oidc.cli_client_id.clone().or(own)?;
    let scopes = oidc.cli_scopes.as_ref().unwrap_or(&oidc.scopes);
    Some(PublicClient { client_id, scope: scopes.join(" ") })
}

/// Where browsers come back to if nothing is said.
fn own_redirect(config: &Config) -> String {
    format!("https://{}:{}/login/callback", config.proxy.public_host, config.control.listen.port())
}

fn unavailable(error: &FlowError) -> ProviderError {
    ProviderError::Unavailable(error.to_string())
}

/// Whose fault it is: what the browser brought, or that nobody can be asked.
fn refused(error: &FlowError) -> ProviderError {
    match error {
        FlowError::Refused(_) | FlowError::Issuer => ProviderError::Rejected(error.to_string()),
        FlowError::Unreachable(_) | FlowError::Unsupported | FlowError::NoRandomness => unavailable(error),
    }
}
