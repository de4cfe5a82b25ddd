//! The policy world: each case through the proxy on a superuser backend, compared with a direct session.

use std::process::Command;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, config};

pub const CASES: &[Case] = &[
    ("judge::policy_world", policy_world),
    ("judge::wide_policy_world", wide_policy_world),
    ("judge::policy_world_with_a_second_opinion", policy_world_with_a_second_opinion),
    ("judge::wide_policy_world_with_a_second_opinion", wide_policy_world_with_a_second_opinion),
    ("judge::wide_policy_world_where_one_is_required", wide_policy_world_where_one_is_required),
    ("judge::wide_policy_world_with_roles", wide_policy_world_with_roles),
];

fn policy_world(_shared: &Bench) {
    judge("sample.jsonl", 1, "off");
}

/// Many more cases of the same kinds. To be quick about it, the database is looked at after several of them.
fn wide_policy_world(_shared: &Bench) {
    judge("wide.jsonl", 50, "off");
}

/// The second opinion refuses nothing that is to be let through, on a world whose answers it could differ on.
fn policy_world_with_a_second_opinion(_shared: &Bench) {
    judge("sample.jsonl", 1, "on");
    judge("sample.jsonl", 1, "required");
}

fn wide_policy_world_with_a_second_opinion(_shared: &Bench) {
    judge("wide.jsonl", 50, "on");
}

fn wide_policy_world_where_one_is_required(_shared: &Bench) {
    judge("wide.jsonl", 50, "required");
}

/// The same cases where each session is a role of its own: nothing that a grant allows may be refused by PostgreSQL.
fn wide_policy_world_with_roles(_shared: &Bench) {
    let bench = Bench::start();
    bench.postgres.run(
        "shop",
        "CREATE ROLE shop_broker LOGIN CREATEROLE PASSWORD 'shop_backend_pw';
         GRANT USAGE ON SCHEMA public TO shop_broker WITH GRANT OPTION;
         GRANT SELECT ON public.orders, public.products, public.v_orders TO shop_broker WITH GRANT OPTION;
         GRANT SELECT (id, name, country) ON public.customers TO shop_broker WITH GRANT OPTION",
    );
    let proxy = Proxy::start(&bench, &|setup| {
        let text = config(setup, &Scopes::default()).replace("//shop_backend@", "//shop_broker@");
        text.replace("shop_password\"\n", "shop_password\"\nprovision = \"role\"\n")
    });
    run_judge(&bench, &proxy, "wide.jsonl", 50, &["--ignore-roles", "pgward_"]);
    // The one difference between the two walls: a name looked up by a cast. PostgreSQL asks for USAGE on its schema.
    assert_eq!(refused_by_postgresql(&proxy), ["\"SELECT $1::regclass::text\""]);
    let metrics = proxy.metrics();
    assert!(metrics.contains("\npgward_wall_three_refusals_total 1\n"), "{metrics}");
}

/// The statements that policy let through and PostgreSQL refused.
fn refused_by_postgresql(proxy: &Proxy) -> Vec<String> {
    let records = proxy.audit(&["--limit", "100000"]);
    let ends = records.iter().filter(|record| record["sqlstate"] == "42501" && record["ended_by"] == "error");
    let begun = |end: &serde_json::Value| {
        let is_its =
            |record: &&serde_json::Value| record["session"] == end["session"] && record["seq"] == end["statement_seq"];
        records.iter().find(is_its).map(|record| record["statement"].to_string())
    };
    ends.filter_map(begun).collect()
}

/// The judge drops and re-creates database `shop`: it runs on a PostgreSQL of its own.
fn judge(cases: &str, every: u32, second_opinion: &str) {
    let bench = Bench::start();
    let database = format!("second_opinion = \"{second_opinion}\"");
    let proxy =
        Proxy::start(&bench, &|setup| config(setup, &Scopes { database: database.clone(), ..Scopes::default() }));
    run_judge(&bench, &proxy, cases, every, &[]);
    let asked = bench.postgres.log().matches("BEGIN ATOMIC").count();
    assert_eq!(asked > 0, second_opinion != "off", "{asked} questions");
}

fn run_judge(bench: &Bench, proxy: &Proxy, cases: &str, every: u32, more: &[&str]) {
    proxy.grant("alice", "world", "2h");
    let alice = proxy.credentials("alice", "shop");
    let world = crate::support::root().join("tests/world");
    let output = Command::new("/usr/bin/python3")
        .arg(world.join("judge.py"))
        .args(["judge", "--admin-port", &bench.postgres.port.to_string(), "--every", &every.to_string()])
        .arg("--cases")
        .arg(world.join(cases))
        .arg("--cafile")
        .arg(bench.certs.join("ca.crt"))
        .args(["--host", "localhost", "--port", &proxy.setup.port.to_string()])
        .args(["--user", &alice.user, "--db", "shop"])
        .args(more)
        // A password may begin with a hyphen.
        .arg(format!("--password={}", alice.password))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    println!("{cases}: {}", summary(&out));
    let denied = proxy.audit(&["--verdict", "deny"]);
    let disagreed: Vec<_> = denied.iter().filter(|record| record["rule"] == "second-opinion").collect();
    assert!(disagreed.is_empty(), "{disagreed:#?}");
}

/// Cases that were to be refused or allowed, and of each how many were not.
fn summary(out: &str) -> String {
    let count = |expect: &str| {
        let lines = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.fold((0, 0), |(all, failed), words| match words.as_slice() {
            ["#", expected, .., of, "cases", wrong, "failed"] if *expected == expect => {
                (all + of.parse::<u32>().unwrap(), failed + wrong.parse::<u32>().unwrap())
            }
            _ => (all, failed),
        })
    };
    let ((denied, through), (allowed, refused)) = (count("deny"), count("allow"));
    format!("{denied} to refuse, {through} let through; {allowed} to allow, {refused} wrongly refused")
}
