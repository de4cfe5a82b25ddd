//! A token judged by keys that are at hand, without asking anybody: for the fuzz targets.

use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;

use super::{Identified, IssuerSettings, Rejected, keys, token};

/// Whom a token names, by the keys in `published`, the text of a provider's JWKS.
///
/// # Errors
/// [`Rejected`]; a text that is no JWKS has no keys.
#[doc(hidden)]
pub fn verify_by(
    published: &[u8],
    text: &str,
    settings: &IssuerSettings,
    now: Timestamp,
) -> Result<Identified, Rejected> {
    let head = token::head(text, settings)?;
    let found: Vec<Jwk> = keys::read(published).unwrap_or_default();
    let key = keys::choose(&found, &head).ok_or(Rejected::UnknownKey)?;
    token::verify(text, &head, &key, settings, token::Purpose::Presented, now)
}
