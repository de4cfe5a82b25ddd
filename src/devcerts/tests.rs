//! Development certificates as strict verifiers see them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn good_ones_stay_and_lacking_ones_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("certs");
    let files = generate(&dir, &[]).unwrap();
    assert!(files.fresh);
    assert_eq!((mode(&files.ca), mode(&files.server_cert), mode(&files.server_key)), (0o644, 0o644, 0o600));
    let first = contents(&dir);
    assert_eq!(first.len(), 3, "no authority's key, nothing left over");
    assert!(!generate(&dir, &[]).unwrap().fresh);
    assert_eq!(contents(&dir), first);

    assert!(generate(&dir, &["db.example.com".into(), "10.1.2.3".into()]).unwrap().fresh, "a name was lacking");
    assert!(!generate(&dir, &["db.example.com".into()]).unwrap().fresh, "it has more names than asked for");
    let second = contents(&dir);
    assert_ne!(second, first);
    let with_client = generate_with_client(&dir, &[], Some("alice")).unwrap();
    let (_, key) = with_client.client.clone().unwrap();
    assert_eq!((with_client.fresh, mode(&key), contents(&dir).len()), (true, 0o600, 5));

    fs::remove_file(dir.join("ca.crt")).unwrap();
    assert!(generate(&dir, &[]).unwrap().fresh, "half a set is made whole");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = rcgen::generate_simple_self_signed(vec!["theirs.example.com".to_owned()]).unwrap();
    fs::write(dir.path().join("server.crt"), theirs.cert.pem()).unwrap();
    fs::write(dir.path().join("server.key"), theirs.signing_key.serialize_pem()).unwrap();
    let before = contents(dir.path());
    assert!(matches!(generate(dir.path(), &[]), Err(DevCertsError::Foreign(_))));
    assert_eq!(contents(dir.path()), before);
    fs::remove_file(dir.path().join("server.crt")).unwrap();
    assert!(matches!(generate(dir.path(), &[]), Err(DevCertsError::Foreign(_))), "a key alone may be theirs as well");
}

#[test]
fn strict_verifiers_find_what_they_want() {
    let dir = tempfile::tempdir().unwrap();
    let files = generate_with_client(dir.path(), &["db.example.com".into()], Some("alice")).unwrap();
    let read = |path: &Path| tls::read_certificates(path).unwrap().remove(0);
    let (ca, server, client) = (read(&files.ca), read(&files.server_cert), read(&files.client.unwrap().0));
    let [ca, server, client] = [&ca, &server, &client].map(|der| X509Certificate::from_der(der).unwrap().1);

    assert!(ca.is_ca() && ca.basic_constraints().unwrap().unwrap().critical);
    assert!(ca.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(!server.is_ca());
    for (leaf, is_server) in [(&server, true), (&client, false)] {
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert_eq!((usage.server_auth, usage.client_auth), (is_server, !is_server));
        assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
        assert_eq!(leaf.issuer(), ca.subject());
        let oids: Vec<String> = leaf.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        assert!(oids.contains(&"2.5.29.35".to_owned()), "authority key identifier: {oids:?}");
    }
    assert!(ca.extensions().iter().any(|extension| extension.oid.to_id_string() == "2.5.29.14"));
    let names = server.subject_alternative_name().unwrap().unwrap().value;
    let names: Vec<String> = names
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => format!("{bytes:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(names[0], "localhost");
    assert_eq!(names[1], "[127, 0, 0, 1]");
    assert_eq!(names[2], "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]");
    assert_eq!(names[3], "db.example.com");
    assert_eq!(client.subject().iter_common_name().next().unwrap().as_str(), Ok("alice"));
}
