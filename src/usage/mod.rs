//! What the journal says of use: how much of what scopes allow was used, and where data went. Nothing here reads a journal: it is
//! handed record by record.

mod html;
mod residency;
mod scopes;

pub use html::page;
pub use residency::{Class, Counting, Figure, Place, Proof, Residency, ResidencyReport, Touch};
pub use scopes::{GrantUse, Refused, ScopeUse, ScopesReport, Used, patterns_used};
