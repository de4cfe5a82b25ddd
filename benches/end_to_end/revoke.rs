//! From the answer to a revocation until the backend is gone, with a thousand live sessions: the clock starts when the answer
//! is read and stops when the process of the backend is no more. Every second one is in the middle of a statement.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::bench::Bench;
use crate::client::{Client, Target, client_tls};
use crate::control::{Control, text};
use crate::load;
use crate::peers::Name;
use crate::pgward::Pgward;
use crate::table::{Aim, Figures, Row};

const SESSIONS: usize = 1000;
const ONE: [(&str, usize, Aim); 3] = [
    ("revoke until the backend is gone, one of 1,000 sessions, p50", 50, Aim::None),
    ("revoke until the backend is gone, one of 1,000 sessions, p99", 99, Aim::AtMost(50.0)),
    ("revoke until the backend is gone, one of 1,000 sessions, worst", 100, Aim::None),
];
const ALL: &str = "revoke until the last of 1,000 backends under one grant is gone";
const ANSWER: &str = "revoke until it is answered, p50";

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = ONE.into_iter().map(|(key, _, aim)| Row::new("8", key, "ms", aim)).collect();
    rows.push(Row::new("8", ALL, "ms", Aim::None));
    rows.push(Row::new("8", ANSWER, "ms", Aim::None));
    rows
}

/// # Errors
/// Where a session is refused, or does not end.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let stage = bench.stage.unpinned();
    let pgward = Pgward::start(&stage, &bench.settings, "pgward-revoke", bench.server.port, &[])?;
    let crowd = load::hold(&stage, &pgward.peer, SESSIONS, "SELECT 1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control = Control::new(&pgward)?;
        let samples = if bench.settings.rounds > 1 { 200 } else { 40 };
        let one = one_by_one(bench, &pgward, &control, samples).await?;
        for (key, percentile, _) in ONE {
            figures.add(key, Name::Pgward, one.gone[(one.gone.len() - 1) * percentile / 100]);
        }
        figures.add(ANSWER, Name::Pgward, one.answered[one.answered.len() / 2]);
        let grants = control.get(&pgward.alice, "/grants").await?;
        let list = grants.as_array().or_else(|| grants.get("grants").and_then(|list| list.as_array()));
        let grant = text(list.and_then(|list| list.first()).context("no grant")?, "id")?;
        let before = backends(bench)?;
        control.post(&pgward.bob, &format!("/grants/{grant}/revoke"), &json!({})).await?;
        let answered = Instant::now();
        gone(&before, answered).await?;
        figures.add(ALL, Name::Pgward, answered.elapsed().as_secs_f64() * 1e3);
        anyhow::Ok(())
    })?;
    drop(crowd);
    Ok(())
}

/// Milliseconds, in order.
struct Times {
    gone: Vec<f64>,
    answered: Vec<f64>,
}

async fn one_by_one(bench: &Bench, pgward: &Pgward, control: &Control, samples: usize) -> Result<Times> {
    let minted = control.post(&pgward.carol, "/credentials", &json!({ "database": "bench" })).await?;
    let target = Target {
        port: pgward.peer.port,
        user: "carol".to_owned(),
        password: text(&minted, "password")?,
        database: "bench".to_owned(),
        tls: client_tls(&bench.stage.path("certs/ca.crt"))?,
    };
    let crowd = backends(bench)?;
    let mut times = Times { gone: Vec::new(), answered: Vec::new() };
    for sample in 0..samples {
        let grant = control.grant(&pgward.carol, &pgward.bob).await?;
        let mut client = Client::connect(&target).await?;
        client.query("SELECT 1").await?;
        let own: BTreeSet<u32> = backends(bench)?.difference(&crowd).copied().collect();
        let waits = async {
            if sample % 2 == 1 {
                // It ends with an error, which is what it is for.
                drop(client.query("SELECT pg_sleep(60)").await);
            }
            client.wait_for_end().await;
        };
        let revokes = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let asked = Instant::now();
            control.post(&pgward.bob, &format!("/grants/{grant}/revoke"), &json!({})).await?;
            let answered = Instant::now();
            gone(&own, answered).await?;
            Ok::<_, anyhow::Error>((answered.elapsed(), answered - asked))
        };
        let ((), times_of_one) = tokio::join!(waits, revokes);
        let (gone, answered) = times_of_one?;
        times.gone.push(gone.as_secs_f64() * 1e3);
        times.answered.push(answered.as_secs_f64() * 1e3);
    }
    times.gone.sort_by(f64::total_cmp);
    times.answered.sort_by(f64::total_cmp);
    Ok(times)
}

/// The processes of sessions; those that read the catalogs are not among them.
fn backends(bench: &Bench) -> Result<BTreeSet<u32>> {
    let asked = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND client_addr IS NOT NULL
                    AND application_name NOT LIKE 'pgward %'";
    Ok(bench.server.sql("postgres", asked)?.lines().filter_map(|line| line.parse().ok()).collect())
}

async fn gone(backends: &BTreeSet<u32>, since: Instant) -> Result<()> {
    for pid in backends {
        let process = std::path::PathBuf::from(format!("/proc/{pid}"));
        while process.exists() {
            if since.elapsed() > Duration::from_secs(60) {
                bail!("backend {pid} is there a minute after");
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    Ok(())
}
