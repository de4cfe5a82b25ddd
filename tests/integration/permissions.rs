//! Who reaches data without pgward: the report on a real database, as its readers would ask for it.

use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, binary, config};

pub const CASES: &[Case] =
    &[("permissions::who_reaches_what_and_what_closes_it", reaches), ("permissions::what_changed_since", since)];

/// `who` begins the names of the roles: those are the whole server's.
fn proxy(bench: &Bench, database: &str, who: &str) -> Proxy {
    bench.postgres.run("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
    bench.postgres.run("postgres", &format!("CREATE DATABASE {database}"));
    bench.postgres.run("postgres", &format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC"));
    bench.postgres.run(
        database,
        &format!(
            "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['{who}_reader', '{who}_member', '{who}_column', '{who}_group', '{who}_looker'] LOOP
                BEGIN EXECUTE format('CREATE ROLE %I', r); EXCEPTION WHEN duplicate_object THEN NULL; END; END LOOP; END $$;
             ALTER ROLE {who}_reader LOGIN; ALTER ROLE {who}_member LOGIN; ALTER ROLE {who}_column LOGIN; ALTER ROLE {who}_looker LOGIN PASSWORD 'pgw_admin_pw';
             GRANT {who}_group TO {who}_member;
             GRANT CONNECT ON DATABASE {database} TO {who}_reader, {who}_member, {who}_column, {who}_looker;
             CREATE TABLE people (id int PRIMARY KEY, name text, iban text);
             CREATE TABLE plain (id int);
             GRANT SELECT, UPDATE ON people TO {who}_reader; GRANT SELECT ON people TO {who}_group;
             GRANT SELECT (id, iban) ON people TO {who}_column; GRANT SELECT ON plain TO {who}_reader;"
        ),
    );
    Proxy::start(bench, &|setup| {
        let (certs, dir, port) = (setup.certs.display(), setup.dir.display(), setup.upstream_port);
        let of = |name: &str, user: &str| {
            format!(
                "[[database]]\nname = \"{name}\"\n\
                 upstream = \"postgresql://{user}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={certs}/ca.crt\"\n\
                 password_file = \"{dir}/admin_password\"\nregion = \"us-east\"\n\
                 [[database.data]]\non = \"public.people\"\ncolumns = [\"iban\"]\nlabels = [\"pii\"]\n"
            )
        };
        let looker = format!("{who}_looker");
        let scope = "[[scope]]\nname = \"people\"\ndatabase = \"crm\"\nregions = [\"us-east\"]\nrequesters = [\"@dev\"]\n\
            approvers = [\"@dba\"]\nmax_duration = \"8h\"\n[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\"]\n";
        let more = [of("crm", "pgw_admin"), of("looked", &looker), scope.to_owned()].join("\n");
        config(setup, &Scopes { more, ..Scopes::default() })
    })
}

fn by_role<'r>(report: &'r Value, relation: &str, role: &str) -> Vec<&'r Value> {
    let reached = report["relations"].as_array().unwrap().iter().find(|one| one["relation"] == relation);
    let access = reached.map(|reached| reached["access"].as_array().unwrap().iter().collect()).unwrap_or_else(Vec::new);
    access.into_iter().filter(|one| one["role"] == role).collect()
}

fn reaches(bench: &Bench) {
    let proxy = proxy(bench, "standing_crm", "st");
    proxy.grant("alice", "people", "30m");
    let alice = proxy.credentials("alice", "crm");
    assert!(proxy.sql(&alice, "SELECT count(*) FROM people").2);
    let report = proxy.json("bob", &["permissions", "crm"]);
    let names: Vec<&str> =
        report["relations"].as_array().unwrap().iter().map(|one| one["relation"].as_str().unwrap()).collect();
    assert_eq!(names, ["public.people"], "what is classified");
    let people = &report["relations"][0];
    assert_eq!((&people["columns"], &people["labels"]), (&serde_json::json!(["iban"]), &serde_json::json!(["pii"])));
    let reader = by_role(&report, "public.people", "st_reader");
    assert_eq!((reader.len(), &reader[0]["privileges"]), (1, &serde_json::json!(["SELECT", "UPDATE"])), "{report:#}");
    let member = by_role(&report, "public.people", "st_member");
    assert_eq!(member[0]["path"], "as a member of st_group, by privilege", "{report:#}");
    assert_eq!(by_role(&report, "public.people", "st_column")[0]["columns"], serde_json::json!(["iban", "id"]));
    assert!(by_role(&report, "public.people", "st_looker").is_empty(), "{report:#}");
    let admin = report["everywhere"].as_array().unwrap().iter().find(|one| one["role"] == "pgw_admin").unwrap();
    assert_eq!(
        (&admin["path"], &admin["is_pgward"], &admin["remedies"]),
        (&"is a superuser".into(), &true.into(), &serde_json::json!([]))
    );
    assert_eq!(
        (&people["used"]["statements"], &people["used"]["principals"]),
        (&1.into(), &serde_json::json!(["alice"])),
        "{people:#}"
    );
    assert!(
        report["logins"]["rules"].as_array().unwrap().iter().any(|rule| rule["method"] == "scram-sha-256"),
        "{report:#}"
    );
    let text = String::from_utf8(proxy.cli("bob", &["permissions", "crm"]).stdout).unwrap();
    assert!(
        text.contains("public.people (iban) [pii]") && text.contains("1 statement through pgward in 90 days, by alice"),
        "{text}"
    );
    // Who may not read the file of logins says so.
    let looked = proxy.json("bob", &["permissions", "looked"]);
    assert!(looked["logins"]["unreadable"].as_str().unwrap().contains("cannot be read"), "{looked:#}");
    assert_eq!(by_role(&looked, "public.people", "st_reader").len(), 1, "any account sees privileges");
    let all = proxy.json("bob", &["permissions", "crm", "--all"]);
    assert_eq!(by_role(&all, "public.plain", "st_reader").len(), 1);
    for person in ["alice", "dave"] {
        let refused = proxy.cli(person, &["permissions", "crm"]);
        assert!(
            !refused.status.success()
                && String::from_utf8_lossy(&refused.stderr).contains("administrators and auditors")
        );
    }
    assert!(
        String::from_utf8_lossy(&proxy.cli("bob", &["permissions", "nothing"]).stderr).contains("is not configured")
    );

    // The scopes that would replace it are such as `check` takes, once somebody has said who and where.
    let scopes = String::from_utf8(proxy.cli("bob", &["permissions", "crm", "--scope"]).stdout).unwrap();
    let scopes =
        scopes.replace("regions = []", "regions = [\"us-east\"]").replace("requesters = []", "requesters = [\"@dev\"]");
    let scopes = scopes.replace("approvers = []", "approvers = [\"@dba\"]");
    let text = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap() + "\n" + &scopes;
    let file = proxy.setup.dir.join("more.toml");
    std::fs::write(&file, text).unwrap();
    let checked = Command::new(binary()).args(["check", "--config"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{scopes}\n{}", String::from_utf8_lossy(&checked.stderr));
    assert!(scopes.contains("instead-of-st-reader") && scopes.contains("do = [\"select\", \"update\"]"), "{scopes}");

    // What is proposed closes it.
    let sql = String::from_utf8(proxy.cli("bob", &["permissions", "crm", "--sql"]).stdout).unwrap();
    let lines: Vec<&str> = sql.lines().filter(|line| line.contains("st_") && !line.starts_with("--")).collect();
    assert!(lines.len() >= 3, "{sql}");
    bench.postgres.run("standing_crm", &lines.join("\n"));
    let after = proxy.json("bob", &["permissions", "crm"]);
    assert_eq!(after["relations"][0]["access"], serde_json::json!([]), "{after:#}");
}

fn since(bench: &Bench) {
    let proxy = proxy(bench, "standing_since", "si");
    let first = proxy.json("bob", &["permissions", "crm"]);
    bench.postgres.run("standing_since", "GRANT DELETE ON people TO si_looker; REVOKE SELECT ON people FROM si_group");
    let report = proxy.json("bob", &["permissions", "crm", "--since", first["made_at"].as_str().unwrap()]);
    let appeared = report["changes"]["appeared"].as_array().unwrap();
    let gone = report["changes"]["gone"].as_array().unwrap();
    assert_eq!(appeared.len(), 1, "{:#}", report["changes"]);
    assert_eq!((&appeared[0][0], &appeared[0][1]), (&"si_looker".into(), &"public.people".into()));
    assert!(gone.len() == 1 && gone[0][0] == "si_member", "{:#}", report["changes"]);
    // Across a restart: reports are kept.
    proxy.crash_and_restart();
    let text = String::from_utf8(proxy.cli("bob", &["permissions", "crm", "--since", "1h"]).stdout).unwrap();
    assert!(text.contains("+ si_looker public.people: by privilege: DELETE"), "{text}");
    assert!(!proxy.cli("bob", &["permissions", "crm", "--since", "yesterday"]).status.success());
    let kept = std::fs::read_dir(proxy.setup.dir.join("audit/standing/crm")).unwrap();
    for entry in kept {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
