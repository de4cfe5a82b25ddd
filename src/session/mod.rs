//! The data path: listener, handshake, gate, relay, replies.
//!
//! | file | owns |
//! | --- | --- |
//! | `server`, `handshake`, `parameters`, `authenticate`, `throttle`, `open` | from a connection to a session |
//! | `relay`, `peer`, `replies`, `ends` | the session's one task: both directions, what is owed, when it must end |
//! | `gate`, `judge`, `pass`, `special`, `names`, `analysis`, `catalogs`, `opinions` | what may go upstream, and why |
//! | `upstream`, `transport`, `tls`, `side` | the leg to PostgreSQL |
//! | `records`, `registry`, `metrics`, `settings` | what others see of it, and what it is built from |

mod analysis;
mod authenticate;
mod catalogs;
mod ends;
mod gate;
mod handshake;
mod judge;
mod metrics;
mod names;
mod open;
mod opinions;
mod parameters;
pub mod pass;
mod peer;
mod records;
mod registry;
mod relay;
mod replies;
mod server;
mod settings;
mod side;
mod special;
mod throttle;
mod tls;
mod transport;
mod upstream;

pub use catalogs::{CatalogUnavailable, Unreachable, reach};
pub use judge::second::Explained;
pub use metrics::Metrics;
pub use registry::{Registry, SessionInfo};
pub use server::Server;
pub use settings::{
    DatabaseSettings, Dependencies, Directory, ParameterRecording, SecondOpinion, Settings, SslMode, UpstreamSettings,
    User,
};
pub use tls::{ALPN, ServerTls};
