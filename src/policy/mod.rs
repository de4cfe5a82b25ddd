//! decide(statement, footprint, context) → verdict. Pure: no clock, no store, no I/O.

mod context;
mod verdict;

pub use context::{Context, DataClass, DatabasePolicy};
pub use verdict::{Denial, Permit, Rule, Verdict};
