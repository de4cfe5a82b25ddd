//! Our reader against PostgreSQL's own: libpg_query is the server's scanner and grammar (version 18) as a library.
//!
//! [`lexer`]: the same tokens, or refused. [`keywords`]: the same words reserved. [`reader`]: no statement, relation,
//! function, column or type that PostgreSQL's tree has is missing from ours. [`nasty`]: no text brings us down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stdout, reason = "the summary of a run is what it is for")]

mod corpus;
mod facts;
mod grammar;
mod keywords;
mod lexer;
mod mutate;
mod nasty;
mod ours;
mod random;
mod reader;
mod theirs;
