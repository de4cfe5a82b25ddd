//! pgward: a just-in-time access proxy for PostgreSQL. `ARCHITECTURE.md` has the map.

pub mod access;
pub mod app;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod desk;
pub mod devcerts;
pub mod guarded;
pub mod identity;
pub mod policy;
pub mod replicas;
pub mod retention;
pub mod session;
pub mod sinks;
pub mod sql;
pub mod standing;
pub mod store;
pub mod tlog;
pub mod tls;
pub mod unusual;
pub mod usage;
pub mod wire;
pub mod witness;
