//! Command lines that are right, and such that are not.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use clap::CommandFactory;

fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from([&["pgward"], line].concat())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_parses() {
    let lines: &[&[&str]] = &[
        &["serve", "--config", "proxy.toml"],
        &["check", "--config", "proxy.toml"],
        &["token", "-o", "json"],
        &["login", "https://127.0.0.1:6443"],
        &["request", "orders-read", "--for", "30m", "--reason", "x"],
        &["request", "s", "--for", "1h", "--reason", "x", "--ticket", "T-1", "--starts", "2026-11-22T10:00:00Z"],
        &["request", "s", "--for", "1h", "--reason", "x", "--statement", "select 1"],
        &["requests"],
        &["requests", "--state", "pending"],
        &["approve", "req_1"],
        &["approve", "req_1", "--note", "fine"],
        &["deny", "req_1", "--note", "no"],
        &["withdraw", "req_1"],
        &["scopes"],
        &["grants"],
        &["revoke", "gr_1", "--reason", "over"],
        &["credentials", "shop"],
        &["connect", "shop"],
        &["connect", "shop", "--", "-c", "select 1"],
        &["sessions"],
        &["kill", "se_1"],
        &["explain", "shop", "--user", "alice", "select 1"],
        &["audit", "search", "--principal", "a", "--database", "d", "--grant", "g", "--session", "s"],
        &["audit", "search", "--relation", "public.t", "--verdict", "deny", "--text", "x", "--limit", "5"],
        &["audit", "search", "--since", "1h", "--until", "2026-11-22T10:00:00Z"],
        &["audit", "search", "--request", "r", "--column", "public.t.c", "--kind", "select", "--region", "eu"],
        &["audit", "search", "--event", "session_open", "--rows", ">1000", "--fingerprint", "f", "--rule", "r"],
        &["audit", "search", "--sqlstate", "57014", "--rows", "1..5", "--dir", "var/audit"],
        &["audit", "tail"],
        &["audit", "tail", "-f", "-n", "10", "--verdict", "deny"],
        &["audit", "show", "12"],
        &["audit", "show", "12", "--dir", "var/audit"],
        &["audit", "replay", "se_1", "--dir", "var/audit"],
        &["audit", "verify", "--dir", "var/audit"],
        &["audit", "verify", "--dir", "a", "--region", "b", "--vkey", "v", "--checkpoint", "c"],
        &["audit", "verify", "--bundle", "p.json", "--vkey", "v", "--vkey", "v2", "--witness", "w"],
        &["audit", "prove", "12", "--out", "p.json"],
        &["audit", "prove", "12", "--dir", "a", "--region", "b"],
        &["audit", "key", "--file", "audit.key", "--origin", "pgward/1"],
        &["audit", "key", "--rotate"],
        &["audit", "key", "--show", "--config", "proxy.toml"],
        &["audit", "export", "--format", "csv"],
        &["witness", "--listen", "127.0.0.1:7443", "--key", "w.key", "--log", "v", "--state", "w"],
        &["witness", "--key", "w.key", "--show"],
        &["completions", "bash"],
        &["dev-certs", "certs"],
        &["--url", "https://h:1", "--token", "t", "--ca", "c", "-o", "json", "grants"],
    ];
    for line in lines {
        assert!(parse(line).is_ok(), "{line:?}: {:?}", parse(line).err());
    }
}

#[test]
fn what_is_left_out_or_odd_is_a_usage_error() {
    let lines: &[&[&str]] = &[
        &[],
        &["request", "s", "--reason", "x"],
        &["request", "s", "--for", "30", "--reason", "x"],
        &["request", "s", "--for", "1h", "--reason", "x", "--starts", "tomorrow"],
        &["deny", "req_1"],
        &["grants", "-o", "yaml"],
        &["audit", "search", "--verdict", "maybe"],
        &["audit", "search", "--event", "birthday"],
        &["audit", "search", "--rows", "many"],
        &["audit", "key", "--show", "--rotate"],
        &["audit", "prove", "se_1"],
        &["audit", "verify", "--bundle", "p", "--dir", "d"],
        &["nonsense"],
        &["witness", "--key", "w.key"],
        &["witness", "--listen", "[::]:1", "--key", "k", "--log", "v", "--state", "w", "--tls-cert", "c"],
    ];
    for line in lines {
        assert!(parse(line).is_err(), "{line:?}");
    }
}

#[test]
fn psql_arguments_are_passed_on_untouched() {
    let Command::Connect { database, psql } = parse(&["connect", "shop", "--", "-X", "--help"]).unwrap().command else {
        panic!("not connect")
    };
    assert_eq!((database.as_str(), psql), ("shop", vec!["-X".into(), "--help".into()]));
}

#[test]
fn the_token_is_not_shown() {
    let arguments = parse(&["--token", "pgw_secret", "grants"]).unwrap();
    assert!(!format!("{arguments:?}").contains("pgw_secret"));
}
