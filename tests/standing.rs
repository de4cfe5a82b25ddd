//! Standing access on a real PostgreSQL: paths of every kind, all found and none invented.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/installed.rs"]
mod installed;
#[path = "support/postgres.rs"]
mod postgres;

use std::collections::{BTreeMap, BTreeSet};

use pgward::standing::{Facts, Path, future, paths, remedies};
use postgres::TestPostgres;
use tokio_postgres::NoTls;

const PATHS: &str = include_str!("standing/paths.sql");

async fn facts(server: &TestPostgres) -> Facts {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", "standing"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let json = pgward::catalog::standing(&client).await.unwrap().unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Every version that is there; which ones have to be is for those tests to say that are about versions.
fn servers() -> Vec<std::path::PathBuf> {
    let known = installed::installed().into_iter().filter(|(major, _)| (14..=18).contains(major));
    let all: Vec<_> = known.map(|(_, programs)| programs).collect();
    assert!(!all.is_empty(), "no PostgreSQL");
    all
}

async fn version_of(server: &TestPostgres) -> u32 {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", "postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one("SELECT current_setting('server_version_num')", &[]).await.unwrap();
    row.get::<_, &str>(0).parse().unwrap()
}

async fn started(programs: std::path::PathBuf) -> TestPostgres {
    let server = TestPostgres::start_from(programs);
    let run = async |database: &str, sql: &str| {
        let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    };
    run("postgres", "CREATE DATABASE standing").await;
    // Before 15 all views read with their owners' rights: what is to find nothing would be another case there.
    let is_new = version_of(&server).await >= 150_000;
    let paths: String =
        PATHS.lines().filter(|line| is_new || !line.contains("v_asks")).map(|line| format!("{line}\n")).collect();
    run("standing", &paths).await;
    server
}

fn word(path: &Path) -> &'static str {
    match path {
        Path::Superuser => "superuser",
        Path::Owner => "owner",
        Path::Privilege { .. } => "privilege",
        Path::Parent { .. } => "parent",
        Path::AllData { .. } => "alldata",
        Path::View { .. } => "view",
        Path::Definer { .. } => "definer",
        Path::Server { .. } => "server",
        Path::Replication => "replication",
        Path::CreateRole => "createrole",
    }
}

/// What the comments of the script say is to be found.
fn expected(facts: &Facts, tables: &BTreeMap<u32, String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut everything = |role: &str, path: &str| {
        // Predefined roles are bound by row security as others are.
        let rows = |table: &String| if path == "alldata" && table == "app.rows" { " some-rows" } else { "" };
        all.extend(tables.values().map(|table| format!("{role} {table} {path}{}", rows(table))));
    };
    everything("postgres", "superuser");
    for line in PATHS.lines() {
        match line.trim_start_matches("-- ").split(' ').collect::<Vec<_>>()[..] {
            ["expect-everything", role, path] => everything(role, path),
            ["expect-everything-before-16", role, path] if facts.version < 160_000 => everything(role, path),
            _ => {}
        }
    }
    // Whatever PUBLIC has, all have who may connect, but for those whom nothing stops anyway.
    let stopped = ["no_login", "sets_not", "shut_out", "asleep"];
    let unstoppable = ["postgres", "root", "becomes_root"];
    for role in facts.roles.iter().filter(|role| role.login && !stopped.contains(&role.name.as_str())) {
        if !unstoppable.contains(&role.name.as_str()) {
            all.insert(format!("{} open.notices privilege", role.name));
        }
    }
    all.insert("becomes_root open.notices privilege".to_owned());
    for line in PATHS.lines() {
        if let Some(line) = line.strip_prefix("-- expect ") {
            all.insert(line.to_owned());
        }
    }
    all
}

#[tokio::test]
async fn every_path_is_found_and_none_is_invented() {
    for programs in servers() {
        every_path(programs).await;
    }
}

async fn every_path(programs: std::path::PathBuf) {
    let server = started(programs).await;
    let facts = facts(&server).await;
    let schemas: BTreeMap<u32, &str> = facts.schemas.iter().map(|schema| (schema.oid, schema.name.as_str())).collect();
    let tables = facts.relations.iter().filter(|relation| matches!(relation.kind.as_str(), "r" | "p"));
    let tables: BTreeMap<u32, String> =
        tables.map(|table| (table.oid, format!("{}.{}", schemas[&table.schema], table.name))).collect();
    let roles: BTreeMap<u32, &str> = facts.roles.iter().map(|role| (role.oid, role.name.as_str())).collect();
    let found = paths(&facts, &tables.keys().copied().collect());
    let told: BTreeSet<String> = found
        .iter()
        .map(|found| {
            let rows = if found.some_rows { " some-rows" } else { "" };
            format!("{} {} {}{rows}", roles[&found.role], tables[&found.relation], word(&found.path))
        })
        .collect();
    let expected = expected(&facts, &tables);
    let missing: Vec<_> = expected.difference(&told).collect();
    let invented: Vec<_> = told.difference(&expected).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:#?}\ninvented: {invented:#?}");
    let kinds: BTreeSet<&str> = found.iter().map(|found| word(&found.path)).collect();
    assert!(kinds.len() >= 9, "{kinds:?}");
    let to_come: BTreeSet<String> = future(&facts)
        .iter()
        .map(|(default, acl)| {
            let schema = default.schema.map_or("-", |schema| schemas[&schema]);
            format!("{} {schema} {}", roles[&default.role], roles[&acl.grantee])
        })
        .collect();
    assert_eq!(to_come, ["owners - writers", "owners app readers"].map(str::to_owned).into());
}

/// What is proposed closes the path, on the database itself.
#[tokio::test]
async fn what_is_proposed_closes_the_path() {
    for programs in servers() {
        closes(programs).await;
    }
}

async fn closes(programs: std::path::PathBuf) {
    let server = started(programs).await;
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", "standing"), NoTls).await.unwrap();
    tokio::spawn(connection);
    for role in [
        "plain",
        "some_columns",
        "member",
        "chained",
        "by_view",
        "by_function",
        "by_parent",
        "reads_all",
        "copies",
        "by_whole",
        "by_column",
        "by_view_column",
        "by_view_write",
        "by_found",
        "has_passed",
        "passes_on",
        "by_procedure",
    ] {
        let facts = facts(&server).await;
        let oid = facts.roles.iter().find(|known| known.name == role).unwrap().oid;
        let targets = facts.relations.iter().map(|relation| relation.oid).collect();
        let notices = facts.relations.iter().find(|relation| relation.name == "notices").unwrap().oid;
        let of_role = |found: &&pgward::standing::Found| found.role == oid && found.relation != notices;
        for found in paths(&facts, &targets).iter().filter(of_role) {
            for remedy in remedies(&facts, found) {
                client.batch_execute(&remedy).await.unwrap_or_else(|error| panic!("{remedy}: {error}"));
            }
        }
        let after = self::facts(&server).await;
        let left = paths(&after, &targets);
        assert!(!left.iter().any(|found| of_role(&found)), "{role}: {left:#?}");
    }
}
