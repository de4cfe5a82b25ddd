//! Unusual access: what a principal does that it never did, or far more than it does, found in the journal's records as they come.
//!
//! Nothing here learns anything that cannot be told in one sentence with its figures. What is found depends on the records alone, their
//! times included: the same journal gives the same findings, whenever it is read.

mod habits;
mod rows;
mod settings;
#[cfg(test)]
mod tests;
mod watch;

pub use settings::{Action, Rule, Settings};
pub use watch::{Finding, Watch};
