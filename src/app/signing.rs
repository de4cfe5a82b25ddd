//! Where the configuration has the key that signs the journal's checkpoints.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// The key's file, and what a new key in it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub file: PathBuf,
    /// None where the configuration does not say.
    pub origin: Option<String>,
}

/// Reads the configuration at `path`; what it names besides need not be there.
///
/// # Errors
/// Where it is no configuration.
pub fn signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let audit = Config::load(path)?.audit;
    Ok(SigningKey { file: audit.signing_key, origin: audit.origin })
}
