//! What cases share: the one PostgreSQL, servers of sessions in front of it, and what must hold after each attack.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pgward::audit::{EndedBy, Event};
use pgward::session::{Bounds, Settings};

use crate::bench::{Bench, Raw, Said, shape, upstream_of};
use crate::postgres::TestPostgres;

pub type Running = Pin<Box<dyn Future<Output = ()>>>;
pub type Case = (&'static str, fn(World) -> Running);

/// What the upstream's account is protected by: no peer may ever see it.
pub const SECRET: &str = "the-upstream's-own-secret";

pub struct World {
    pub postgres: Arc<TestPostgres>,
}

impl World {
    /// A server of sessions in which alice may use all but `secret`.
    pub async fn bench(&self) -> Bench {
        self.bench_with(settings()).await
    }

    pub async fn bench_with(&self, settings: Settings) -> Bench {
        let bench = Bench::in_front_of(Arc::clone(&self.postgres), upstream_of(&self.postgres), settings).await;
        bench.grant_most().await;
        bench
    }
}

/// The defaults, but for the bound on failed logins, which cases that are not about it would meet.
pub fn settings() -> Settings {
    bounded(|_| {})
}

/// The same with other bounds.
pub fn bounded(change: impl FnOnce(&mut Bounds)) -> Settings {
    let mut bounds = Bounds { max_failed_logins: 100_000, max_failed_logins_per_address: 100_000, ..Bounds::default() };
    change(&mut bounds);
    Settings { bounds, ..Settings::default() }
}

/// A new session works: nothing before it did harm.
pub async fn works(bench: &Bench) {
    let mut raw = bench.session().await;
    let said = raw.query("SELECT body FROM notes WHERE id = 7").await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)");
    assert!(said[1].holds("note 7"));
}

/// The sqlstate of the first error; empty where there is none.
pub fn sqlstate(said: &[Said]) -> String {
    let error = said.iter().find(|said| said.tag == b'E');
    error.map(|error| pgward::wire::backend::error_fields(&error.body).unwrap().sqlstate).unwrap_or_default()
}

/// Whether the connection was ended.
pub fn is_closed(said: &[Said]) -> bool {
    said.last().is_some_and(|said| said.tag == 0)
}

/// Everything that comes until the connection is closed.
pub async fn to_the_end(raw: &mut Raw) -> Vec<Said> {
    let mut all = Vec::new();
    loop {
        let said = raw.next().await;
        let over = said.tag == 0;
        all.push(said);
        if over {
            return all;
        }
    }
}

/// Waits for a record, and answers how the session that closed last was ended.
pub async fn closed(bench: &Bench) -> Option<EndedBy> {
    for _ in 0..300 {
        if bench.registry.list().is_empty()
            && let Some(record) = bench.records(Event::SessionClose).last()
        {
            return record.ended_by;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the session stays open");
}

/// Waits until there are so many records of an event, and answers what they say of it.
pub async fn details(bench: &Bench, event: Event, count: usize) -> Vec<String> {
    for _ in 0..300 {
        let records = bench.records(event);
        if records.len() >= count {
            return records.into_iter().map(|record| record.detail.unwrap_or_default()).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{event:?}: {:?}", bench.records(event));
}
