//! The fuzz targets' checks, run over their seeds: `fuzz/corpus/<target>/*`, and each as the starts of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;

#[path = "../fuzz/checks/decoders.rs"]
mod decoders;
#[path = "../fuzz/checks/frames.rs"]
mod frames;
#[path = "../fuzz/checks/lex.rs"]
mod lex;
#[allow(dead_code, reason = "each test takes what it needs of this")]
#[path = "support/postgres.rs"]
mod postgres;
#[path = "../fuzz/checks/read.rs"]
mod read;
#[path = "../fuzz/checks/redact.rs"]
mod redact;
#[path = "../fuzz/checks/resolve.rs"]
mod resolve;
#[path = "../fuzz/checks/scram.rs"]
mod scram;
#[path = "../fuzz/checks/session.rs"]
mod session;
#[path = "../fuzz/checks/startup.rs"]
mod startup;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(seeds.len() > 3, "{target} has no seeds");
    for seed in seeds {
        let data = std::fs::read(&seed).unwrap();
        check(&data);
        // A seed cut short is another one.
        for part in 1..8 {
            check(&data[..data.len() * part / 8]);
        }
    }
}

#[test]
fn lex_holds_on_its_seeds() {
    replay("lex", lex::check);
}

#[test]
fn read_holds_on_its_seeds() {
    replay("read", read::check);
}

#[test]
fn redact_holds_on_its_seeds() {
    replay("redact", redact::check);
}

#[test]
fn resolve_holds_on_its_seeds() {
    replay("resolve", resolve::check);
}

#[test]
fn frames_holds_on_its_seeds() {
    replay("frames", frames::check);
}

#[test]
fn startup_holds_on_its_seeds() {
    replay("startup", startup::check);
}

#[test]
fn decoders_holds_on_its_seeds() {
    replay("decoders", decoders::check);
}

#[test]
fn scram_holds_on_its_seeds() {
    replay("scram", scram::check);
}

#[test]
fn session_holds_on_its_seeds() {
    replay("session", session::check);
}
