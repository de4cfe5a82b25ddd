//! The composition root.

use std::path::Path;

/// Runs the proxy and the control port until a signal ends them.
///
/// # Errors
/// Where the configuration or a part of it cannot be used.
pub fn serve(_config: &Path) -> anyhow::Result<()> {
    anyhow::bail!("`serve` is not part of this build")
}

/// Validates the configuration and reaches each upstream.
///
/// # Errors
/// Where the configuration or a part of it cannot be used.
pub fn check(_config: &Path) -> anyhow::Result<()> {
    anyhow::bail!("`check` is not part of this build")
}
