//! Receivers that do what a test tells them to.

mod http;
mod syslog;

pub use http::{Answer, HttpReceiver, Request};
pub use syslog::{Behaviour, SyslogReceiver};

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::rig::certs;

/// TLS for `localhost`.
pub fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certs().join("server.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certs().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
