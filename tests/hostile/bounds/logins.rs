//! Failed logins and cancel requests: who guesses is stopped, and the one whose password is guessed at is not.

use pgward::audit::Event;
use pgward::wire::encode::{cancel_request, query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{refusals, told, until};
use crate::bench::{Bench, shape};
use crate::world::{Case, World, bounded, details, works};

pub const CASES: &[Case] = &[
    ("bounds::failed_logins_as_one_user", |world| Box::pin(failed_logins_as_one_user(world))),
    ("bounds::failed_logins_from_one_address", |world| Box::pin(failed_logins_from_one_address(world))),
    ("bounds::guesses_at_the_same_time", |world| Box::pin(guesses_at_the_same_time(world))),
    ("bounds::cancel_requests_of_one_address", |world| Box::pin(cancel_requests_of_one_address(world))),
];

const THROTTLED: [&str; 4] = [
    "53300",
    "too many failed logins from this address",
    "Until a minute has passed, no password is looked at.",
    "Correct the password, and try again in a minute.",
];

async fn attempt(bench: &Bench, address: &str, user: &str, password: &str) -> [String; 4] {
    told(&bench.log_in_from(address, user, password).await.1)
}

async fn gets_in(bench: &Bench, address: &str, user: &str) -> bool {
    bench.log_in_from(address, user, "pencil").await.1.last().unwrap().tag == b'Z'
}

/// Who guesses at one user is stopped there, also with the right guess; the user, who logs in from elsewhere, is not, and nor are
/// other users of the same address.
async fn failed_logins_as_one_user(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_failed_logins = 3)).await;
    for user in ["alice", "nobody"] {
        for _ in 0..3 {
            assert_eq!(attempt(&bench, "127.0.0.6", user, "guess").await[0], "28P01", "{user}");
        }
        // A user whom there is, and one whom there is not: the same.
        assert_eq!(attempt(&bench, "127.0.0.6", user, "guess").await, THROTTLED);
        assert_eq!(attempt(&bench, "127.0.0.6", user, "pencil").await, THROTTLED, "the right password tells nothing");
    }
    assert!(gets_in(&bench, "127.0.0.1", "alice").await, "the victim");
    assert_eq!(attempt(&bench, "127.0.0.6", "carol", "guess").await[0], "28P01", "another user of the address");
    assert_eq!(refusals(&bench, "max_failed_logins"), 4);
    assert_eq!(
        details(&bench, Event::LoginDenied, 11).await.iter().filter(|told| told.starts_with(THROTTLED[1])).count(),
        4
    );
    works(&bench).await;
}

async fn failed_logins_from_one_address(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_failed_logins_per_address = 3)).await;
    for user in ["alice", "carol", "nobody"] {
        assert_eq!(attempt(&bench, "127.0.0.6", user, "guess").await[0], "28P01", "{user}");
    }
    assert_eq!(attempt(&bench, "127.0.0.6", "alice", "pencil").await, THROTTLED);
    assert!(gets_in(&bench, "127.0.0.7", "alice").await, "the victim");
    assert_eq!(refusals(&bench, "max_failed_logins_per_address"), 1);
}

/// Twenty guesses that all begin before the first has failed get no more answers than twenty in a row.
async fn guesses_at_the_same_time(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_failed_logins = 3)).await;
    let guess = |number: usize| {
        let bench = &bench;
        async move { attempt(bench, "127.0.0.6", "alice", &format!("guess {number}")).await[0].clone() }
    };
    let answers = futures_util::future::join_all((0..20).map(guess)).await;
    let count = |sqlstate: &str| answers.iter().filter(|answer| *answer == sqlstate).count();
    assert_eq!((count("28P01"), count("53300")), (3, 17), "{answers:?}");
    assert!(gets_in(&bench, "127.0.0.1", "alice").await, "the victim");
}

/// The one beyond the bound is not passed on, whatever its key; one from elsewhere is.
async fn cancel_requests_of_one_address(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_cancels_per_address = 3)).await;
    let mut session = bench.session().await;
    let (process, key) = session.key.clone();
    session.send(&[query("SELECT pg_sleep(30)")]).await;
    until("the statement runs", || bench.registry.list().iter().any(|session| session.statement.is_some())).await;
    for wrong in 1..=3 {
        cancel(&bench, "127.0.0.6", process.wrapping_add(wrong), &key).await;
    }
    cancel(&bench, "127.0.0.6", process, &key).await;
    let records = details(&bench, Event::Cancel, 4).await;
    assert_eq!(records.iter().filter(|told| told.contains("no session has this key")).count(), 3);
    assert_eq!(records[3], "not passed on: too many cancel requests");
    assert_eq!(refusals(&bench, "max_cancels_per_address"), 1);
    cancel(&bench, "127.0.0.7", process, &key).await;
    let said = session.until_ready().await;
    assert_eq!(shape(&said).replace("T ", ""), "E(57014) Z(I)");
}

async fn cancel(bench: &Bench, address: &str, process: u32, key: &[u8]) {
    let mut tcp = bench.tcp_from(address).await;
    tcp.write_all(&cancel_request(process, key)).await.unwrap();
    assert_eq!(tcp.read(&mut [0; 8]).await.unwrap_or(0), 0, "a cancel request is not answered");
}
