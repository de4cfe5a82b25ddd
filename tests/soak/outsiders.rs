//! What others do meanwhile: administrators of the database, approvers, operators.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pgward::wire::encode;

use crate::random::Random;
use crate::raw::Raw;
use crate::{MARK, Work};

/// The database's administrator ends a backend, whatever it is at; sometimes all of them.
pub fn kills(work: &Work, random: &mut Random) {
    let most = if random.below(20) == 0 { 100 } else { 1 };
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
         WHERE application_name LIKE '{MARK}%' ORDER BY random() LIMIT {most}) a"
    );
    work.bench.postgres.run("postgres", &sql);
    work.harm.fetch_add(1, Ordering::Relaxed);
}

/// A grant comes, a session lives by it, and ends with it.
pub fn grants(work: &Work, random: &mut Random) {
    let grant = work.proxy.grant("erin", "plain-read", "10m");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Ok(mut raw) = Raw::log_in(work, &work.erin, "granted").await else {
            work.proxy.revoke(&grant);
            return;
        };
        work.count(1);
        let said = ["SELECT pg_sleep(30)", "BEGIN; SELECT 1", "SELECT * FROM public.wide a, public.wide b"];
        // It may have been killed by then.
        let _ = raw.send(&encode::query(said[random.below(said.len())])).await;
        work.proxy.revoke(&grant);
        assert!(raw.is_ended(Duration::from_secs(10)).await, "the session outlives its grant");
    });
    work.harm.fetch_add(1, Ordering::Relaxed);
}

/// The operator reads the configuration again.
pub fn reloads(work: &Work, _random: &mut Random) {
    work.proxy.signal("HUP");
    work.harm.fetch_add(1, Ordering::Relaxed);
}

/// Tables come, change and go; what the clients write to is emptied now and then.
pub fn changes_tables(work: &Work, random: &mut Random) {
    let sql = match random.below(4) {
        0 => "CREATE TABLE IF NOT EXISTS public.comes (id int)",
        1 => "DROP TABLE IF EXISTS public.comes",
        2 => "ALTER TABLE public.sink ADD COLUMN IF NOT EXISTS more text; ALTER TABLE public.sink DROP COLUMN more",
        _ => "TRUNCATE public.sink",
    };
    // A client's open transaction may hold the table.
    work.bench.postgres.run("plain", &format!("SET lock_timeout = '20s'; {sql}"));
    work.harm.fetch_add(1, Ordering::Relaxed);
}
