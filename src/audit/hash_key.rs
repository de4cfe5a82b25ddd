//! The secret that hashes of values in the journal are keyed with, so that who reads the journal cannot find a value by
//! guessing it. Kept beside the journal, never in it: equal values have equal hashes for as long as the file stays.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;

/// Bytes of the key.
const LENGTH: usize = 32;

/// A key for HMAC-SHA-256. Every session has it, so it is shared: prepared for use it takes more than a KiB.
#[derive(Clone)]
pub struct HashKey(Arc<hmac::Key>);

impl HashKey {
    #[must_use]
    pub fn new(secret: &[u8; LENGTH]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// A key that nobody keeps.
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn random() -> io::Result<Self> {
        Ok(Self::new(&random()?))
    }

    /// The key of the journal in `dir`, which lies beside it; made where there is none yet.
    ///
    /// # Errors
    /// Where the file cannot be read or made, is no key, or others than its owner may read it.
    pub fn beside(dir: &Path) -> io::Result<Self> {
        let path = Self::path(dir);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match File::open(&path) {
            Ok(file) => read(file).map_err(named),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(named),
            Err(error) => Err(named(error)),
        }
    }

    /// `<dir>.hmac`
    #[must_use]
    pub fn path(dir: &Path) -> PathBuf {
        let mut path = dir.as_os_str().to_owned();
        path.push(".hmac");
        path.into()
    }

    /// The hash of a value as the journal shows it.
    #[must_use]
    pub fn hash(&self, value: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut text = "hmac-sha256:".to_owned();
        for byte in hmac::sign(&self.0, value).as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

fn read(mut file: File) -> io::Result<HashKey> {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may read this key; chmod 600"));
    }
    let mut secret = Vec::new();
    (&mut file).take(LENGTH as u64 + 1).read_to_end(&mut secret)?;
    let secret: [u8; LENGTH] =
        secret.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "this is no key of 32 bytes"))?;
    Ok(HashKey::new(&secret))
}

/// Written whole under another name first: a key that was cut short would not be read again. Where another process was
/// quicker, its key counts.
fn make(path: &Path) -> io::Result<HashKey> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&random()?)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&new, path);
    std::fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => read(File::open(path)?),
    }
}

fn random() -> io::Result<[u8; LENGTH]> {
    let mut secret = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| io::Error::other("the random source fails"))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_its_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("audit");
        let first = HashKey::beside(&dir).unwrap().hash(b"42");
        assert_eq!(first, HashKey::beside(&dir).unwrap().hash(b"42"));
        assert_ne!(first, HashKey::random().unwrap().hash(b"42"));
        let path = HashKey::path(&dir);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(HashKey::beside(&dir).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        assert!(HashKey::beside(&dir).is_err());
    }
}
