//! What one peer may have at once, at its edge: the last one that is allowed, the first that is not, and others untouched.

use bytes::Bytes;
use pgward::audit::Event;
use pgward::session::Settings;
use pgward::wire::encode::{parse, query, sync};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::bench::shape;
use crate::world::{Case, World, details, settings, sqlstate, to_the_end, works};

pub const CASES: &[Case] = &[
    ("bounds::connections_from_one_address", |world| Box::pin(connections_from_one_address(world))),
    ("bounds::connections_in_all", |world| Box::pin(connections_in_all(world))),
    ("bounds::failed_logins_of_one_user", |world| Box::pin(failed_logins_of_one_user(world))),
    ("bounds::length_of_a_message", |world| Box::pin(length_of_a_message(world))),
    ("bounds::named_statements", |world| Box::pin(named_statements(world))),
];

async fn connections_from_one_address(world: World) {
    full(&world, Settings { max_per_address: 3, ..settings() }).await;
}

async fn connections_in_all(world: World) {
    full(&world, Settings { max_connections: 3, ..settings() }).await;
}

/// Half-open connections count like sessions; what was taken is given back.
async fn full(world: &World, settings: Settings) {
    let bench = world.bench_with(settings).await;
    let mut session = bench.session().await;
    let silent = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    let half = bench.tls().await;
    let mut fourth = TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap();
    assert!(matches!(fourth.read(&mut [0; 8]).await, Ok(0) | Err(_)), "closed at once");
    assert_eq!(details(&bench, Event::StartupRefused, 1).await, ["too many connections"]);
    assert_eq!(shape(&session.query("SELECT 1").await), "T D C(SELECT 1) Z(I)", "who is in stays in");
    drop((silent, half, fourth));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    works(&bench).await;
}

/// Who guesses at one user is stopped there; other users of the same address are not.
async fn failed_logins_of_one_user(world: World) {
    let bench = world.bench_with(Settings { max_failed_logins_of_user: 3, ..settings() }).await;
    for _ in 0..3 {
        assert_eq!(sqlstate(&bench.log_in("mallory", "plain", "guess").await.1), "28P01");
    }
    let mut raw = bench.raw().await;
    raw.send(&[pgward::wire::encode::startup(0, &[("user", "mallory"), ("database", "plain")])]).await;
    assert_eq!(shape(&to_the_end(&mut raw).await), "E(53300) closed");
    works(&bench).await;
}

async fn length_of_a_message(world: World) {
    let bench = world.bench_with(Settings { max_message: 2_048, ..settings() }).await;
    let mut raw = bench.session().await;
    let text = |length: usize| query(&format!("SELECT '{}'", "x".repeat(length - "SELECT ''\0".len())));
    assert_eq!(shape(&raw.ask(&[text(2_048)]).await), "T D C(SELECT 1) Z(I)");
    raw.send(&[text(2_049)]).await;
    assert_eq!(shape(&to_the_end(&mut raw).await), "E(08P01) closed");
    // Refused by its header, before any of it is there.
    let mut raw = bench.session().await;
    raw.send(&[Bytes::from_static(b"Q\0\0\x08\x05")]).await;
    assert_eq!(shape(&to_the_end(&mut raw).await), "E(08P01) closed");
    works(&bench).await;
}

async fn named_statements(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let mut all: Vec<Bytes> = (0..5_000).map(|index| parse(&format!("s{index}"), "SELECT 1")).collect();
    all.push(sync());
    assert_eq!(raw.ask(&all).await.len(), 5_001);
    let said = raw.ask(&[parse("one_more", "SELECT 1"), sync()]).await;
    assert!(said[0].holds("too many prepared statements") && shape(&said).ends_with("Z(I)"), "{said:?}");
    assert_eq!(shape(&raw.ask(&[parse("", "SELECT 1"), sync()]).await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("DEALLOCATE ALL").await), "C(DEALLOCATE ALL) Z(I)");
    assert_eq!(shape(&raw.ask(&[parse("one_more", "SELECT 1"), sync()]).await), "1 Z(I)");
    works(&bench).await;
}
