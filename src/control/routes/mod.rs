//! The handlers, one file for each kind of thing. Each checks what its caller may do with the very object it is about.

pub mod audit;
pub mod credentials;
pub mod decisions;
pub mod emergencies;
pub mod explain;
pub mod grants;
pub mod holds;
pub mod login;
pub mod permissions;
pub mod proof;
pub mod requests;
pub mod retention;
pub mod scopes;
pub mod service;
pub mod sessions;
pub mod unusual;
pub mod usage;
pub mod web;
