//! The data path: listener, handshake, gate, relay, replies.
//!
//! | file | owns |
//! | --- | --- |
//! | `server`, `bounds`, `admission`, `balancer`, `handshake`, `parameters`, `authenticate`, `bearer`, `throttle`, `refusals`, `routes`, `open` | from a connection to a session |
//! | `relay`, `peer`, `replies`, `given`, `reason`, `ends`, `pulse`, `contained` | the session's one task: both directions, what is owed, when it must end |
//! | `gate`, `judge`, `pass`, `special`, `asking`, `held`, `names`, `analysis`, `catalogs`, `uncommitted`, `opinions` | what may go upstream, and why |
//! | `upstream`, `places`, `login`, `salted`, `nonce`, `transport`, `tls`, `side`, `leg` | the leg to PostgreSQL |
//! | `rehearsal` | a session without its logins, for the fuzz targets |
//! | `exports` | what leaves its region, counted |
//! | `roles` | the short-lived role that a session logs in as |
//! | `records`, `binds`, `registry`, `cancels`, `holds`, `metrics`, `settings` | what others see of it, and what it is built from |

mod admission;
pub mod analysis;
mod aside;
pub mod asking;
mod authenticate;
mod balancer;
mod bearer;
mod binds;
mod bounds;
mod bulk;
mod cancels;
mod catalogs;
mod contained;
mod ends;
mod estimates;
mod exports;
mod gate;
mod given;
mod handshake;
mod held;
mod holds;
mod judge;
mod leg;
mod login;
mod metrics;
mod names;
mod nonce;
mod open;
mod opinions;
mod parameters;
pub mod pass;
mod peer;
mod places;
mod pulse;
mod reason;
mod records;
mod refusals;
mod registry;
mod rehearsal;
mod relay;
mod replies;
mod roles;
mod routes;
mod salted;
mod server;
mod settings;
mod side;
mod special;
mod throttle;
mod tls;
mod transport;
mod uncommitted;
mod upstream;
mod uses;

pub use balancer::Balancers;
pub use bounds::{Bound, Bounds};
pub use catalogs::{CatalogUnavailable, Unreachable, own_connection_to, reach};
pub use estimates::Estimated;
pub use holds::Holds;
pub use judge::second::Explained;
pub use metrics::Metrics;
pub use registry::{Registry, SessionInfo};
pub use roles::{Examined, examine};
pub use routes::find as find_database;
pub use server::Server;
pub use settings::{
    DatabaseSettings, Dependencies, Directory, Login, ParameterRecording, Place, RoleSettings, SecondOpinion,
    SessionAttrs, Settings, SslMode, UpstreamSettings, User,
};
pub use side::{SideClient, SideError, SideRow};
pub use tls::{ALPN, ServerTls};
