//! Feeds `checks/lex.rs`.
#![no_main]

#[path = "../checks/lex.rs"]
mod lex;

libfuzzer_sys::fuzz_target!(|data: &[u8]| lex::check(data));
