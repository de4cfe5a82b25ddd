//! Standing access: who reaches data without pgward, and by which path, from what a database says of its roles and privileges.
//!
//! Nothing here asks a database: [`Facts`] are what was read, [`paths`] what follows from them.

mod facts;
mod reach;
mod remedy;
mod report;
mod roles;

pub use facts::{Acl, Column, DefaultAcl, Facts, Function, Membership, Relation, Role, Schema};
pub use reach::{Found, Path, Step, future, paths};
pub use remedy::remedies;
pub use report::{Access, Changes, Everywhere, LoginRule, Logins, Reached, Report, Target, Used};
