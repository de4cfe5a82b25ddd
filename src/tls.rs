//! TLS as both listeners use it: certificates from PEM files, changed without a restart; TLS 1.2 and later;
//! the cryptography chosen here and passed on, never a process-wide default.

mod clients;
mod names;
mod pinned;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use clients::ClientAuthority;
pub use names::NamedCertificates;
pub use pinned::{client_config_pinned, fingerprint};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be set up: which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {said}", .path.display())]
    Unreadable { path: PathBuf, said: String },
    #[error("{} holds no {what} in PEM format", .path.display())]
    Missing { path: PathBuf, what: &'static str },
    #[error("{} and {} cannot be used: {said}", .cert.display(), .key.display())]
    Unusable { cert: PathBuf, key: PathBuf, said: String },
    #[error("{} cannot be used as an authority: {said}", .path.display())]
    Authority { path: PathBuf, said: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// A server's certificate chain and key, which [`ReloadableCertificate::reload`] exchanges for the files' contents of then.
#[derive(Debug)]
pub struct ReloadableCertificate {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl ReloadableCertificate {
    /// Reads a chain and its key, and checks that they belong together.
    ///
    /// # Errors
    /// Where a file cannot be read or used.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read_certified_key(cert, key)?);
        Ok(Arc::new(Self { cert: cert.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads the files again; new connections get what they hold now.
    ///
    /// # Errors
    /// Where a file cannot be read or used; the certificate then stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read_certified_key(&self.cert, &self.key)?));
        Ok(())
    }

    /// The server's own certificate, to which SCRAM-SHA-256-PLUS binds. After a reload it is the new one, also for whoever
    /// shook hands under the old: a listener that binds loads a new [`ReloadableCertificate`] and keeps both together.
    #[must_use]
    pub fn end_entity_der(&self) -> CertificateDer<'static> {
        // `CertifiedKey::from_der` refuses an empty chain, so there is a first.
        self.current.load().cert.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()))
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// A server's side: TLS 1.2 and later, client certificates asked for where `client_ca` says who signs them (a client may come
/// without one), `alpn` as the protocols that may be negotiated.
///
/// # Errors
/// Where the authority's file cannot be used.
pub fn server_config(
    certificate: Arc<ReloadableCertificate>,
    client_ca: Option<&Path>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = client_ca.map(|ca| ClientAuthority { ca: ca.to_owned(), crls: Vec::new() }.verifier());
    server_config_with(certificate, clients.transpose()?, alpn)
}

/// The same with any choice of certificates, and with what looks at those of clients.
///
/// # Errors
/// Where the cryptography cannot be set up.
pub fn server_config_with(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A client's side, which takes a server signed by one of the authorities in `ca`, for the name that it was reached by
/// (libpq's `verify-full`).
///
/// # Errors
/// Where the authorities' file cannot be used.
pub fn client_config(ca: &Path, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(read_roots(ca)?).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A file in PEM format as it was when it was read, so that a change of it shows.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    bytes: Arc<[u8]>,
}

impl std::fmt::Debug for PemFile {
    /// The path alone: it may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PemFile").field(&self.path).finish()
    }
}

impl PemFile {
    /// Reads the file; whether it holds what it should is found out where it is used.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let read = std::fs::read(path);
        let bytes = read.map_err(|error| TlsError::Unreadable { path: path.to_owned(), said: error.to_string() })?;
        Ok(Self { path: path.to_owned(), bytes: bytes.into() })
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let certificates = certificates.map_err(|error| pem_error(&self.path, "certificate", &error))?;
        if certificates.is_empty() {
            return Err(TlsError::Missing { path: self.path.clone(), what: "certificate" });
        }
        Ok(certificates)
    }
}

/// A client's side as [`client_config`] makes it, from files that were read before, and with a certificate of its own where
/// `client` is one and its key.
///
/// # Errors
/// Where the authorities, the certificate or the key cannot be used.
pub fn client_config_of(ca: &PemFile, client: Option<&(PemFile, PemFile)>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in ca.certificates()? {
        roots.add(certificate).map_err(|error| authority(&ca.path, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    Ok(Arc::new(match client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let private = PrivateKeyDer::from_pem_slice(&key.bytes);
            let private = private.map_err(|error| pem_error(&key.path, "private key", &error))?;
            builder.with_client_auth_cert(cert.certificates()?, private)?
        }
    }))
}

/// A client's side, which takes a server that the system's authorities vouch for.
///
/// # Errors
/// Where those cannot be used.
pub fn client_config_of_system() -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = rustls_platform_verifier::Verifier::new(provider())?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}

/// The cryptography of both sides.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// All certificates of a PEM file, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = certificates.map_err(|error| pem_error(path, "certificate", &error))?;
    if certificates.is_empty() {
        return Err(TlsError::Missing { path: path.to_owned(), what: "certificate" });
    }
    Ok(certificates)
}

pub(crate) fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| authority(path, &error))?;
    }
    Ok(roots)
}

/// A chain and its key, which belong together.
///
/// # Errors
/// Where a file cannot be read or used.
pub fn read_certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem_error(key, "private key", &error))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| TlsError::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        said: error.to_string(),
    })
}

fn pem_error(path: &Path, what: &'static str, error: &PemError) -> TlsError {
    let path = path.to_owned();
    match error {
        PemError::NoItemsFound => TlsError::Missing { path, what },
        PemError::Io(error) => TlsError::Unreadable { path, said: error.to_string() },
        other => TlsError::Unreadable { path, said: other.to_string() },
    }
}

fn authority(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Authority { path: path.to_owned(), said: error.to_string() }
}

#[cfg(test)]
mod tests;
