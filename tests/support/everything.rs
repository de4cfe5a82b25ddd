//! A grant as wide as one can be: what is refused under it is refused by what it is, not by what a scope leaves out.

use pgward::access::{ObjectPattern, Operation, Privilege};
use pgward::catalog::Snapshot;
use pgward::policy::Context;

#[path = "policy.rs"]
pub mod policy;

/// One live grant of these operations on every relation; where it is for more than reading, of the database's own functions
/// too, which may write.
pub fn everything(snapshot: &Snapshot, operations: &[Operation]) -> Context {
    let own = (operations != [Operation::Select]).then(|| ObjectPattern::parse("public.*").expect("a pattern"));
    let everywhere = Privilege { functions: own.into_iter().collect(), ..policy::allow(&["*.*"], None, operations) };
    policy::context(snapshot, &["us"], vec![everywhere], Vec::new())
}
