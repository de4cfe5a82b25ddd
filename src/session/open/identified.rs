//! Who a client is, and whether it may be asked: failed logins are counted by address, and by address and user, so that who guesses
//! locks out nobody elsewhere.

use std::time::Instant;

use super::{Arrival, Opening};
use crate::session::authenticate::{self, Attempt, AuthError, Talk};
use crate::session::bounds::{Bound, too_many_failed_logins};
use crate::session::settings::User;
use crate::session::throttle::Network;
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

impl Opening {
    /// Who it is; otherwise what it is told, if it is told anything.
    pub(super) async fn authenticate(&self, arrival: &mut Arrival) -> Result<User, Option<ClientVisible>> {
        if let Some(bound) = self.is_throttled(arrival) {
            return Err(Some(self.throttled(arrival, bound).await));
        }
        let server = &self.server;
        arrival.untold.extend_from_slice(&self.requested.negotiation());
        let attempt = Attempt {
            user: &self.requested.user,
            database: &self.requested.database,
            binding: arrival.binding.as_deref(),
        };
        let talk = Talk { stream: &mut arrival.stream, read: &mut arrival.rest, untold: &mut arrival.untold };
        match authenticate::authenticate(talk, &attempt, &server.settings, &server.parts).await {
            // Many may have been guessing meanwhile: beyond the bound no answer tells a right guess from a wrong one.
            Ok(user) => match self.is_throttled(arrival) {
                Some(bound) => Err(Some(self.throttled(arrival, bound).await)),
                None => Ok(user),
            },
            Err(AuthError::Refused { said, why }) => {
                if let Some(bound) = self.count_failure(arrival) {
                    return Err(Some(self.throttled(arrival, bound).await));
                }
                server.parts.metrics.auth_failures.inc();
                self.denied(arrival.address, why, &said).await;
                Err(Some(said))
            }
            Err(AuthError::Asked { said }) => Err(Some(said)),
            Err(AuthError::Broken(said)) => {
                let why = said.as_ref().map(|said| format!(": {}", said.message)).unwrap_or_default();
                let why = format!("authentication was broken off{why}");
                server.refused_startup(arrival.address, &arrival.startup, &why).await;
                Err(said)
            }
            Err(AuthError::Unavailable) => {
                let text = "logins cannot be checked now";
                let said = ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, text);
                self.denied(arrival.address, text, &said).await;
                Err(Some(said))
            }
        }
    }

    /// The bound on failed logins that has been met from the client's address, whatever it would say now.
    fn is_throttled(&self, arrival: &Arrival) -> Option<Bound> {
        let (server, now) = (&self.server, Instant::now());
        let network = Network::of(arrival.address.ip());
        if server.failed_logins.is_over(&network, now) {
            return Some(Bound::FailedLoginsPerAddress);
        }
        let attempted = (network, self.requested.user.clone());
        server.failed_logins_of_user.is_over(&attempted, now).then_some(Bound::FailedLogins)
    }

    /// Counts a failed login, and answers the bound that it is beyond.
    fn count_failure(&self, arrival: &Arrival) -> Option<Bound> {
        let (server, now) = (&self.server, Instant::now());
        let network = Network::of(arrival.address.ip());
        let is_address_within = server.failed_logins.count(network, now);
        let is_user_within = server.failed_logins_of_user.count((network, self.requested.user.clone()), now);
        match (is_address_within, is_user_within) {
            (true, true) => None,
            (false, _) => Some(Bound::FailedLoginsPerAddress),
            (true, false) => Some(Bound::FailedLogins),
        }
    }

    /// Records a login that is not looked at, and answers what the client is told.
    async fn throttled(&self, arrival: &mut Arrival, bound: Bound) -> ClientVisible {
        // What is not told yet may be the proof that the password was right.
        arrival.untold.clear();
        let (server, said) = (&self.server, too_many_failed_logins());
        server.parts.metrics.auth_failures.inc();
        server.parts.metrics.count_bound(bound);
        let record = server.login_denied(arrival.address, &self.requested, &said.message, said.sqlstate);
        server.record_refusal(arrival.address.ip(), record, &said.message).await;
        said
    }
}
