//! What one peer may have at once, at its edge: the last one that is allowed, the first that is not and what it is told, the next
//! once one has left, and others untouched.

pub mod connections;
pub mod logins;
pub mod reading;
pub mod sessions;

use std::time::Duration;

use crate::bench::{Bench, Said};

/// The error that was said, as a user reads it: SQLSTATE, message, detail, hint.
fn told(said: &[Said]) -> [String; 4] {
    let error = said.iter().find(|said| said.tag == b'E').unwrap_or_else(|| panic!("no error: {said:?}"));
    let field = |code: u8| {
        let fields = error.body.split(|byte| *byte == 0);
        let found = fields.into_iter().find_map(|field| field.strip_prefix(&[code]));
        found.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    };
    [field(b'C'), field(b'M'), field(b'D'), field(b'H')]
}

/// How often something was refused at the bound of this key.
fn refusals(bench: &Bench, key: &str) -> u64 {
    bench.metric(&format!("pgward_bound_refusals_total{{bound=\"{key}\"}}"))
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}
