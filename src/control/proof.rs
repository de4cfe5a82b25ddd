//! What somebody showed to be let in, and whether it still counts: looked at anew at each call.

use std::sync::Arc;

use jiff::Timestamp;

use super::directory::Directory;
use super::provider::Named;
use crate::access::{Principal, TokenHash};

/// What a caller, or a browser's session, stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A control token, known by its hash.
    Token(TokenHash),
    /// An identity provider's word.
    Provider(Arc<Arrival>),
    /// Another replica's word, to which this principal had shown one of the others.
    Replica(Arc<Principal>),
    /// Another replica itself, by its name.
    Peer(Arc<str>),
}

/// Somebody whom an identity provider named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub issuer: String,
    pub named: Named,
    /// Who that was to the configuration of that moment.
    pub principal: Principal,
    /// Whether it ends with the provider's token; a browser's session has an end of its own.
    pub ends_with_token: bool,
}

impl Proof {
    /// Whether two are one person's, by the same means.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Proof::Token(one), Proof::Token(other)) => one == other,
            (Proof::Provider(one), Proof::Provider(other)) => {
                (&one.issuer, &one.named.name) == (&other.issuer, &other.named.name)
            }
            (Proof::Replica(one), Proof::Replica(other)) => one.name == other.name,
            (Proof::Peer(one), Proof::Peer(other)) => one == other,
            (Proof::Token(_) | Proof::Provider(_) | Proof::Replica(_) | Proof::Peer(_), _) => false,
        }
    }

    /// The word for it in answers.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Proof::Token(_) => "token",
            Proof::Provider(_) => "oidc",
            Proof::Replica(_) | Proof::Peer(_) => "replica",
        }
    }
}

impl Directory {
    /// Whom a proof stands for now; nobody where the token or the provider was taken out of the configuration, or where that
    /// has come to say something else of who the provider named.
    #[must_use]
    pub fn standing_of(&self, proof: &Proof, now: Timestamp) -> Option<Principal> {
        match proof {
            Proof::Token(hash) => self.user_by_hash(hash).map(|user| user.principal.clone()),
            Proof::Replica(principal) => Some(Principal::clone(principal)),
            Proof::Peer(name) => Some(Principal { name: format!("replica {name}"), groups: Vec::new(), region: None }),
            Proof::Provider(arrival) => {
                let is_ours = self.provider.as_ref().is_some_and(|provider| provider.offer().issuer == arrival.issuer);
                let is_over = arrival.ends_with_token && arrival.named.until <= now;
                let principal = self.arrived(&arrival.named);
                (is_ours && !is_over && principal == arrival.principal).then_some(principal)
            }
        }
    }

    /// Who that is whom the provider names: a `[[user]]` of that name keeps their groups, and has the token's too.
    #[must_use]
    pub fn arrived(&self, named: &Named) -> Principal {
        let mut principal = match self.user(&named.name) {
            Some(user) => user.principal.clone(),
            None => Principal { name: named.name.clone(), groups: Vec::new(), region: None },
        };
        for group in &named.groups {
            if !principal.groups.contains(group) {
                principal.groups.push(group.clone());
            }
        }
        principal
    }
}
