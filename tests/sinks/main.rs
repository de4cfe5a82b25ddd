//! Sinks against what they are for: a real PostgreSQL, TLS receivers that refuse, stall, break off and come back, and the real
//! program killed in the middle. What counts is what arrived.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_debug_implementations,
    dead_code
)]

#[path = "../integration/support/mod.rs"]
mod support;

mod archive;
mod by_hand;
mod lapses;
mod notify;
mod notify_email;
mod otlp;
mod postgresql;
mod program;
mod receivers;
mod rig;
mod syslog;
mod watching;
mod webhook;
