//! Witnesses: somebody else who remembers how far a log had come, and signs that it only grew. After C2SP tlog-witness.
//!
//! | file | owns |
//! | --- | --- |
//! | `request` | what is sent to a witness: an old size, a proof, a checkpoint. Pure |
//! | `judge`, `state` | what a witness answers; what it remembers, and the evidence that it keeps |
//! | `server` | a witness's port |
//! | `client` | one call of a witness |
//! | `keeper` | having every checkpoint of our own log witnessed, and saying so where it is not |
//!
//! A witness knows nothing of pgward: any log of this kind can be witnessed, and any witness can witness pgward's.

mod client;
mod judge;
mod keeper;
mod request;
mod server;
mod state;
#[cfg(test)]
mod tests;

pub use client::{ClientError, check_url};
pub use judge::{Answer, Witness};
pub use keeper::{Alarm, Keeper, Metrics, Place};
pub use request::AddCheckpoint;
pub use server::{Tls, serve};
pub use state::StateError;
