//! What makes a SCRAM exchange unlike every other, on either leg.

use base64::Engine as _;

/// As in PostgreSQL.
const LENGTH: usize = 18;

/// Fresh, and printable without a comma.
///
/// # Errors
/// Where the random source fails.
pub fn nonce() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}
