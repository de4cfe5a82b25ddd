//! A grant as wide as one can be: what is refused under it is refused by what it is, not by what a scope leaves out.

use pgward::access::{ObjectPattern, Operation, Privilege};
use pgward::catalog::Snapshot;
use pgward::policy::Context;

#[path = "policy.rs"]
mod policy;

/// One live grant of these operations on every relation, and of the database's own functions.
pub fn everything(snapshot: &Snapshot, operations: &[Operation]) -> Context {
    let own = ObjectPattern::parse("public.*").expect("a pattern");
    let everywhere = Privilege { functions: vec![own], ..policy::allow(&["*.*"], None, operations) };
    policy::context(snapshot, &["us"], vec![everywhere], Vec::new())
}
