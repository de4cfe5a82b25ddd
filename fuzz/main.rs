//! The fuzzer: feeds the check that `PGWARD_FUZZ` names. `scripts/fuzz.sh` builds it once, for all of them.
#![no_main]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations,
    reason = "tests"
)]

use std::sync::OnceLock;

#[path = "checks/decoders.rs"]
mod decoders;
#[path = "checks/frames.rs"]
mod frames;
#[path = "checks/lex.rs"]
mod lex;
#[allow(dead_code, reason = "each test takes what it needs of this")]
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[path = "checks/read.rs"]
mod read;
#[path = "checks/redact.rs"]
mod redact;
#[path = "checks/resolve.rs"]
mod resolve;
#[path = "checks/scram.rs"]
mod scram;
#[path = "checks/session.rs"]
mod session;
#[path = "checks/startup.rs"]
mod startup;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static CHECK: OnceLock<fn(&[u8])> = OnceLock::new();
    CHECK.get_or_init(chosen)(data);
});

fn chosen() -> fn(&[u8]) {
    match std::env::var("PGWARD_FUZZ").as_deref() {
        Ok("decoders") => decoders::check,
        Ok("frames") => frames::check,
        Ok("lex") => lex::check,
        Ok("read") => read::check,
        Ok("redact") => redact::check,
        Ok("resolve") => resolve::check,
        Ok("scram") => scram::check,
        Ok("session") => session::check,
        Ok("startup") => startup::check,
        Ok(_) | Err(_) => panic!("PGWARD_FUZZ names none of the checks"),
    }
}
