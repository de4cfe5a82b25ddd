//! TLS on both legs: the certificate that clients see, and how an upstream's is checked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::settings::SslMode;
use crate::tls::NamedCertificates;

/// The protocol name that direct TLS must agree on.
pub const ALPN: &[u8] = b"postgresql";

/// The server's side of TLS, and what SCRAM binds itself to.
pub struct ServerTls {
    pub config: Arc<rustls::ServerConfig>,
    bindings: Bindings,
    /// Looks at clients' certificates.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// `tls-server-end-point` of what clients are shown; `None` where RFC 5929 defines none (Ed25519).
enum Bindings {
    One(Option<Vec<u8>>),
    /// In the order of the certificates.
    Named(Arc<NamedCertificates>, Vec<Option<Vec<u8>>>),
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Takes a configuration and the certificate that it serves. Offers ALPN `postgresql` besides what it offers.
    #[must_use]
    pub fn new(config: rustls::ServerConfig, certificate: &CertificateDer<'_>) -> Self {
        Self::with(config, Bindings::One(end_point_binding(certificate)), None)
    }

    /// The same where `config` serves one of several, by the name that is asked for, and has `clients` look at theirs.
    #[must_use]
    pub fn named(
        config: rustls::ServerConfig,
        certificates: Arc<NamedCertificates>,
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Self {
        let bindings = certificates.iter().map(|key| key.end_entity_cert().ok().and_then(end_point_binding)).collect();
        Self::with(config, Bindings::Named(certificates, bindings), clients)
    }

    fn with(
        mut config: rustls::ServerConfig,
        bindings: Bindings,
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Self {
        if !config.alpn_protocols.iter().any(|protocol| protocol == ALPN) {
            config.alpn_protocols.push(ALPN.to_vec());
        }
        // Tickets would let a client come back without its certificate being looked at again.
        config.send_tls13_tickets = 0;
        Self { config: Arc::new(config), bindings, clients }
    }

    /// Whether a client's chain, its own certificate first, is one that may be logged in by now.
    #[must_use]
    pub fn accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        let (Some(clients), Some((own, intermediates))) = (&self.clients, chain.split_first()) else { return false };
        clients.verify_client_cert(own, intermediates, UnixTime::now()).is_ok()
    }

    /// What SCRAM binds itself to with a client that asked for this name.
    #[must_use]
    pub fn binding(&self, asked: Option<&str>) -> Option<Vec<u8>> {
        match &self.bindings {
            Bindings::One(binding) => binding.clone(),
            Bindings::Named(certificates, bindings) => {
                let shown = certificates.choose(asked);
                let at = certificates.iter().position(|certificate| Arc::ptr_eq(certificate, shown))?;
                bindings.get(at).cloned().flatten()
            }
        }
    }
}

/// `tls-server-end-point` (RFC 5929): the certificate's hash by its own signature's hash function, MD5 and SHA-1 raised to
/// SHA-256.
#[must_use]
pub fn end_point_binding(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // md5, sha1, sha256 WithRSAEncryption; ecdsa-with-SHA1, ecdsa-with-SHA256
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Why the settings for an upstream's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("sslrootcert is needed to verify the server")]
    NoRoot,
    #[error("{0}: {1}")]
    RootFile(String, String),
    #[error(transparent)]
    Config(#[from] rustls::Error),
    #[error(transparent)]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// The client's side of TLS toward an upstream; `None` where it is disabled.
///
/// # Errors
/// Where the root certificates cannot be read.
pub fn upstream_config(mode: SslMode, root: Option<&Path>) -> Result<Option<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match mode {
        SslMode::Disable => return Ok(None),
        SslMode::VerifyFull => builder.with_root_certificates(roots(root)?).with_no_client_auth(),
        SslMode::VerifyCa | SslMode::Require => {
            // As libpq does: a root that is given is checked against also where only encryption is asked for.
            let chain = match root {
                Some(_) => Some(
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots(root)?), Arc::clone(&provider))
                        .build()?,
                ),
                None if mode == SslMode::VerifyCa => return Err(TlsError::NoRoot),
                None => None,
            };
            let verifier = Arc::new(AnyName { chain, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    // Whoever takes connections of several protocols at one port must not pass ours on as another.
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Some(config))
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let path = path.ok_or(TlsError::NoRoot)?;
    let failed = |error: String| TlsError::RootFile(path.display().to_string(), error);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        store.add(certificate.map_err(|error| failed(error.to_string()))?)?;
    }
    if store.is_empty() { Err(failed("holds no certificate".to_owned())) } else { Ok(store) }
}

/// Accepts a certificate for any name: `verify-ca` with a chain to check, `require` without.
#[derive(Debug)]
struct AnyName {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is checked before the name: a wrong name means that the chain was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The identities of a client certificate: the exact names in its SAN, or its only CN where it has no SAN.
#[must_use]
pub fn certificate_identities(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    match parsed.subject_alternative_name() {
        Err(_) => Vec::new(),
        Ok(Some(names)) => {
            use x509_parser::extensions::GeneralName;
            let name = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
                    Some((*text).to_owned())
                }
                _ => None,
            };
            names.value.general_names.iter().filter_map(name).collect()
        }
        Ok(None) => {
            let names: Vec<_> = parsed.subject().iter_common_name().filter_map(|cn| cn.as_str().ok()).collect();
            match names.as_slice() {
                [only] => vec![(*only).to_owned()],
                _ => Vec::new(),
            }
        }
    }
}
