//! Reports from the journal: how scopes were used, and where classified data went; each counted again by other means.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, config};

pub const CASES: &[Case] = &[
    ("usage::the_narrowest_scope_is_enough_and_no_more", narrowest),
    ("usage::residency_can_be_counted_again_and_proved", residency),
];

const STATEMENTS: [&str; 7] = [
    "SELECT id, body FROM public.notes WHERE id = 1",
    "SELECT body FROM public.notes ORDER BY id",
    "INSERT INTO public.notes (id, body) VALUES (900, 'x')",
    "UPDATE public.notes SET body = 'y' WHERE id = 900",
    "DELETE FROM public.notes WHERE id = 900",
    "SELECT pg_sleep(0)",
    "SELECT id FROM public.seen",
];

fn scope(name: &str, allow: &str) -> String {
    format!(
        "[[scope]]\nname = \"{name}\"\ndatabase = \"used\"\nregions = [\"us-east\"]\nrequesters = [\"@dev\"]\napprovers = [\"@dba\"]\n\
         max_duration = \"8h\"\n{allow}\n"
    )
}

const WIDE: &str = "[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\", \"insert\", \"update\", \"delete\"]\n\
    [[scope.allow]]\nfunctions = [\"pg_catalog.pg_sleep\", \"pg_catalog.pg_advisory_lock\"]\n\
    [[scope.allow]]\non = [\"other.*\"]\ndo = [\"select\"]\n";

fn proxy(bench: &Bench, scopes: &str) -> Proxy {
    Proxy::start(bench, &|setup| {
        let (certs, dir, port) = (setup.certs.display(), setup.dir.display(), setup.upstream_port);
        let more = format!(
            "[[database]]\nname = \"used\"\n\
             upstream = \"postgresql://pgw_admin@localhost:{port}/used?sslmode=verify-full&sslrootcert={certs}/ca.crt\"\n\
             password_file = \"{dir}/admin_password\"\nregion = \"us-east\"\n{scopes}"
        );
        config(setup, &Scopes { more, ..Scopes::default() })
    })
}

fn narrowest(bench: &Bench) {
    bench.postgres.run("postgres", "CREATE DATABASE used");
    bench.postgres.run(
        "used",
        "CREATE TABLE notes (id int PRIMARY KEY, body text, secret text); CREATE TABLE behind (id int, hidden text);
         CREATE VIEW seen AS SELECT id FROM behind; INSERT INTO notes VALUES (1, 'a', 'b');",
    );
    let wide = proxy(bench, &(scope("wide", WIDE) + &scope("never", WIDE) + &scope("unused", WIDE)));
    wide.grant("alice", "wide", "30m");
    let alice = wide.credentials("alice", "used");
    for statement in STATEMENTS {
        let (_, err, ok) = wide.sql(&alice, statement);
        assert!(ok, "{statement}: {err}");
    }
    let (_, _, ok) = wide.sql(&alice, "TRUNCATE public.notes");
    assert!(!ok);
    wide.grant("alice", "unused", "30m");
    let report = wide.json("bob", &["scopes", "suggest"]);
    let of = |name: &str| report["scopes"].as_array().unwrap().iter().find(|one| one["scope"] == name).unwrap();
    assert_eq!(
        (&of("never")["never"], &of("unused")["never"]),
        (&"never asked for".into(), &"never used".into()),
        "{report:#}"
    );
    assert_eq!((&of("wide")["never"], &of("wide")["statements"]), (&Value::Null, &7.into()), "{report:#}");
    assert_eq!(of("wide")["unused"], serde_json::json!(["other.* (select)"]));
    let grant = report["grants"].as_array().unwrap().iter().find(|one| one["scope"] == "wide").unwrap();
    assert_eq!(
        (&grant["privileges_used"], &grant["privileges"], &grant["statements"]),
        (&2.into(), &3.into(), &7.into())
    );
    let refused = report["refused"].as_array().unwrap();
    assert!(
        refused.iter().any(|one| one["operation"] == "truncate" && one["relation"] == "public.notes"),
        "{refused:?}"
    );
    assert_eq!(report["notes"], serde_json::json!([]));
    let narrow = of("wide")["suggestion"].as_str().unwrap().to_owned();
    let toml = String::from_utf8(wide.cli("bob", &["scopes", "suggest", "--scope", "wide", "--toml"]).stdout).unwrap();
    assert!(toml.starts_with("# scope wide") && toml.contains(&narrow), "{toml}");
    assert!(!narrow.contains("secret") && !narrow.contains("behind") && !narrow.contains("advisory"), "{narrow}");
    assert!(!wide.cli("alice", &["scopes", "suggest"]).status.success());
    drop(wide);

    // Under the suggestion everything runs that ran; with any part of it left out, something does not.
    let mut variants = vec![narrow.clone()];
    let lines: Vec<&str> = narrow.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, list)) = line.split_once(" = ") else { continue };
        let items: Vec<&str> = list.trim_matches(['[', ']']).split(", ").collect();
        for item in &items {
            let left: Vec<&str> = items.iter().filter(|other| other != &item).copied().collect();
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            // Nothing left of a list: the whole of its block goes.
            changed[at] = if left.is_empty() { "GONE".to_owned() } else { format!("{key} = [{}]", left.join(", ")) };
            variants.push(changed.join("\n"));
        }
    }
    let variants: Vec<String> = variants.iter().map(|variant| whole_blocks(variant)).collect();
    assert!(variants.len() > 8, "{variants:#?}");
    let scopes: String = variants.iter().enumerate().map(|(at, allow)| scope(&format!("v{at}"), allow)).collect();
    let narrow = proxy(bench, &scopes);
    for (at, variant) in variants.iter().enumerate() {
        let grant = narrow.grant("alice", &format!("v{at}"), "30m");
        let alice: Credentials = narrow.credentials("alice", "used");
        let denied: Vec<&str> = STATEMENTS.into_iter().filter(|statement| !narrow.sql(&alice, statement).2).collect();
        assert_eq!(at == 0, denied.is_empty(), "{variant}: {denied:?}");
        narrow.revoke(&grant);
    }
}

/// Without the blocks that have lost what they are about.
fn whole_blocks(allow: &str) -> String {
    let blocks = allow.split("[[scope.allow]]").filter(|block| !block.trim().is_empty() && !block.contains("GONE"));
    blocks.map(|block| format!("[[scope.allow]]{block}")).collect()
}

fn residency(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| {
        let database = "[[database.data]]\non = \"public.*\"\nlabels = [\"all\"]\n".to_owned();
        // What follows belongs to the first database as much as to the second.
        config(setup, &Scopes { database, ..Scopes::default() })
    });
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    for _ in 0..3 {
        assert!(proxy.sql(&alice, "SELECT id FROM public.notes WHERE id <= 2").2);
    }
    let (_, _, ok) = proxy.sql(&alice, "DELETE FROM public.notes WHERE id = 1 AND '<script>alert(1)</script>' = ''");
    assert!(!ok);
    let report = proxy.json("bob", &["report", "residency", "plain"]);
    let notes = report["relations"].as_array().unwrap().iter().find(|one| one["relation"] == "public.notes").unwrap();
    assert_eq!((&notes["region"], &notes["labels"]), (&"us-east".into(), &serde_json::json!(["all"])), "{report:#}");
    let rows: u64 = bench.postgres.run("plain", "SELECT count(*) FROM notes WHERE id <= 2").trim().parse().unwrap();
    assert_eq!(
        (&notes["allowed"]["statements"], &notes["allowed"]["rows"]),
        (&3.into(), &(3 * rows).into()),
        "{notes:#}"
    );
    assert_eq!(notes["refused"]["statements"], 1, "{notes:#}");
    assert_eq!(notes["exported"], serde_json::json!({}), "the client stands where the data lies");
    let touches = notes["touches"].as_array().unwrap();
    assert_eq!(touches.len(), 2, "{touches:?}");
    assert!(
        touches.iter().all(|one| one["principal"] == "alice"
            && one["client_region"] == "us-east"
            && one["addresses"] == serde_json::json!(["127.0.0.1"])),
        "{touches:?}"
    );
    assert!(report["places"][0]["upstream"].as_str().unwrap().ends_with("/plain"), "{report:#}");
    // Counted again by a search, and one of the records proved.
    for (verdict, figure) in [("allow", "allowed"), ("deny", "refused")] {
        let found = proxy.audit(&[
            "--relation",
            "public.notes",
            "--database",
            "plain",
            "--event",
            "statement",
            "--verdict",
            verdict,
        ]);
        let found: BTreeSet<u64> = found.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
        let named: BTreeSet<u64> =
            notes[figure]["records"].as_array().unwrap().iter().map(|seq| seq.as_u64().unwrap()).collect();
        assert_eq!(found, named, "{figure}");
    }
    let record = notes["allowed"]["records"][0].to_string();
    let bundle = proxy.setup.dir.join("bundle.json");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let proved = proxy.cli("bob", &["audit", "prove", &record, "--out", bundle.to_str().unwrap()]);
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    let verified = proxy.cli("bob", &["audit", "verify", "--bundle", bundle.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(report["proof"]["checkpoint"].as_str().unwrap().contains("\u{2014} "), "it is signed: {report:#}");
    // The page to hand on.
    let file = proxy.setup.dir.join("residency.html");
    let written = proxy.cli("bob", &["report", "residency", "--html", file.to_str().unwrap()]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(
        page.contains("<h2>plain: public.notes") && page.contains("refused: scope") && page.contains(&record),
        "{page}"
    );
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(!page.contains("admin_pw"), "no credential");
    for person in ["alice", "dave"] {
        assert!(!proxy.cli(person, &["report", "residency"]).status.success());
    }
    assert!(!proxy.cli("bob", &["report", "residency", "nothing"]).status.success());
}
