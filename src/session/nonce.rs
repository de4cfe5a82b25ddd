//! What is unlike every other: a SCRAM exchange, on either leg; and what catalogs a transaction of a session's sees.

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

/// A number that nobody else has, for all that is likely.
///
/// # Errors
/// Where the random source fails.
pub fn number() -> Result<u64, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
