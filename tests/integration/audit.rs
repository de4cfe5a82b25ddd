//! The journal as an auditor uses it: complete, searchable, and found out when somebody edits it.

use std::path::PathBuf;
use std::process::Command;

use crate::Case;
use crate::support::{Bench, Proxy, binary};

pub const CASES: &[Case] = &[
    ("audit::a_statement_leaves_two_records", statement_leaves_two_records),
    ("audit::bind_values_are_recorded", bind_values_are_recorded),
    ("audit::verify_finds_an_edit_offline", verify_finds_an_edit_offline),
    ("audit::agrees_with_the_servers_own_log", agrees_with_the_servers_own_log),
    ("audit::survives_a_crash", survives_a_crash),
    ("audit::everyone_sees_their_own_only", everyone_sees_their_own_only),
    ("audit::passwords_are_redacted", passwords_are_redacted),
    ("audit::a_session_is_replayed_as_psql_showed_it", a_session_is_replayed_as_psql_showed_it),
    ("audit::statements_are_found_by_their_results", statements_are_found_by_their_results),
];

fn statement_leaves_two_records(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    let sql = "SELECT id, name FROM public.customers WHERE id < 4";
    assert!(proxy.sql(&alice, sql).2);
    let found = proxy.audit(&["--text", "id < 4"]);
    let before = found.iter().find(|record| record["event"] == "statement").unwrap();
    for (field, expected) in [
        ("principal", "alice"),
        ("database", "shop"),
        ("upstream_region", "us-east"),
        ("client_region", "us-east"),
        ("grant", &grant),
        ("reason", "the tests need it"),
        ("protocol", "simple"),
        ("statement", sql),
        ("kind", "SELECT"),
        ("verdict", "allow"),
        ("application_name", "psql"),
    ] {
        assert_eq!(before[field], expected, "{field} of {before}");
    }
    for field in
        ["time", "seq", "session", "groups", "client_addr", "request", "approvers", "fingerprint", "policy_version"]
    {
        assert!(!before[field].is_null(), "{field} of {before}");
    }
    let relation = before["relations"].to_string();
    assert!(
        relation.contains("public.customers") && relation.contains("select") && relation.contains("name"),
        "{relation}"
    );
    let all = proxy.audit(&["--session", before["session"].as_str().unwrap()]);
    let end = all.iter().find(|record| record["statement_seq"] == before["seq"]).unwrap();
    assert_eq!((end["rows"].as_u64(), end["command_tag"].as_str()), (Some(3), Some("SELECT 3")), "{end}");
    assert!(end["duration_us"].is_u64() && end["bytes"].as_u64() > Some(0) && end["ended_by"] == "completed", "{end}");
    let (first, last) = (all.first().unwrap(), all.last().unwrap());
    assert_eq!((first["event"].as_str(), last["event"].as_str()), (Some("session_open"), Some("session_close")));
}

fn bind_values_are_recorded(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = crate::support::connect(&proxy, &alice).await;
        client.query("SELECT id FROM public.notes WHERE body = $1", &[&"note 3"]).await.unwrap();
    });
    let found = proxy.audit(&["--text", "WHERE body = $1"]);
    // The driver sends text in binary format; the record shows it as text.
    assert!(found.iter().any(|record| record["parameters"][0] == "note 3"), "{found:?}");
}

fn journal_files(proxy: &Proxy) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(proxy.setup.dir.join("audit"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn verify(proxy: &Proxy) -> serde_json::Value {
    let dir = proxy.setup.dir.join("audit");
    let output = Command::new(binary()).args(["audit", "verify", "-o", "json", "--dir"]).arg(dir).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.success(), report["ok"] == true, "{report}");
    report
}

fn verify_finds_an_edit_offline(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    for id in 1..=5 {
        assert!(proxy.sql(&alice, &format!("SELECT body FROM public.notes WHERE id = {id}")).2);
    }
    let sound = verify(&proxy);
    assert!(sound["ok"] == true && sound["records"].as_u64() > Some(10), "{sound}");
    assert_eq!(proxy.json("bob", &["audit", "verify"])["ok"], true);

    let file = journal_files(&proxy).pop().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let mut named = Vec::new();
    for part in 1..=8 {
        let mut edited = bytes.clone();
        edited[bytes.len() * part / 9] ^= 1;
        std::fs::write(&file, edited).unwrap();
        let report = verify(&proxy);
        assert_eq!(report["ok"], false);
        named.push(report["first_bad"].as_u64().unwrap());
    }
    assert!(named.is_sorted() && named[0] > 1 && named[7] <= sound["records"].as_u64().unwrap(), "{named:?}");
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(verify(&proxy)["ok"], true);
}

fn agrees_with_the_servers_own_log(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let script = proxy.setup.dir.join("mixed.sql");
    let text = "\\set id random(1, 10)\nSELECT body FROM public.notes WHERE id = :id;\nBEGIN;\n\
                INSERT INTO public.sink VALUES (:id, 'mixed');\nUPDATE public.notes SET body = body WHERE id = :id;\nCOMMIT;\n";
    std::fs::write(&script, text).unwrap();
    let name = "mixed-workload";
    for (mode, transactions) in [("simple", "170"), ("extended", "170"), ("prepared", "170")] {
        let mut pgbench = proxy.client("pgbench", &alice);
        pgbench
            .env("PGAPPNAME", name)
            .args(["-n", "-c", "4", "-j", "2", "-M", mode, "-t", transactions, "-f"])
            .arg(&script);
        let output = pgbench.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // Statements that fail, and refused ones in between, which never reach the server's log as statements.
    for _ in 0..20 {
        let mut psql = proxy.psql_with(&alice);
        psql.env("PGAPPNAME", name).args([
            "-c",
            "SELECT 1/0",
            "-c",
            "DROP TABLE public.notes",
            "-c",
            "SELECT 1; SELECT 2",
        ]);
        psql.output().unwrap();
    }
    let logged = bench.postgres.log();
    let on_server = logged.lines().filter(|line| is_logged_statement(line, name)).count();
    let recorded = proxy
        .audit(&["--principal", "alice", "--limit", "100000"])
        .into_iter()
        .filter(|record| {
            record["event"] == "statement" && record["verdict"] == "allow" && record["application_name"] == name
        })
        .filter(|record| record["kind"] != "PARSE")
        .count();
    assert!(on_server >= 10_000, "{on_server} statements on the server");
    assert_eq!(recorded, executed(on_server, &proxy, name), "the journal and the server's log");
    assert_eq!(verify(&proxy)["ok"], true);
}

/// A simple message of several statements is one line of the server's log: here each of the 20 held two.
fn executed(lines: usize, _proxy: &Proxy, _name: &str) -> usize {
    lines + 20
}

fn is_logged_statement(line: &str, application: &str) -> bool {
    line.contains(&format!("{application}|LOG:  ")) && (line.contains("  statement: ") || line.contains("  execute "))
}

fn survives_a_crash(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&alice, "SELECT 'before the crash'").2);
    proxy.crash_and_restart();
    assert!(proxy.sql(&alice, "SELECT 'after the crash'").2, "the grant and the credential outlive the process");
    for text in ["before the crash", "after the crash"] {
        assert!(!proxy.audit(&["--text", text]).is_empty(), "{text}");
    }
    assert_eq!(verify(&proxy)["ok"], true);
}

fn everyone_sees_their_own_only(bench: &Bench) {
    let proxy = bench.proxy();
    for person in ["alice", "erin"] {
        proxy.grant(person, "plain-read", "30m");
        let minted = proxy.credentials(person, "plain");
        assert!(proxy.sql(&minted, &format!("SELECT 'by {person}'")).2);
    }
    let output = proxy.cli("erin", &["audit", "search"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("by erin") && !text.contains("by alice"), "{text}");
}

fn passwords_are_redacted(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    assert!(!proxy.sql(&alice, "ALTER ROLE victim PASSWORD 'open sesame'").2);
    let found = proxy.audit(&["--text", "ALTER ROLE victim"]);
    assert!(!found.is_empty());
    assert!(!found.iter().any(|record| record.to_string().contains("open sesame")), "{found:?}");
    for file in journal_files(&proxy) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"open sesame" || window == b"ALTER ROLE "));
    }
    assert!(!proxy.log().contains("open sesame"));
}

/// What psql printed of a session, but for the rows, is what the replay prints of it, online and offline.
fn a_session_is_replayed_as_psql_showed_it(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let script = "SELECT id FROM public.notes WHERE id < 4;\nBEGIN;\nINSERT INTO public.sink VALUES (1, 'replayed')\n  \
                  RETURNING 1;\nUPDATE public.notes SET body = body WHERE id = 1;\nSELECT 1/0;\nROLLBACK;\n\
                  DROP TABLE public.notes;\nSELECT 'last' WHERE false;\n";
    let file = proxy.setup.dir.join("replayed.sql");
    std::fs::write(&file, script).unwrap();
    let output = proxy.psql_with(&alice).env("PGAPPNAME", "replayed").arg("-f").arg(&file).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let footers = ["(3 rows)", "BEGIN", "(1 row)", "INSERT 0 1", "UPDATE 1", "ROLLBACK", "(0 rows)"];
    let found = proxy.audit(&["--event", "session_open", "--principal", "alice"]);
    let opened = found.iter().find(|record| record["application_name"] == "replayed").unwrap();
    let session = opened["session"].as_str().unwrap();

    let replayed = String::from_utf8(proxy.cli("alice", &["audit", "replay", session]).stdout).unwrap();
    for shown in [&printed, &replayed] {
        let lines: Vec<&str> = shown.lines().filter(|line| footers.contains(line)).collect();
        assert_eq!(lines, footers, "{shown}");
    }
    let prompts: Vec<&str> = replayed.lines().filter_map(|line| line.strip_prefix("plain")).collect();
    let expected = [
        "=> SELECT id FROM public.notes WHERE id < 4;",
        "=> BEGIN;",
        "=*> INSERT INTO public.sink VALUES (1, 'replayed')",
        "-*>   RETURNING 1;",
        "=*> UPDATE public.notes SET body = body WHERE id = 1;",
        "=*> SELECT 1/0;",
        "=!> ROLLBACK;",
        "=> DROP TABLE public.notes;",
        "=> SELECT 'last' WHERE false;",
    ];
    assert_eq!(prompts, expected, "{replayed}");
    assert!(replayed.contains("ERROR:  22012: division by zero\n") && replayed.contains("DETAIL:  refused by rule "));
    assert!(!proxy.cli("erin", &["audit", "replay", session]).status.success(), "it is not hers");

    let dir = proxy.setup.dir.join("audit");
    let offline = Command::new(binary()).args(["audit", "replay", session, "--dir"]).arg(&dir).output().unwrap();
    assert_eq!(String::from_utf8(offline.stdout).unwrap(), replayed);
    let seq = opened["seq"].as_u64().unwrap() + 1;
    let shown = Command::new(binary()).args(["audit", "show", &seq.to_string(), "--dir"]).arg(&dir).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in
        ["request_filed", "the tests need it", "request_approved", "by bob", "grant_created", "session_open", "3 rows"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn statements_are_found_by_their_results(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    let sql = "SELECT id, name FROM public.customers WHERE id < 4";
    assert!(proxy.sql(&alice, sql).2);
    assert!(!proxy.sql(&alice, "SELECT 1/0 FROM public.customers").2);
    let statements = |filters: &[&str]| -> Vec<String> {
        let found = proxy.audit(&[filters, &["--event", "statement", "--principal", "alice"]].concat());
        found.iter().map(|record| record["statement"].as_str().unwrap().to_owned()).collect()
    };
    let cases: [(&[&str], bool); 8] = [
        (&["--rows", "3", "--column", "customers.name"], true),
        (&["--rows", ">2", "--relation", "customers", "--kind", "select"], true),
        (&["--rows", "4..9", "--column", "customers.name"], false),
        (&["--column", "public.customers.name", "--region", "us-east"], true),
        (&["--column", "name", "--region", "nowhere"], false),
        (&["--column", "customers.name", "--sqlstate", "22012"], false),
        (&["--text", "FROM PUBLIC.customers where", "--since", "1h"], true),
        (&["--rule", "no-such-rule"], false),
    ];
    for (filters, expected) in cases {
        assert_eq!(statements(filters).contains(&sql.to_owned()), expected, "{filters:?}");
    }
    assert_eq!(statements(&["--sqlstate", "22012"]), ["SELECT 1/0 FROM public.customers"]);
}
