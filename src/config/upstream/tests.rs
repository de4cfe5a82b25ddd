//! Upstream URLs, good and bad.

#![allow(clippy::unwrap_used)]

use super::*;

fn tcp(host: &str, port: u16, sslmode: SslMode, ca: Option<&str>) -> UpstreamUrl {
    UpstreamUrl {
        places: vec![UpstreamPlace { host: UpstreamHost::Tcp(host.into()), port }],
        user: "u".into(),
        database: "d".into(),
        sslmode,
        sslrootcert: ca.map(PathBuf::from),
        options: LoginOptions::default(),
    }
}

fn unix(path: &str, port: u16) -> UpstreamUrl {
    let places = vec![UpstreamPlace { host: UpstreamHost::Unix(path.into()), port }];
    UpstreamUrl { places, ..tcp("", port, SslMode::VerifyFull, None) }
}

fn options(query: &str) -> LoginOptions {
    UpstreamUrl::parse(&format!("postgresql://u@h/d?sslmode=require&{query}")).unwrap().options
}

#[test]
fn reads_several_servers_and_how_they_are_spoken_to() {
    let url = UpstreamUrl::parse("postgresql://u@a:1,[::1]:2,%2Fsock:3,b/d?sslmode=require").unwrap();
    let place = |host: UpstreamHost, port| UpstreamPlace { host, port };
    let expected = [
        place(UpstreamHost::Tcp("a".into()), 1),
        place(UpstreamHost::Tcp("::1".into()), 2),
        place(UpstreamHost::Unix("/sock".into()), 3),
        place(UpstreamHost::Tcp("b".into()), 5432),
    ];
    assert_eq!(url.places, expected);
    assert_eq!(options(""), LoginOptions::default());
    assert!(options("sslnegotiation=direct").direct_tls && !options("sslnegotiation=postgres").direct_tls);
    assert_eq!(options("target_session_attrs=prefer-standby").session_attrs, SessionAttrs::PreferStandby);
    assert!(options("pool_mode=session").pooled);
    assert!(options("require_auth=scram-sha-256").require_scram);
    assert!(!options("require_auth=none,scram-sha-256").require_scram);
    let protocol = |query| (options(query).min_protocol, options(query).max_protocol);
    assert_eq!(protocol("max_protocol_version=latest"), (Protocol::V3_0, Protocol::V3_2));
    assert_eq!(protocol("min_protocol_version=3.2"), (Protocol::V3_2, Protocol::V3_2));
}

#[test]
fn reads() {
    use SslMode::*;
    for (text, expected) in [
        ("postgresql://u@h/d?sslrootcert=ca.crt", tcp("h", 5432, VerifyFull, Some("ca.crt"))),
        ("postgres://u@h:5433/d?sslmode=verify-ca&sslrootcert=a%20b", tcp("h", 5433, VerifyCa, Some("a b"))),
        ("postgresql://u@h/d?sslmode=require", tcp("h", 5432, Require, None)),
        ("postgresql://u@127.0.0.1/d?sslmode=disable", tcp("127.0.0.1", 5432, Disable, None)),
        ("postgresql://u@[::1]:1/d?sslmode=disable", tcp("::1", 1, Disable, None)),
        ("postgresql://u@%2Frun%2Fpostgresql:5433/d", unix("/run/postgresql", 5433)),
        ("postgresql://u@/d?host=/run/postgresql", unix("/run/postgresql", 5432)),
        ("postgresql://u@:5433/d?host=/run/postgresql", unix("/run/postgresql", 5433)),
    ] {
        assert_eq!(UpstreamUrl::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn refuses() {
    for (text, expected) in [
        ("h:5432", "expected a URL such as \"postgresql://user@host:5432/database?sslrootcert=ca.crt\""),
        ("mysql://u@h/d", "expected a URL such as \"postgresql://user@host:5432/database?sslrootcert=ca.crt\""),
        ("postgresql://h/d", "the URL names no user: postgresql://user@…"),
        ("postgresql://u@h", "the URL names no database: …/database"),
        ("postgresql://u@h/?sslmode=require", "\"\" is not a name: it is empty"),
        ("postgresql://u:p@h/d", "the URL holds a password; use password_file or password_env"),
        ("postgresql://u:p@w@h/d", "the URL holds a password; use password_file or password_env"),
        ("postgresql://u@h/d?password=p", "the URL holds a password; use password_file or password_env"),
        (
            "postgresql://u@h/d",
            "the upstream's certificate is to be verified: name the authority's file, sslrootcert=…",
        ),
        ("postgresql://u@h/d?sslmode=prefer", "sslmode=prefer may fall back to plain text; use verify-full"),
        (
            "postgresql://u@h/d?sslmode=full",
            "unknown sslmode \"full\"; one of verify-full, verify-ca, require, disable",
        ),
        (
            "postgresql://u@10.0.0.1/d?sslmode=disable",
            "sslmode=disable is for the loopback only: passwords and data would cross the network in plain text",
        ),
        ("postgresql://u@h/d?sslmod=require", "unknown parameter \"sslmod\"; did you mean \"sslmode\"?"),
        ("postgresql://u@h/d?sslmode=require&sslmode=disable", "sslmode is given twice"),
        ("postgresql://u@h/d?host=g", "the host is given twice"),
        ("postgresql://u@a,a/d?sslmode=require", "the host \"a\" is named twice"),
        ("postgresql://u@a,b,c,d,e,f,g,h,i/d?sslmode=require", "9 hosts, and 8 are the most"),
        (
            "postgresql://u@127.0.0.1,10.0.0.1/d?sslmode=disable",
            "sslmode=disable is for the loopback only: passwords and data would cross the network in plain text",
        ),
        (
            "postgresql://u@localhost/d?sslmode=disable&sslnegotiation=direct",
            "sslnegotiation=direct is TLS, and sslmode=disable is none",
        ),
        (
            "postgresql://u@h/d?sslmode=require&target_session_attrs=master",
            "unknown target_session_attrs \"master\"; one of any, read-write, read-only, primary, standby, prefer-standby",
        ),
        (
            "postgresql://u@h/d?sslmode=require&min_protocol_version=3.2&max_protocol_version=3.0",
            "min_protocol_version is above max_protocol_version",
        ),
        (
            "postgresql://u@h/d?sslmode=require&pool_mode=transaction",
            "pool_mode=transaction would mix sessions; the pooler has to give each one a connection: session",
        ),
        ("postgresql://u@h:0/d?sslmode=require", "\"h:0\" does not end in a port, such as host:5432"),
        ("postgresql://u@h:99999/d?sslmode=require", "\"h:99999\" does not end in a port, such as host:5432"),
        ("postgresql://u@[::1/d?sslmode=require", "the address lacks its closing bracket"),
        ("postgresql://u@[x]/d?sslmode=require", "\"x\" is not an IPv6 address"),
        ("postgresql://u@h h/d?sslmode=require", "\"h h\" is not a host name, an address or a socket's directory"),
        ("postgresql://u%0@h/d?sslmode=require", "\"u%0\" is not percent-encoded as a URL must be"),
        ("postgresql://u@h/d%00?sslmode=require", "\"d%00\" is not percent-encoded as a URL must be"),
        ("postgresql://u%0a@h/d?sslmode=require", "\"u\\n\" is not a name: it holds control characters"),
    ] {
        assert_eq!(UpstreamUrl::parse(text), Err(expected.to_owned()), "{text}");
    }
}
