//! Several certificates at one port: which is shown is decided by the name that the client asks for. The name selects a
//! certificate and nothing else.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// Certificates with the names that they are for, and one for everybody else.
#[derive(Debug)]
pub struct NamedCertificates {
    default: Arc<CertifiedKey>,
    named: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    names: Vec<String>,
    certificate: Arc<CertifiedKey>,
}

impl NamedCertificates {
    /// Each of `others` is shown to who asks for a DNS name in its subject alternative names.
    #[must_use]
    pub fn new(default: Arc<CertifiedKey>, others: Vec<Arc<CertifiedKey>>) -> Self {
        let named = others.into_iter().map(|certificate| Named {
            names: certificate.end_entity_cert().map(dns_names).unwrap_or_default(),
            certificate,
        });
        Self { default, named: named.collect() }
    }

    /// Those that have no name by which they could ever be shown, by their place in the list.
    #[must_use]
    pub fn nameless(&self) -> Option<usize> {
        self.named.iter().position(|named| named.names.is_empty())
    }

    /// The certificate for who asks for this name, or for none.
    #[must_use]
    pub fn choose(&self, asked: Option<&str>) -> &Arc<CertifiedKey> {
        let is_for = |named: &&Named, asked: &str| named.names.iter().any(|name| matches(name, asked));
        let found = asked.and_then(|asked| self.named.iter().find(|named| is_for(named, asked)));
        found.map_or(&self.default, |named| &named.certificate)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        std::iter::once(&self.default).chain(self.named.iter().map(|named| &named.certificate))
    }
}

impl ResolvesServerCert for NamedCertificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.choose(client_hello.server_name())))
    }
}

fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_ascii_lowercase()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(dns).collect()
}

/// As certificates are verified: a star stands for one whole first label.
fn matches(name: &str, asked: &str) -> bool {
    let asked = asked.strip_suffix('.').unwrap_or(asked);
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(rest) => {
            asked.split_once('.').is_some_and(|(first, behind)| !first.is_empty() && behind.eq_ignore_ascii_case(rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_one_label() {
        for (name, asked, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("db.example.com", "db.example.com.", true),
            ("db.example.com", "example.com", false),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", ".example.com", false),
        ] {
            assert_eq!(matches(name, asked), expected, "{name} {asked}");
        }
    }
}
