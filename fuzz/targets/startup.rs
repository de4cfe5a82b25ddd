//! Feeds `checks/startup.rs`.
#![no_main]

#[path = "../checks/startup.rs"]
mod startup;

libfuzzer_sys::fuzz_target!(|data: &[u8]| startup::check(data));
