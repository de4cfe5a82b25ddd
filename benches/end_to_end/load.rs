//! Our own client put to work: bulk data, connections all at once, sessions that idle, statements one after another. Each
//! job is a process of its own, on the stage's CPU, that prints one line of JSON; the password comes by the environment.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Client, Target, client_tls};
use crate::peers::Peer;
use crate::process::{Program, Stage, myself};

/// A job for the client, against `peer`.
pub fn job(stage: &Stage, peer: &Peer, words: &[&str]) -> Result<Command> {
    let mut command = stage.command(myself()?.get_program());
    command.arg("load").arg(stage.path("certs/ca.crt"));
    command.args([&peer.port.to_string(), &peer.user, &peer.database]).args(words);
    command.env("PGPASSWORD", &peer.password);
    Ok(command)
}

/// Runs a job to its end and answers what it printed last.
///
/// # Errors
/// Where it fails.
pub fn run(stage: &Stage, peer: &Peer, words: &[&str]) -> Result<Value> {
    let mut command = job(stage, peer, words)?;
    let output = command.stderr(Stdio::piped()).env_remove("RUST_BACKTRACE").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || format!("{words:?} through {}: {}", peer.name.text(), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!(failed());
    }
    serde_json::from_str(text.lines().last().unwrap_or_default()).with_context(failed)
}

/// A job that holds its sessions until it is ended.
///
/// # Errors
/// Where the sessions are not all served.
pub fn hold(stage: &Stage, peer: &Peer, sessions: usize, statement: &str) -> Result<Program> {
    let command = job(stage, peer, &["hold", &sessions.to_string(), statement])?;
    let name = format!("hold-{}", peer.port);
    let log = stage.path(&format!("{name}.log"));
    drop(std::fs::remove_file(&log));
    let mut program = stage.start(&name, command, rustix::process::Signal::TERM)?;
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        if std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"held\"")) {
            return Ok(program);
        }
        if Instant::now() > until || program.has_ended() {
            bail!("{sessions} sessions through {}: {}", peer.name.text(), program.log());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The job itself: `load CA PORT USER DATABASE WHAT …`.
///
/// # Errors
/// Where the server refuses.
pub fn work(arguments: &[String]) -> Result<()> {
    let [authority, port, user, database, what, rest @ ..] = arguments else {
        bail!("load CA PORT USER DATABASE WHAT")
    };
    let target = Target {
        port: port.parse()?,
        user: user.clone(),
        password: std::env::var("PGPASSWORD")?,
        database: database.clone(),
        tls: client_tls(Path::new(authority))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let printed = runtime.block_on(async {
        match (what.as_str(), rest) {
            ("query", [text]) => query(&target, text).await,
            ("copy-in", [text, bytes]) => copy_in(&target, text, bytes.parse()?).await,
            ("storm", [sessions]) => storm(&target, sessions.parse()?).await,
            ("hold", [sessions, text]) => hold_on(&target, sessions.parse()?, text).await,
            ("rounds", [sessions, seconds, text]) => rounds(&target, sessions.parse()?, seconds.parse()?, text).await,
            ("distinct", [count, first, seconds]) => {
                distinct(&target, count.parse()?, first.parse()?, seconds.parse()?).await
            }
            ("prepare", [count]) => prepare(&target, count.parse()?).await,
            (other, _) => bail!("{other} is no job"),
        }
    })?;
    println!("{printed}");
    Ok(())
}

async fn query(target: &Target, text: &str) -> Result<Value> {
    let answer = Client::connect(target).await?.query(text).await?;
    Ok(json!({ "rows": answer.rows, "bytes": answer.bytes }))
}

/// Lines of about 1 KB, 64 KB in each message.
async fn copy_in(target: &Target, text: &str, bytes: u64) -> Result<Value> {
    let line = format!("1\t{}\n", "x".repeat(1000));
    let data = line.repeat(64 * 1024 / line.len());
    let answer = Client::connect(target).await?.copy_in(text, data.as_bytes(), bytes).await?;
    Ok(json!({ "bytes": answer.bytes }))
}

/// All connections at once; each runs one statement once it is served, and stays until all are.
async fn storm(target: &Target, sessions: usize) -> Result<Value> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..sessions {
        let target = target.clone();
        tasks.spawn(async move {
            let mut client = Client::connect(&target).await?;
            client.query("SELECT 1").await?;
            Ok::<_, anyhow::Error>(client)
        });
    }
    let (mut clients, mut failed) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        match done? {
            Ok(client) => clients.push(client),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    let first = failed.first().cloned();
    Ok(json!({ "served": clients.len(), "seconds": started.elapsed().as_secs_f64(), "failed": first }))
}

/// Some at a time, so that no server is asked for more than it can.
async fn connect_all(target: &Target, sessions: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(sessions);
    while clients.len() < sessions {
        let mut tasks = JoinSet::new();
        for _ in 0..(sessions - clients.len()).min(20) {
            let target = target.clone();
            tasks.spawn(async move { Client::connect(&target).await });
        }
        while let Some(client) = tasks.join_next().await {
            clients.push(client??);
        }
    }
    Ok(clients)
}

/// Sessions that have each run one statement, and then wait.
async fn hold_on(target: &Target, sessions: usize, text: &str) -> Result<Value> {
    let mut clients = connect_all(target, sessions).await?;
    for client in &mut clients {
        if !text.is_empty() {
            client.query(text).await?;
        }
        client.shrink();
    }
    println!("{}", json!({ "held": clients.len() }));
    std::io::stdout().flush()?;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move { client.wait_for_end().await });
    }
    tasks.join_all().await;
    Ok(json!({ "ended": sessions }))
}

/// Every session runs its statement again and again, as fast as it is answered. A line on the standard input begins it.
async fn rounds(target: &Target, sessions: usize, seconds: f64, text: &str) -> Result<Value> {
    let clients = connect_all(target, sessions).await?;
    println!("{}", json!({ "held": clients.len() }));
    std::io::stdout().flush()?;
    let mut line = String::new();
    // Nothing else is to happen meanwhile, so the thread may wait.
    std::io::stdin().read_line(&mut line)?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let text = text.to_owned();
        tasks.spawn(async move {
            let mut statements = 0_u64;
            while Instant::now() < until {
                client.query(&text).await?;
                statements += 1;
            }
            Ok::<_, anyhow::Error>(statements)
        });
    }
    let mut statements = 0;
    while let Some(done) = tasks.join_next().await {
        statements += done??;
    }
    Ok(json!({ "statements": statements }))
}

/// Statements of which no two have the same words, so that nothing that was kept of one serves another; as many as there is
/// time for.
async fn distinct(target: &Target, count: u64, first: u64, seconds: u64) -> Result<Value> {
    let mut client = Client::connect(target).await?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut done = 0;
    while done < count && Instant::now() < until {
        client.query(&format!("SELECT abalance AS c{} FROM pgbench_accounts WHERE aid = 1", first + done)).await?;
        done += 1;
    }
    Ok(json!({ "statements": done }))
}

/// Prepared statements that stay in one session, which then waits for a line.
async fn prepare(target: &Target, count: u64) -> Result<Value> {
    let mut client = Client::connect(target).await?;
    for number in 0..count {
        client
            .prepare(
                &format!("s{number}"),
                &format!("SELECT abalance AS c{number} FROM pgbench_accounts WHERE aid = $1"),
            )
            .await?;
    }
    println!("{}", json!({ "held": count }));
    std::io::stdout().flush()?;
    let mut line = String::new();
    // Nothing else is to happen meanwhile, so the thread may wait.
    std::io::stdin().read_line(&mut line)?;
    Ok(json!({ "prepared": count }))
}
