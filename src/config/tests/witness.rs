//! `[[audit.witness]]`

use std::path::Path;
use std::time::Duration;

use super::{GOOD, check, parse};

const VKEY: &str = "w.example+e533421d+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const LOG_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const OLD: &str = "dir = \"var/audit\"\n";

fn with(lines: &str) -> String {
    format!("dir = \"var/audit\"\n[[audit.witness]]\n{lines}\n")
}

#[test]
fn a_witness_has_an_address_a_key_and_a_pace() {
    assert!(parse(GOOD).unwrap().audit.witnesses.is_empty());
    let least = with(&format!("url = \"https://w.example/a/\"\nvkey = \"{VKEY}\""));
    let config = parse(&GOOD.replace(OLD, &least)).unwrap();
    let place = &config.audit.witnesses[0];
    assert_eq!((place.url.as_str(), place.verifier.to_string().as_str()), ("https://w.example/a", VKEY));
    assert_eq!((&place.ca, place.every, place.silent_after), (&None, Duration::from_secs(1), Duration::from_secs(60)));

    let all = with(&format!(
        "url = \"http://127.0.0.1:7443\"\nvkey = \"{VKEY}\"\nca = \"w.crt\"\nevery = \"5m\"\nsilent_after = \"1h\""
    ));
    let config = parse(&GOOD.replace(OLD, &all)).unwrap();
    let place = &config.audit.witnesses[0];
    assert_eq!((place.every, place.silent_after), (Duration::from_secs(300), Duration::from_secs(3600)));
    assert!(place.ca.as_deref().is_some_and(|ca| ca.ends_with(Path::new("w.crt"))));
    // What is left out follows the pace.
    let slow = with(&format!("url = \"http://127.0.0.1:7443\"\nvkey = \"{VKEY}\"\nevery = \"5m\""));
    let config = parse(&GOOD.replace(OLD, &slow)).unwrap();
    assert_eq!(config.audit.witnesses[0].silent_after, Duration::from_secs(1200));
}

#[test]
fn what_is_wrong_is_told() {
    let url = "url = \"https://w.example\"";
    let twice = format!("{}[[audit.witness]]\n{url}\nvkey = \"{VKEY}\"\n", with(&format!("{url}\nvkey = \"{VKEY}\"")));
    check(&[
        (OLD, &with(&format!("vkey = \"{VKEY}\"")), "proxy.toml:14:1: audit.witness[0].url: is required"),
        (OLD, &with(url), "proxy.toml:14:1: audit.witness[0].vkey: is required"),
        (
            OLD,
            &with(&format!("url = \"http://w.example\"\nvkey = \"{VKEY}\"")),
            "proxy.toml:15:7: audit.witness[0].url: `http://w.example` is not the URL of a witness: https, or http to this machine itself",
        ),
        (
            OLD,
            &with(&format!("{url}\nvkey = \"w.example\"")),
            "proxy.toml:16:8: audit.witness[0].vkey: not a verifier key: expected <name>+<8 hexadecimal digits>+<base64>",
        ),
        (
            OLD,
            &with(&format!("{url}\nvkey = \"{LOG_VKEY}\"")),
            "proxy.toml:16:8: audit.witness[0].vkey: is the key of a log; `pgward witness` prints its own, of another type",
        ),
        (
            OLD,
            &with(&format!("{url}\nvkey = \"{VKEY}\"\nevery = \"1m\"\nsilent_after = \"90s\"")),
            "proxy.toml:18:16: audit.witness[0].silent_after: must be twice `every` or longer: a witness that is not asked cannot be heard",
        ),
        (
            OLD,
            &with(&format!("{url}\nvkey = \"{VKEY}\"\nname = \"x\"")),
            "proxy.toml:17:1: audit.witness[0].name: unknown key; one of ca, every, silent_after, url, vkey",
        ),
        (OLD, &twice, "proxy.toml:19:8: audit.witness[1].vkey: \"w.example\" is a witness already"),
    ]);
}
