//! One worker: a server of sessions before one database, a copy of that database, and scripts one after another.

use std::sync::Arc;
use std::time::Duration;

use pgward::access::{GrantId, Operation};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::bench::{Bench, upstream_of};
use crate::found;
use crate::generate;
use crate::play::{self, Alike, Before, Both, Difference};
use crate::postgres::TestPostgres;
use crate::reduce::reduce;
use crate::step::{Burst, Script, Step, Text, shown};
use crate::texts::{CONTENTS, FILL};
use crate::wire::Wire;

/// Scripts that share a session.
const A_SESSION: u64 = 40;
/// Scripts that share a server of sessions: its grants live for half an hour.
const A_SERVER: u64 = 2_000;
const ALL: [Operation; 5] =
    [Operation::Select, Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate];
const TABLES: [&str; 3] = ["public.t", "public.sink", "public.uniq"];
const WITH_EXTRA: [&str; 4] = ["public.t", "public.sink", "public.uniq", "public.extra"];

/// The two sides, without any session.
pub struct Pair {
    postgres: Arc<TestPostgres>,
    bench: Bench,
    plain: String,
    extra: Mutex<Option<GrantId>>,
    /// Fill the tables of both sides.
    admins: Mutex<[Wire<UnixStream>; 2]>,
}

impl Pair {
    pub async fn start(postgres: &Arc<TestPostgres>, number: usize) -> Self {
        let (guarded, plain) = (format!("guarded{number}"), format!("plain{number}"));
        let upstream = pgward::session::UpstreamSettings { database: guarded.clone(), ..upstream_of(postgres) };
        let bench = Bench::in_front_of(Arc::clone(postgres), upstream, pgward::session::Settings::default()).await;
        bench.grant("most", &TABLES, &ALL, None).await;
        let admins = Mutex::new([Wire::plain(postgres, &guarded).await, Wire::plain(postgres, &plain).await]);
        Self { postgres: Arc::clone(postgres), bench, plain, extra: Mutex::default(), admins }
    }

    async fn sessions(&self) -> Both {
        let mut tries = 0;
        let guarded = loop {
            let (raw, end) = self.bench.log_in("alice", "plain", "pencil").await;
            if end.last().is_some_and(|said| said.tag == b'Z') {
                break Wire::new(raw.stream);
            }
            // The server has room again once the sessions before have left it.
            tries += 1;
            assert!(tries < 100, "no session: {end:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Both { guarded, plain: Wire::plain(&self.postgres, &self.plain).await }
    }

    async fn fill(&self) {
        for admin in self.admins.lock().await.iter_mut() {
            admin.run(FILL).await;
        }
    }

    /// Gives the second grant, or takes it.
    async fn grant(&self, extra: bool) {
        let mut granted = self.extra.lock().await;
        match (granted.take(), extra) {
            (None, true) => *granted = Some(self.bench.grant("more", &WITH_EXTRA, &ALL, None).await),
            (Some(grant), false) => self.bench.revoke(&grant).await,
            (unchanged, _) => *granted = unchanged,
        }
    }

    /// Runs a script, and looks at what it has left behind.
    pub async fn run(&self, both: &mut Both, script: &Script) -> Result<Alike, Difference> {
        self.fill().await;
        let mut before = Before::default();
        for burst in script {
            self.grant(burst.extra).await;
            if play::burst(both, burst, &mut before).await? == Alike::Ended {
                return Ok(Alike::Ended);
            }
        }
        self.grant(true).await;
        let end = CONTENTS.into_iter().map(|sql| vec![Step::Query(vec![Text::of(sql)])]);
        let say = |sql: &str| vec![Step::Query(vec![Text::of(sql)])];
        let units = [say("ROLLBACK")].into_iter().chain(end).chain([say("DISCARD ALL")]).collect();
        play::burst(both, &Burst { units, extra: true, cuts: vec![] }, &mut before).await
    }

    /// The same in sessions of its own.
    pub async fn run_alone(&self, script: &Script) -> Result<Alike, Difference> {
        self.run(&mut self.sessions().await, script).await
    }
}

/// The seeds that one worker takes.
#[derive(Clone, Copy)]
pub struct Seeds {
    pub first: u64,
    pub end: u64,
    pub step: u64,
}

/// Runs the scripts that once failed; answers what to tell of those that do again.
pub async fn work_on_found(postgres: Arc<TestPostgres>) -> Vec<String> {
    let pair = Pair::start(&postgres, 0).await;
    let mut failures = Vec::new();
    for script in found::scripts() {
        if let Err(difference) = pair.run_alone(&script).await {
            failures.push(format!("{}:\n{}\n{}", difference.kind, shown(&script), difference.detail));
        }
    }
    failures
}

/// Runs scripts; answers what to tell of those that failed.
pub async fn work(postgres: Arc<TestPostgres>, number: usize, seeds: Seeds) -> Vec<String> {
    let mut failures = Vec::new();
    let mut sides: Option<(Pair, Both)> = None;
    for (count, seed) in (seeds.first..seeds.end).step_by(seeds.step as usize).enumerate() {
        let count = count as u64;
        if count.is_multiple_of(A_SERVER) {
            sides = None;
        }
        let (pair, mut both) = match sides.take() {
            None => {
                let pair = Pair::start(&postgres, number).await;
                let both = pair.sessions().await;
                (pair, both)
            }
            Some((pair, _)) if count.is_multiple_of(A_SESSION) => {
                let both = pair.sessions().await;
                (pair, both)
            }
            Some(sides) => sides,
        };
        let script = generate::script(seed);
        match pair.run(&mut both, &script).await {
            Ok(Alike::GoesOn) => {}
            Ok(Alike::Ended) => both = pair.sessions().await,
            Err(difference) => {
                println!("seed {seed}: {}; {}\n{}", difference.kind, difference.detail, shown(&script));
                failures.push(tell(&pair, seed, script, difference).await);
                if failures.len() >= 3 {
                    break;
                }
                both = pair.sessions().await;
            }
        }
        sides = Some((pair, both));
    }
    failures
}

async fn tell(pair: &Pair, seed: u64, script: Script, first: Difference) -> String {
    let again = format!("PGWARD_MODEL_SEED={seed} PGWARD_MODEL_SCRIPTS=1 runs it alone");
    match reduce(pair, script.clone(), first.kind).await {
        Some((script, difference)) => {
            format!("{}; {again}; reduced:\n{}\n{}", difference.kind, shown(&script), difference.detail)
        }
        None => {
            format!("{}; {again}, where it did not fail again:\n{}\n{}", first.kind, shown(&script), first.detail)
        }
    }
}
