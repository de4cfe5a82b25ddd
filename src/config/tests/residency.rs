//! Regions' rules, what may leave, load balancers, and the upstreams of one database.

use super::{GOOD, check, parse};
use crate::access::{Export, ExportLimit, Region};

/// [`GOOD`] with `new` behind `old`.
fn with(old: &str, new: &str) -> super::Config {
    parse(&GOOD.replacen(old, &format!("{old}\n{new}"), 1)).unwrap()
}

#[test]
fn what_may_leave() {
    let export = |text: &str| {
        let config = with("networks = [\"10.20.0.0/16\"]", text);
        config.region_rules.get(&Region::new("eu")).and_then(|rule| rule.export)
    };
    let limited = |rows, bytes| Some(Export::Limited(ExportLimit { rows, bytes }));
    assert_eq!(export(""), None);
    assert_eq!(export("export = \"none\""), Some(Export::NONE));
    assert_eq!(export("export = \"unlimited\""), Some(Export::Unlimited));
    assert_eq!(export("export = { rows = 1000, bytes = \"10MB\" }"), limited(Some(1000), Some(10_000_000)));
    assert_eq!(export("export = { bytes = 4096 }"), limited(None, Some(4_096)));
}

#[test]
fn rules_of_regions_and_classes() {
    let config = with("networks = [\"10.20.0.0/16\"]", "clients = [\"eu\", \"us\"]");
    let rule = config.region_rules.get(&Region::new("eu")).unwrap();
    assert_eq!(rule.clients, Some(vec![Region::new("eu"), Region::new("us")]));
    assert!(!config.region_rules.contains_key(&Region::new("us")), "no rule is no entry");
    let class = with("region = \"us\"", "[[database.data]]\non = \"eu.*\"\nexport = \"none\"");
    assert_eq!(class.databases[0].policy.data[0].export, Some(Export::NONE));
    assert!(class.databases[0].policy.counts_exports());
    assert!(!parse(GOOD).unwrap().databases[0].policy.counts_exports());
}

#[test]
fn load_balancers() {
    let config = with("[proxy]", "proxy_protocol_from = [\"10.0.0.0/8\", \"::1/128\"]");
    let networks: Vec<String> = config.proxy.proxy_protocol_from.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    assert!(parse(GOOD).unwrap().proxy.proxy_protocol_from.is_empty());
}

#[test]
fn upstreams_of_several_regions() {
    let further =
        "[[database.upstreams]]\nregion = \"eu\"\nupstream = \"postgresql://u@eu.example.com/shop?sslrootcert=ca.crt\"";
    let config = with("region = \"us\"", further);
    let database = &config.databases[0];
    assert!(database.policy.routed);
    assert_eq!(database.policy.region, Region::new("us"));
    assert_eq!(database.further[0].region, Region::new("eu"));
    assert_eq!(database.further[0].upstream.database, "shop");
    assert!(!parse(GOOD).unwrap().databases[0].policy.routed);
}

#[test]
fn what_is_wrong_is_told() {
    let eu = "networks = [\"10.20.0.0/16\"]";
    let behind = |new: &str| format!("{eu}\n{new}");
    let upstream = |region: &str| {
        format!(
            "region = \"us\"\n[[database.upstreams]]\nregion = \"{region}\"\nupstream = \"postgresql://u@h/d?sslrootcert=ca.crt\""
        )
    };
    let cases = [
        (eu, behind("export = \"some\""), "regions.eu.export: unknown value \"some\"; one of \"none\", \"unlimited\""),
        (eu, behind("export = 5"), "regions.eu.export: expected a table, found a whole number"),
        (
            eu,
            behind("export = {}"),
            "regions.eu.export: bounds nothing; give it rows or bytes, or write \"none\" or \"unlimited\"",
        ),
        (eu, behind("export = { rows = 0 }"), "regions.eu.export.rows: must be 1 or more"),
        (eu, behind("export = { row = 1 }"), "regions.eu.export.row: unknown key; did you mean \"rows\"?"),
        (eu, behind("clients = [\"ue\"]"), "regions.eu.clients: unknown region \"ue\"; did you mean \"eu\"?"),
        (eu, behind("clients = []"), "regions.eu.clients: is empty; leave it out or name something"),
        (
            "[proxy]",
            "[proxy]\nproxy_protocol_from = [\"10.0.0.1\"]".to_owned(),
            "proxy.proxy_protocol_from: \"10.0.0.1\" is an address; write the network \"10.0.0.1/32\"",
        ),
        (
            "region = \"us\"",
            upstream("us"),
            "database[0].upstreams[0].region: an upstream in region \"us\" is declared already; a region has one",
        ),
        (
            "region = \"us\"",
            upstream("asia"),
            "database[0].upstreams[0].region: unknown region \"asia\"; one of eu, us",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.upstreams]]\nregion = \"eu\"".to_owned(),
            "database[0].upstreams[0].upstream: is required",
        ),
        (
            "name = \"shop\"",
            "name = \"shop@eu\"".to_owned(),
            "database[0].name: \"shop@eu\" is not a name: it holds @, which stands before the region of an upstream",
        ),
    ];
    for (old, new, expected) in &cases {
        let told = super::told(old, new);
        assert!(told.contains(expected), "{new}\n=> {told}");
    }
    check(&[(
        eu,
        &behind("networks2 = []"),
        "proxy.toml:16:1: regions.eu.networks2: unknown key; did you mean \"networks\"?",
    )]);
}
