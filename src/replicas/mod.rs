//! This replica among those that share its store: known to them, counted with them, asked by them and asking them.
//!
//! | file | owns |
//! | --- | --- |
//! | `member` | joining, being renewed, leaving; the store's clock; what is known of the others |
//! | `seats` | places of sessions that are counted over all replicas |
//! | `calls` | calls of another replica's control port: pinned to its certificate, with a token that only this start has |
//! | `journals` | publishing how far the own journal has come; how far others have |
//! | `metrics` | what is counted |

mod calls;
mod journals;
mod member;
mod metrics;
mod seats;

pub use calls::{CallError, ON_BEHALF, Reply};
pub use journals::{Journal, JournalState};
pub use member::{Alone, Identity, Replicas, Settings};
pub use metrics::Metrics;
pub use seats::{NoSeat, Seat};

/// A call that hands a cancel request on.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct HandedCancel {
    pub process: u32,
    /// In hex.
    pub key: String,
    /// Whose request it is.
    pub address: std::net::IpAddr,
}
