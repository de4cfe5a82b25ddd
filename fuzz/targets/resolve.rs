//! Feeds `checks/resolve.rs`.
#![no_main]

#[path = "../checks/resolve.rs"]
mod resolve;

libfuzzer_sys::fuzz_target!(|data: &[u8]| resolve::check(data));
