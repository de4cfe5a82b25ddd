//! Client certificates: who signs them, and which were revoked.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;

use super::{TlsError, authority, pem_error, provider, read_roots};

/// Whose certificates are accepted in place of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// Signs them.
    pub ca: PathBuf,
    /// Lists of those that were revoked. Where there is any, every authority of a chain needs one, and one that is not out
    /// of date.
    pub crls: Vec<PathBuf>,
}

impl ClientAuthority {
    /// What looks at a client's certificates.
    ///
    /// # Errors
    /// Where a file cannot be read or used.
    pub fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(read_roots(&self.ca)?);
        let mut lists = Vec::new();
        for path in &self.crls {
            let read = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
            let read: Vec<_> = read.map_err(|error| pem_error(path, "revocation list", &error))?;
            if read.is_empty() {
                return Err(TlsError::Missing { path: path.clone(), what: "revocation list" });
            }
            lists.extend(read);
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.with_crls(lists).enforce_revocation_expiration().allow_unauthenticated().build();
        verifier.map_err(|error| authority(&self.ca, &error))
    }
}
