//! Who comes to the desk.

use crate::access::{Principal, Scope};

/// Somebody who was authenticated, and from where they came.
#[derive(Clone, Debug)]
pub struct Actor {
    pub principal: Principal,
    /// As records have it.
    pub address: String,
    /// May see and end everything; decides on nothing for it.
    pub admin: bool,
}

impl Actor {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.principal.name
    }

    /// Own requests and grants, those of scopes that they approve, and for administrators all.
    #[must_use]
    pub fn sees(&self, principal: &str, scope: &Scope) -> bool {
        self.admin || principal == self.principal.name || scope.may_approve(&self.principal)
    }
}
