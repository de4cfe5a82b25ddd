//! `[[database]] provision` and what goes with it.

use std::time::Duration;

use super::super::Provision;
use super::{GOOD, check, parse};

fn provision(lines: &str) -> Provision {
    let config = parse(&GOOD.replace("region = \"us\"\n", &format!("region = \"us\"\n{lines}\n"))).unwrap();
    config.databases[0].provision
}

#[test]
fn kinds_and_defaults() {
    assert_eq!(provision(""), Provision::None);
    assert_eq!(provision("provision = \"none\""), Provision::None);
    let (hour, minutes) = (Duration::from_secs(3600), Duration::from_secs(900));
    let role = Provision::Role { statement_timeout: hour, idle_in_transaction_timeout: minutes };
    assert_eq!(provision("provision = \"role\""), role);
    let lines = "provision = \"role\"\nrole_statement_timeout = \"5m\"\nrole_idle_in_transaction_timeout = \"30s\"";
    let (five, half) = (Duration::from_secs(300), Duration::from_secs(30));
    assert_eq!(provision(lines), Provision::Role { statement_timeout: five, idle_in_transaction_timeout: half });
}

#[test]
fn what_is_wrong_is_told() {
    let old = "region = \"us\"\n";
    check(&[
        (
            old,
            "region = \"us\"\nprovision = \"roles\"\n",
            "proxy.toml:28:13: database[0].provision: \"roles\" is neither \"none\" nor \"role\"",
        ),
        (
            old,
            "region = \"us\"\nrole_statement_timeout = \"5m\"\n",
            "proxy.toml:28:26: database[0].role_statement_timeout: goes with provision = \"role\" only",
        ),
        (
            old,
            "region = \"us\"\nprovision = \"role\"\nrole_statement_timeout = \"30d\"\n",
            "proxy.toml:29:26: database[0].role_statement_timeout: PostgreSQL takes 24 days at most",
        ),
    ]);
}
