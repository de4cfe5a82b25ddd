//! Certificates for development and trial: an authority of one day's work, a server's certificate, and a client's where asked for.
//! The authority's key is never written: nothing else can be signed by it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::tls::{self, ReloadableCertificate};

/// Names the authority, and so marks the files that may be replaced.
const AUTHORITY: &str = "pgward development CA";
/// Days that a certificate is good for; browsers refuse much longer ones.
const LIFETIME_DAYS: i64 = 390;
/// A certificate that ends sooner is made anew.
const LEAST_LEFT: Duration = Duration::from_secs(7 * 86_400);

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub ca: PathBuf,
    pub server_cert: PathBuf,
    pub server_key: PathBuf,
    /// Certificate and key of a client, where one was asked for.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether they were made now; `false` where good ones were there.
    pub fresh: bool,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum DevCertsError {
    #[error("{}: {said}", .path.display())]
    File { path: PathBuf, said: String },
    #[error("{} was not made for development by pgward and is left alone", .0.display())]
    Foreign(PathBuf),
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// Makes `ca.crt`, `server.crt` and `server.key` in `dir`, for `localhost`, `127.0.0.1`, `::1` and `hosts`. Good ones that are
/// there already stay.
///
/// # Errors
/// Where a file cannot be written, or is there and not pgward's to replace.
pub fn generate(dir: &Path, hosts: &[String]) -> Result<Files, DevCertsError> {
    generate_with_client(dir, hosts, None)
}

/// As [`generate`], and `client.crt` and `client.key` for the user `client`.
///
/// # Errors
/// As [`generate`].
pub fn generate_with_client(dir: &Path, hosts: &[String], client: Option<&str>) -> Result<Files, DevCertsError> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.extend(hosts.iter().filter(|host| !["localhost", "127.0.0.1", "::1"].contains(&host.as_str())).cloned());
    let files = Files {
        ca: dir.join("ca.crt"),
        server_cert: dir.join("server.crt"),
        server_key: dir.join("server.key"),
        client: client.map(|_| (dir.join("client.crt"), dir.join("client.key"))),
        fresh: false,
    };
    if are_good(&files, &names) {
        return Ok(files);
    }
    refuse_foreign(&files)?;
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(|error| file_error(dir, &error))?;
    make(&files, &names, client)?;
    Ok(Files { fresh: true, ..files })
}

fn make(files: &Files, names: &[String], client: Option<&str>) -> Result<(), DevCertsError> {
    let authority_key = KeyPair::generate()?;
    let mut authority = params(AUTHORITY, &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let server = leaf(names.first().map_or("localhost", String::as_str), names, ExtendedKeyUsagePurpose::ServerAuth)?;
    let server = server.signed_by(&key, &issuer)?;
    write(&files.server_key, 0o600, &key.serialize_pem())?;
    write(&files.server_cert, 0o644, &server.pem())?;
    if let (Some((cert, key_file)), Some(user)) = (&files.client, client) {
        let key = KeyPair::generate()?;
        let client = leaf(user, &[], ExtendedKeyUsagePurpose::ClientAuth)?.signed_by(&key, &issuer)?;
        write(key_file, 0o600, &key.serialize_pem())?;
        write(cert, 0o644, &client.pem())?;
    }
    // Last, because its presence says that the set is whole.
    write(&files.ca, 0o644, &certificate.pem())
}

fn leaf(name: &str, hosts: &[String], purpose: ExtendedKeyUsagePurpose) -> Result<CertificateParams, DevCertsError> {
    let mut leaf = params(name, hosts)?;
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![purpose];
    // Strict verifiers (Python 3.13's) want to see which key signed.
    leaf.use_authority_key_identifier_extension = true;
    Ok(leaf)
}

fn params(name: &str, hosts: &[String]) -> Result<CertificateParams, DevCertsError> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |offset: i64| {
        let date = today.saturating_add(offset.days());
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(LIFETIME_DAYS);
    Ok(params)
}

/// Whether the files are whole, belong together, and a client with this authority would take the server under each name.
fn are_good(files: &Files, names: &[String]) -> bool {
    let Ok(roots) = tls::read_roots(&files.ca) else { return false };
    if ReloadableCertificate::load(&files.server_cert, &files.server_key).is_err() {
        return false;
    }
    if files.client.as_ref().is_some_and(|(cert, key)| ReloadableCertificate::load(cert, key).is_err()) {
        return false;
    }
    let Ok(chain) = tls::read_certificates(&files.server_cert) else { return false };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), tls::provider()).build();
    let (Ok(verifier), Some((server, intermediates))) = (verifier, chain.split_first()) else { return false };
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + LEAST_LEFT);
    names.iter().all(|name| {
        let name = match name.parse::<IpAddr>() {
            Ok(address) => Ok(ServerName::IpAddress(address.into())),
            Err(_) => ServerName::try_from(name.as_str()),
        };
        name.is_ok_and(|name| verifier.verify_server_cert(server, intermediates, &name, &[], soon).is_ok())
    })
}

/// Files that somebody else put there are not replaced, whatever is wrong with them.
fn refuse_foreign(files: &Files) -> Result<(), DevCertsError> {
    let client = files.client.as_ref();
    let certificates = [Some(&files.ca), Some(&files.server_cert), client.map(|(cert, _)| cert)];
    for path in certificates.into_iter().flatten().filter(|path| path.exists()) {
        let is_ours = tls::read_certificates(path).is_ok_and(|chain| chain.first().is_some_and(is_of_authority));
        if !is_ours {
            return Err(DevCertsError::Foreign(path.clone()));
        }
    }
    let keys = [(&files.server_cert, &files.server_key)].into_iter().chain(client.map(|(cert, key)| (cert, key)));
    for (cert, key) in keys {
        if key.exists() && !cert.exists() {
            return Err(DevCertsError::Foreign(key.clone()));
        }
    }
    Ok(())
}

fn is_of_authority(certificate: &CertificateDer<'static>) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, certificate)| {
        certificate.issuer().iter_common_name().any(|name| name.as_str() == Ok(AUTHORITY))
    })
}

/// Writes beside and renames, so that no half file and no wrong mode is ever seen.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), DevCertsError> {
    let beside = path.with_extension("new");
    let written = (|| {
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    })();
    written.map_err(|error| file_error(path, &error))
}

fn file_error(path: &Path, error: &dyn std::fmt::Display) -> DevCertsError {
    DevCertsError::File { path: path.to_owned(), said: error.to_string() }
}

#[cfg(test)]
mod tests;
