//! The control port: HTTPS, the API under `/v1/`, metrics and health. Authenticates callers by token, authorises per
//! object, records every act before it is done. Of `session` it knows only the registry; of SQL, the wire and the
//! upstreams nothing: what it has to ask there it asks through [`Explain`] and [`DeriveVerifier`].

mod acts;
pub mod api;
mod auth;
mod browser;
mod departures;
mod directory;
mod elsewhere;
mod explain;
mod extract;
mod limiter;
mod lines;
mod listener;
mod metrics;
pub mod permissions;
mod problem;
mod proof;
mod provider;
mod refusals;
pub mod retention;
mod router;
mod routes;
mod server;
pub mod usage;
mod views;

pub use directory::{Database, Directory, User};
pub use explain::{Explain, ExplainAnswer, ExplainError, ExplainQuestion};
pub use metrics::Metrics;
pub use permissions::Permissions;
pub use problem::Problem;
pub use provider::{Departure, Named, Offer, Provider, ProviderError, PublicClient, Returned};
pub use router::openapi;
pub use server::{Cancels, Dependencies, DeriveVerifier, Server, Sessions, Settings};
