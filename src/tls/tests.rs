//! Certificates that are read again, and configurations that verify.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use rustls::{ClientConnection, ProtocolVersion, ServerConnection};
use rustls_pki_types::ServerName;

use super::*;
use crate::devcerts::{self, Files};

fn certificates(dir: &Path) -> Files {
    devcerts::generate_with_client(dir, &[], Some("alice")).unwrap()
}

/// Runs a handshake in memory, to its end or its first error.
fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(client, ServerName::try_from(name.to_owned()).unwrap())?;
    let mut server = ServerConnection::new(server)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
fn a_client_takes_the_right_name_under_the_right_authority_alone() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, others) = (certificates(dir.path()), certificates(other.path()));
    let certificate = ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let server = server_config(Arc::clone(&certificate), None, &[b"postgresql"]).unwrap();
    let cases = [
        (&files, "localhost", true),
        (&files, "127.0.0.1", true),
        (&files, "elsewhere", false),
        (&others, "localhost", false),
    ];
    for (files, name, expected) in cases {
        let client = client_config(&files.ca, &[b"postgresql"]).unwrap();
        let done = handshake(client, Arc::clone(&server), name);
        assert_eq!(done.is_ok(), expected, "{name}: {:?}", done.err());
        if let Ok((client, _)) = done {
            assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(client.alpn_protocol(), Some(b"postgresql".as_slice()));
            assert_eq!(client.peer_certificates().unwrap()[0], certificate.end_entity_der());
        }
    }
}

#[test]
fn another_protocol_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificates(dir.path());
    let certificate = ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let server = server_config(certificate, None, &[b"postgresql"]).unwrap();
    let client = client_config(&files.ca, &[b"h2"]).unwrap();
    assert!(handshake(client, server, "localhost").is_err());
}

#[test]
fn client_certificates_are_optional_and_checked() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, others) = (certificates(dir.path()), certificates(other.path()));
    let certificate = ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let server = server_config(certificate, Some(&files.ca), &[]).unwrap();
    let without = client_config(&files.ca, &[]).unwrap();
    let (_, accepted) = handshake(without, Arc::clone(&server), "localhost").unwrap();
    assert_eq!(accepted.peer_certificates(), None);
    for (signed_by, expected) in [(&files, true), (&others, false)] {
        let (cert, key) = signed_by.client.clone().unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(read_roots(&files.ca).unwrap())
            .with_client_auth_cert(read_certificates(&cert).unwrap(), PrivateKeyDer::from_pem_file(&key).unwrap())
            .unwrap();
        let done = handshake(Arc::new(client), Arc::clone(&server), "localhost");
        let shown = done.ok().and_then(|(_, server)| server.peer_certificates().map(|chain| chain[0].clone()));
        let sent = read_certificates(&cert).unwrap().remove(0);
        assert_eq!(shown, expected.then_some(sent));
    }
}

#[test]
fn a_reload_takes_good_files_and_keeps_the_old_on_bad_ones() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, others) = (certificates(dir.path()), certificates(other.path()));
    let certificate = ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let before = certificate.end_entity_der();

    fs::write(&files.server_cert, "not a certificate").unwrap();
    let error = certificate.reload().unwrap_err();
    assert!(error.to_string().ends_with("server.crt holds no certificate in PEM format"), "{error}");
    fs::copy(&others.server_cert, &files.server_cert).unwrap();
    let error = certificate.reload().unwrap_err();
    assert!(matches!(error, TlsError::Unusable { .. }), "the key is of another certificate: {error}");
    assert_eq!(certificate.end_entity_der(), before);

    fs::copy(&others.server_key, &files.server_key).unwrap();
    certificate.reload().unwrap();
    assert_eq!(certificate.end_entity_der(), read_certificates(&others.server_cert).unwrap()[0]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificates(dir.path());
    let missing = dir.path().join("missing");
    let error = ReloadableCertificate::load(&missing, &files.server_key).unwrap_err();
    assert!(error.to_string().contains("missing cannot be read: No such file"), "{error}");
    let error = ReloadableCertificate::load(&files.server_cert, &files.server_cert).unwrap_err();
    assert!(error.to_string().ends_with("server.crt holds no private key in PEM format"), "{error}");
    let certificate = ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let error = server_config(certificate, Some(&files.server_key), &[]).unwrap_err();
    assert!(error.to_string().ends_with("server.key holds no certificate in PEM format"), "{error}");
}
