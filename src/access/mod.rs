//! Who may do what, for how long: principals, scopes, requests, approvals, grants, regions.
//! Pure values and their validity at an instant. Knows nothing of SQL, the wire or storage.

mod allowance;
mod analysis;
mod clock;
mod export;
mod grant;
mod guards;
mod hours;
mod ids;
mod principal;
mod region;
mod request;
mod rules;
mod scope;
mod secret;
mod token;

pub use allowance::Allowance;
pub use analysis::{Analysis, Estimate, Touched};
pub use clock::{Clock, Reading as ClockReading};
pub use export::{Amount, Export, ExportLimit};
pub use grant::{Grant, GrantState, Origin, Review, ReviewClosing, ReviewRefused, Revocation};
pub use guards::{Bytes, Guards, Seconds};
pub use hours::Hours;
pub use ids::{GrantId, RequestId, SessionId};
pub use principal::{Principal, Subject};
pub use region::{Region, RegionNetworks};
pub use request::{
    AccessRequest, Approval, ApprovalRefused, Changes, Decision, EditRefused, Extension, NewRequest, RequestRefused,
    RequestState, Ruling, WithdrawalRefused,
};
pub use rules::{ApprovalRule, BreakGlass, Requirement, Rules, spell};
pub use scope::{ObjectPattern, Operation, OperationSet, Privilege, Scope};
pub use secret::Secret;
pub use token::{NoRandomness, TokenHash, generate_token};

#[cfg(test)]
mod tests;
