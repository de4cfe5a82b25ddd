//! A statement's whole way to its verdict, on the policy world's catalogs: it comes to one, and always to the same.
//!
//! The catalogs are read once from a server of the check's own, which is gone before the first statement.

use std::path::Path;
use std::sync::OnceLock;

use pgward::catalog::{Snapshot, resolve};
use pgward::policy::{Context, Verdict, decide};
use pgward::sql::{Limits, read};

use crate::postgres;

#[path = "../../tests/support/policy.rs"]
mod policy;

pub fn check(data: &[u8]) {
    static SEEN: OnceLock<(Snapshot, Context)> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(statements) = read(text, &Limits::default()) else { return };
    let (snapshot, context) = SEEN.get_or_init(world);
    for statement in statements {
        let resolved = resolve(snapshot, &statement.action);
        let verdict = decide(&statement, text, &resolved, context);
        let again = decide(&statement, text, &resolve(snapshot, &statement.action), context);
        assert_eq!(format!("{verdict:?}"), format!("{again:?}"));
        if let Verdict::Allow(_permit) = verdict {
            // What is forwarded must have been understood, and no scope here allows anything of these schemas.
            let footprint = resolved.expect("an allowed statement is resolved");
            for relation in &footprint.relations {
                assert!(!matches!(relation.schema.as_ref(), "hr" | "eu"), "{text:?} is allowed");
            }
        }
    }
}

fn world() -> (Snapshot, Context) {
    let server = postgres::TestPostgres::start();
    // Beside this file, whichever package it is built into.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql");
    let script =
        if script.exists() { script } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/world/world.sql") };
    server.run_script("postgres", &script);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let snapshot = runtime.block_on(async {
        let dsn = server.dsn("postgres", "shop");
        let (client, connection) = tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        Snapshot::load(&client).await.expect("a snapshot")
    });
    let context = policy::context(&snapshot, &["us"], policy::world_grant(), Vec::new());
    (snapshot, context)
}
