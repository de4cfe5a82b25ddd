//! `[[audit.sink]]`.
#![allow(clippy::panic)]

use std::time::Duration;

use super::{GOOD, parse};
use crate::access::Region;
use crate::audit::Event;
use crate::config::{ArchiveLocation, PasswordSource, SinkFormat, SinkKind, SinkStart};

/// [`GOOD`] with a sink of these lines.
fn with(lines: &str) -> super::Config {
    parse(&format!("{GOOD}\n[[audit.sink]]\nname = \"s\"\n{lines}\n")).unwrap()
}

fn told(lines: &str) -> String {
    parse(&format!("{GOOD}\n[[audit.sink]]\nname = \"s\"\n{lines}\n")).unwrap_err().to_string()
}

const WEBHOOK: &str = "type = \"webhook\"\nurl = \"https://siem.example/in\"\nsecret_env = \"KEY\"";

#[test]
fn what_is_left_out() {
    let sink = &with(WEBHOOK).sinks[0];
    assert_eq!((sink.regions.as_ref(), sink.events.as_ref(), sink.start), (None, None, SinkStart::Oldest));
    assert_eq!((sink.batch_records, sink.batch_bytes, sink.alarm_after), (500, 1 << 20, Duration::from_secs(300)));
    let SinkKind::Webhook { secret, allow_private, format, ca, .. } = &sink.kind else { panic!("{sink:?}") };
    assert_eq!((secret, *allow_private, *format), (&PasswordSource::Env("KEY".into()), false, SinkFormat::Jsonl));
    assert_eq!(*ca, None);
    assert!(parse(GOOD).unwrap().sinks.is_empty());
}

#[test]
fn every_kind_with_every_key() {
    let common = "start = \"now\"\nalarm_after = \"1m\"";
    let records =
        "regions = [\"eu\"]\nevents = [\"statement\", \"login_denied\"]\nbatch_records = 10\nbatch_bytes = \"2MiB\"";
    let sink = &with(&format!("{WEBHOOK}\n{common}\n{records}\nformat = \"ocsf\"\nca = \"ca.crt\"")).sinks[0];
    assert_eq!(sink.regions, Some(vec![Region::new("eu")]));
    assert_eq!(sink.events, Some(vec![Event::Statement, Event::LoginDenied]));
    assert_eq!((sink.start, sink.batch_bytes), (SinkStart::Now, 2 << 20));
    let postgresql = "type = \"postgresql\"\nurl = \"postgresql://w@db.example/audit?sslrootcert=ca.crt\"\npassword_env = \"P\"\n\
                      table = \"audit.journal\"\ncreate_table = true";
    let SinkKind::Postgresql { url, table, create_table, .. } = &with(postgresql).sinks[0].kind else { panic!() };
    assert_eq!((url.user.as_str(), *create_table), ("w", true));
    assert_eq!(*table, (Some("audit".into()), "journal".into()));
    let syslog = "type = \"syslog\"\naddress = \"[::1]:6514\"\nca = \"ca.crt\"\nclient_cert = \"c.crt\"\nclient_key = \"c.key\"\n\
                  hostname = \"p1\"\nenterprise_id = 99";
    let SinkKind::Syslog { host, port, client, enterprise_id, .. } = &with(syslog).sinks[0].kind else { panic!() };
    assert_eq!((host.as_str(), *port, client.is_some(), *enterprise_id), ("::1", 6514, true, 99));
    let otlp = "type = \"otlp\"\nurl = \"http://127.0.0.1:4318/v1/logs\"\nallow_private = true\n\
                [[audit.sink.header]]\nname = \"X-Key\"\nvalue_env = \"K\"";
    let SinkKind::Otlp { headers, .. } = &with(otlp).sinks[0].kind else { panic!() };
    assert_eq!(*headers, [("x-key".to_owned(), PasswordSource::Env("K".into()))]);
    let s3 = "type = \"object_storage\"\nurl = \"s3://bucket/some/where\"\nendpoint = \"https://s3.example\"\nregion = \"eu-1\"\n\
              access_key_id_env = \"A\"\nsecret_access_key_env = \"B\"";
    let SinkKind::ObjectStorage { place: ArchiveLocation::S3 { bucket, .. }, prefix } = &with(s3).sinks[0].kind else {
        panic!()
    };
    assert_eq!((bucket.as_str(), prefix.as_str()), ("bucket", "some/where"));
    let folder = "type = \"object_storage\"\nurl = \"file:///var/archive\"";
    let SinkKind::ObjectStorage { place, .. } = &with(folder).sinks[0].kind else { panic!() };
    assert_eq!(*place, ArchiveLocation::Directory("/var/archive".into()));
}

#[test]
fn what_is_wrong_is_told() {
    for (lines, expected) in [
        ("type = \"kafka\"", "unknown type of sink \"kafka\""),
        ("url = \"https://x\"", "type: is required"),
        ("type = \"webhook\"\nurl = \"https://x\"", "secret_file: is required, or secret_env"),
        ("type = \"webhook\"\nurl = \"http://127.0.0.1/\"\nsecret_env = \"K\"", "is not an https:// URL"),
        ("type = \"webhook\"\nurl = \"https://u:p@x/\"\nsecret_env = \"K\"", "holds a user or a password"),
        ("type = \"otlp\"\nurl = \"http://10.0.0.1:4318/\"", "loopback only"),
        ("type = \"otlp\"\nurl = \"http://127.0.0.1.evil.example/\"", "loopback only"),
        ("type = \"otlp\"\nurl = \"https://x\"\nsecret_env = \"K\"", "unknown key"),
        (&format!("{WEBHOOK}\nevents = [\"statment\"]"), "unknown event \"statment\""),
        (&format!("{WEBHOOK}\nregions = [\"nowhere\"]"), "unknown region \"nowhere\""),
        (&format!("{WEBHOOK}\nregions = []"), "is empty"),
        (&format!("{WEBHOOK}\nbatch_bytes = \"1GiB\""), "64MiB"),
        (&format!("{WEBHOOK}\nbatch_records = 0"), "must be 1 to 10000"),
        (&format!("{WEBHOOK}\nsecret_file = \"k\""), "one of the two is enough"),
        (&format!("{WEBHOOK}\nformat = \"xml\""), "unknown value \"xml\""),
        ("type = \"syslog\"\naddress = \"host\"\nca = \"ca.crt\"", "is not a host and a port"),
        ("type = \"syslog\"\naddress = \"host:6514\"", "ca: is required"),
        ("type = \"syslog\"\naddress = \"h:1\"\nca = \"c\"\nclient_cert = \"c\"", "client_key: is required beside"),
        ("type = \"postgresql\"\nurl = \"postgresql://u@h/d?sslmode=require\"", "verified with its name"),
        ("type = \"postgresql\"\nurl = \"postgresql://u:p@h/d\"", "use password_file or password_env"),
        ("type = \"object_storage\"\nurl = \"s3://bucket\"\nregion = \"r\"", "access_key_id_file: is required"),
        ("type = \"object_storage\"\nurl = \"https://bucket\"", "neither \"s3://"),
        ("type = \"object_storage\"\nurl = \"file:///a\"\nregions = [\"eu\"]", "unknown key"),
    ] {
        let told = told(lines);
        assert!(told.contains(expected), "{lines}\n{told}");
    }
    let odd = parse(&GOOD.replacen("[audit]", "[audit]\nsink = 3", 1)).unwrap_err().to_string();
    assert!(odd.contains("expected a list of tables, written [[audit.sink]]"), "{odd}");
    let twice = format!("{GOOD}\n[[audit.sink]]\nname = \"s\"\n{WEBHOOK}\n[[audit.sink]]\nname = \"s\"\n{WEBHOOK}\n");
    assert!(parse(&twice).unwrap_err().to_string().contains("declared already"));
    let odd = format!("{GOOD}\n[[audit.sink]]\nname = \"../s\"\n{WEBHOOK}\n");
    assert!(parse(&odd).unwrap_err().to_string().contains("is not a sink's name"));
}
