//! Receivers that do what a test tells them to.

mod http;
mod smtp;
mod syslog;

pub use http::{Answer, HttpReceiver, Request};
pub use smtp::{MailServer, Manner};
pub use syslog::{Behaviour, SyslogReceiver};

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::rig::certs;

/// TLS for `localhost`.
pub fn acceptor() -> TlsAcceptor {
    acceptor_for(false)
}

/// TLS for `localhost`, for clients with a certificate alone if `known`.
pub fn acceptor_for(known: bool) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certs().join("server.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certs().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if known {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certs().join("ca.crt")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}
