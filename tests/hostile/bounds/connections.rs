//! Connections in all, by address and by principal, and those that have not logged in.

use std::time::Duration;

use pgward::access::Operation;
use pgward::audit::Event;
use pgward::session::Bounds;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{refusals, told, until};
use crate::bench::{Bench, Raw, scope, shape};
use crate::world::{Case, World, bounded, details, is_closed, to_the_end, works};

pub const CASES: &[Case] = &[
    ("bounds::connections_in_all", |world| Box::pin(connections_in_all(world))),
    ("bounds::connections_of_one_address", |world| Box::pin(connections_of_one_address(world))),
    ("bounds::connections_of_one_principal", |world| Box::pin(connections_of_one_principal(world))),
    ("bounds::handshakes_in_all", |world| Box::pin(handshakes_in_all(world))),
    ("bounds::handshakes_of_one_address", |world| Box::pin(handshakes_of_one_address(world))),
    ("bounds::who_is_turned_away_can_still_cancel", |world| Box::pin(who_is_turned_away_can_still_cancel(world))),
    ("bounds::a_thousand_silent_sockets", |world| Box::pin(a_thousand_silent_sockets(world))),
];

/// Logs in until it is let in: what was taken is given back soon, not at once.
async fn let_in(bench: &Bench, address: &str, user: &str) -> Raw {
    for _ in 0..300 {
        let (raw, said) = bench.log_in_from(address, user, "pencil").await;
        if said.last().is_some_and(|said| said.tag == b'Z') {
            return raw;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{user} is not let in from {address}");
}

/// Fills a bound of three with a session, a socket that is silent and one inside TLS; the fourth is refused with `message`,
/// and let in once one of them has left. Answers three that are in.
async fn full(world: &World, key: &str, message: &str, change: impl FnOnce(&mut Bounds)) -> (Bench, Vec<Raw>) {
    let bench = world.bench_with(bounded(change)).await;
    let mut session = bench.session().await;
    let silent = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    let half = bench.tls().await;
    let (mut raw, said) = bench.log_in("alice", "plain", "pencil").await;
    let [sqlstate, text, detail, hint] = told(&said);
    assert_eq!((sqlstate.as_str(), text.as_str()), ("53300", message));
    assert_eq!(detail, format!("There are as many as {key} allows."));
    assert!(!hint.is_empty() && is_closed(&to_the_end(&mut raw).await));
    assert_eq!(details(&bench, Event::StartupRefused, 1).await, [message]);
    assert_eq!(refusals(&bench, key), 1);
    assert_eq!(shape(&session.query("SELECT 1").await), "T D C(SELECT 1) Z(I)", "who is in stays in");
    drop(silent);
    let fourth = let_in(&bench, "127.0.0.1", "alice").await;
    drop(half);
    let fifth = let_in(&bench, "127.0.0.1", "alice").await;
    (bench, vec![session, fourth, fifth])
}

async fn connections_in_all(world: World) {
    let change = |bounds: &mut Bounds| bounds.max_connections = 3;
    let (bench, _sessions) = full(&world, "max_connections", "too many connections", change).await;
    let (_, said) = bench.log_in_from("127.0.0.2", "alice", "pencil").await;
    assert_eq!(told(&said)[..2], ["53300", "too many connections"], "whoever it is");
}

async fn connections_of_one_address(world: World) {
    let key = "max_connections_per_address";
    let change = |bounds: &mut Bounds| bounds.max_connections_per_address = 3;
    let (bench, _sessions) = full(&world, key, "too many connections from this address", change).await;
    assert_eq!(told(&bench.log_in("alice", "plain", "pencil").await.1)[0], "53300");
    drop(let_in(&bench, "127.0.0.2", "alice").await);
}

/// Only who has logged in as somebody learns that there are too many of them.
async fn connections_of_one_principal(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_connections_per_principal = 2)).await;
    bench.grant_to("carol", scope("carols", &["public.notes"], &[Operation::Select], None)).await;
    let (first, _second) = (bench.session().await, let_in(&bench, "127.0.0.2", "alice").await);
    let (_, said) = bench.log_in_from("127.0.0.3", "alice", "pencil").await;
    let expected = [
        "53300",
        "too many connections for user \"alice\"",
        "There are 2, as many as max_connections_per_principal allows.",
        "Close connections that are not needed, or try again later.",
    ];
    assert_eq!(told(&said), expected);
    assert_eq!(details(&bench, Event::LoginDenied, 1).await, ["too many connections for this user"]);
    let wrong = told(&bench.log_in("alice", "plain", "guess").await.1);
    assert_eq!(wrong[..2], ["28P01", "password authentication failed for user \"alice\""]);
    assert_eq!(refusals(&bench, "max_connections_per_principal"), 1);
    let _carol = let_in(&bench, "127.0.0.1", "carol").await;
    drop(first);
    let _third = let_in(&bench, "127.0.0.1", "alice").await;
}

async fn handshakes_in_all(world: World) {
    let message = "too many connections that have not logged in yet";
    half_open(&world, "max_handshakes", message, |bounds| bounds.max_handshakes = 2).await;
}

async fn handshakes_of_one_address(world: World) {
    let message = "too many connections from this address that have not logged in yet";
    let change = |bounds: &mut Bounds| bounds.max_handshakes_per_address = 2;
    let (bench, _held) = half_open(&world, "max_handshakes_per_address", message, change).await;
    drop(let_in(&bench, "127.0.0.2", "alice").await);
}

/// Sessions do not count, connections without a login do, whatever they have said so far.
async fn half_open(
    world: &World,
    key: &str,
    message: &str,
    change: impl FnOnce(&mut Bounds),
) -> (Bench, Vec<TcpStream>) {
    let bench = world.bench_with(bounded(change)).await;
    let _sessions = (bench.session().await, bench.session().await, bench.session().await);
    let silent = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    let inside = bench.tls().await;
    let (_, said) = bench.log_in("alice", "plain", "pencil").await;
    assert_eq!(told(&said)[..3], ["53300", message, &format!("There are as many as {key} allows.")]);
    assert_eq!(refusals(&bench, key), 1);
    drop(inside);
    works_soon(&bench).await;
    let again = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    (bench, vec![silent, again])
}

async fn works_soon(bench: &Bench) {
    drop(let_in(bench, "127.0.0.1", "alice").await);
}

/// There is no seat for it, and a cancel request needs none.
async fn who_is_turned_away_can_still_cancel(world: World) {
    let bench = world.bench_with(bounded(|bounds| bounds.max_connections = 1)).await;
    let mut session = bench.session().await;
    let key = session.key.clone();
    session.send(&[pgward::wire::encode::query("SELECT pg_sleep(30)")]).await;
    until("the statement runs", || bench.registry.list().iter().any(|session| session.statement.is_some())).await;
    // What comes before the statement has begun cancels nothing.
    for _ in 0..40 {
        bench.cancel(&key).await;
        if let Ok(said) = tokio::time::timeout(Duration::from_millis(250), session.next()).await {
            let said = if said.tag == b'T' { session.next().await } else { said };
            assert_eq!(told(&[said])[0], "57014");
            return;
        }
    }
    panic!("it was not cancelled");
}

/// They keep nobody else out, are forgotten when their time is up, and leave nothing behind.
async fn a_thousand_silent_sockets(world: World) {
    let settings = bounded(|bounds| {
        (bounds.max_handshakes_per_address, bounds.handshake_timeout) = (100, Duration::from_secs(3));
    });
    let bench = world.bench_with(settings).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(bench.tcp_from("127.0.0.9").await);
    }
    let mut session = let_in(&bench, "127.0.0.2", "alice").await;
    assert_eq!(shape(&session.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    assert_eq!(refusals(&bench, "max_handshakes_per_address"), 900);
    for stream in &mut silent {
        let over = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 8])).await;
        assert!(matches!(over.expect("closed in time"), Ok(0) | Err(_)));
    }
    assert_eq!(refusals(&bench, "handshake_timeout"), 100);
    let records = bench.records(Event::StartupRefused).len();
    assert!(records <= 40, "a flood does not fill the journal: {records}");
    drop(let_in(&bench, "127.0.0.9", "alice").await);
    works(&bench).await;
}
