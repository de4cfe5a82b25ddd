//! The data path: listener, handshake, gate, relay, replies.

mod registry;

pub use registry::{Registry, SessionInfo};
