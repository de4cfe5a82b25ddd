//! Certificates at the proxy's port: several, by the name that is asked for, and client certificates that were revoked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, Setup, config, wait_until};

pub const CASES: &[Case] = &[
    ("certificates::one_for_each_name", one_for_each_name),
    ("certificates::a_revoked_client_certificate", revoked_client_certificate),
];

/// The shared configuration with lines for `[proxy]`.
fn with(setup: &Setup, proxy: &str) -> String {
    config(setup, &Scopes { proxy: proxy.to_owned(), ..Scopes::default() })
}

/// Each name gets the certificate that is for it, and a password is bound to the one that was shown.
fn one_for_each_name(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| {
        let key = KeyPair::generate().unwrap();
        let names = ["db.internal.example".to_owned(), "*.eu.example".to_owned()];
        let own = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(setup.dir.join("named.crt"), own.pem()).unwrap();
        private(&setup.dir.join("named.key"), &key.serialize_pem());
        let more = "[[proxy.certificate]]\ntls_cert = \"named.crt\"\ntls_key = \"named.key\"\n";
        with(setup, more)
    });
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let connect = |name: &str, ca: &Path| {
        let mut psql = proxy.psql_with(&alice);
        psql.env("PGHOST", name).env("PGHOSTADDR", "127.0.0.1").env("PGSSLROOTCERT", ca);
        let output = psql.env("PGCHANNELBINDING", "require").args(["-At", "-c", "SELECT 42"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (usual, named) = (bench.certs.join("ca.crt"), proxy.setup.dir.join("named.crt"));
    for (name, ca) in [("localhost", &usual), ("db.internal.example", &named), ("x.eu.example", &named)] {
        let (ok, err) = connect(name, ca);
        assert!(ok, "{name}: {err}");
    }
    let (ok, err) = connect("x.y.eu.example", &named);
    assert!(!ok && err.contains("certificate"), "{err}");
}

/// A certificate that is on the list is refused, also once the list was changed while pgward runs; an authority without a
/// list is one whose certificates cannot be known to be good.
fn revoked_client_certificate(bench: &Bench) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let proxy = Proxy::start(bench, &|setup| {
        std::fs::write(setup.dir.join("clients.crt"), &authority_pem).unwrap();
        for (person, serial) in [("alice", 1), ("erin", 2)] {
            let key = KeyPair::generate().unwrap();
            let mut own = CertificateParams::new([person.to_owned()]).unwrap();
            own.serial_number = Some(SerialNumber::from(serial));
            let signed = own.signed_by(&key, &issuer).unwrap();
            std::fs::write(setup.dir.join(format!("{person}.crt")), signed.pem()).unwrap();
            private(&setup.dir.join(format!("{person}.key")), &key.serialize_pem());
        }
        std::fs::write(setup.dir.join("clients.crl"), revoked(&issuer, &[2])).unwrap();
        with(setup, "client_ca = \"clients.crt\"\nclient_crl = [\"clients.crl\"]\n")
    });
    for person in ["alice", "erin"] {
        proxy.grant(person, "plain-read", "30m");
    }
    let by_certificate = |person: &str| {
        let output = psql(&proxy, person, "SELECT 42").output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (ok, err) = by_certificate("alice");
    assert!(ok, "{err}");
    let (ok, err) = by_certificate("erin");
    assert!(!ok && err.contains("certificate revoked"), "{err}");
    // A session that is open ends with its certificate.
    let open = psql(&proxy, "alice", "SELECT pg_sleep(60)").stderr(Stdio::piped()).spawn().unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'certified' AND state = 'active'";
    wait_until("the statement runs", Duration::from_secs(15), || bench.postgres.run("postgres", running) == "1");
    reload(&proxy, &revoked(&issuer, &[1]));
    let ended = open.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(err.contains("FATAL") && err.contains("certificate is not accepted any more"), "{err}");
    let (ok, err) = by_certificate("alice");
    assert!(!ok && err.contains("certificate revoked"), "{err}");
    let (ok, err) = by_certificate("erin");
    assert!(ok, "{err}");
    // What cannot be read changes nothing.
    reload(&proxy, "no list");
    let (ok, err) = by_certificate("alice");
    assert!(!ok && err.contains("certificate revoked"), "{err}");
}

/// `psql` with a certificate in place of a password.
fn psql(proxy: &Proxy, person: &str, sql: &str) -> Command {
    let minted = Credentials { user: person.into(), password: String::new(), database: "plain".into() };
    let mut psql: Command = proxy.psql_with(&minted);
    psql.env_remove("PGPASSWORD").env("PGSSLCERT", proxy.setup.dir.join(format!("{person}.crt")));
    psql.env("PGSSLKEY", proxy.setup.dir.join(format!("{person}.key"))).env("PGAPPNAME", "certified");
    psql.args(["-w", "-At", "-c", sql]);
    psql
}

fn reload(proxy: &Proxy, list: &str) {
    let reloads = || proxy.audit(&[]).iter().filter(|record| is_reload(record)).count();
    let before = reloads();
    std::fs::write(proxy.setup.dir.join("clients.crl"), list).unwrap();
    proxy.signal("HUP");
    wait_until("the reload", Duration::from_secs(10), || reloads() > before);
}

fn is_reload(record: &serde_json::Value) -> bool {
    record["event"] == "config_reloaded" || record["event"] == "config_refused"
}

fn revoked(issuer: &Issuer<'_, KeyPair>, serials: &[u64]) -> String {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2200, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
